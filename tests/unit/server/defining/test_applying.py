"""Definitions over HTTP: all of them or a change, checked like files, for whoever saw the latest, by keys that may."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import structs

from onefold.model.definitions import Audience, Definitions, Trait
from onefold.model.identity import Identity
from onefold.runtime.defining.workspace import WorkspaceError, load_workspace
from tests.unit.server import fakes

PATH = "/v1/definitions"
NOTHING: dict[str, Any] = {"sources": [], "traits": [], "audiences": [], "destinations": []}
HOOK = {"name": "crm", "url": "https://example.com/hook", "audiences": ["buyers"]}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[fakes.Client]:
    """Give a client of the whole app; its catalog has one version, with a trait and an audience."""
    with fakes.client(tmp_path) as client:
        yield client


def put(client: fakes.Client, etag: str = "", **changed: Any) -> Any:
    """What is there, as it was answered, with a change, applied again."""
    body = client.get(PATH).json() | changed
    return client.put(PATH, json=body, headers={"if-match": etag} if etag else {})


def test_what_was_read_is_put_again(client: fakes.Client) -> None:
    """Unchanged it changes nothing; changed it is the next version, by the key, for the one who is named."""
    assert put(client).json() == {"version": 1, "changes": [], "coming": False, "saved": True}
    audiences = [{"name": "buyers", "expression": "orders > 2"}]
    saved = put(client, audiences=audiences, author="Ann").json()
    assert (saved["version"], saved["saved"], saved["coming"]) == (2, True, False)
    assert saved["changes"] == ["~ audience buyers: expression orders > 0 → orders > 2, description"]
    assert client.engines.catalog.definitions().audiences == (Audience("buyers", "orders > 2"),)
    assert client.engines.catalog.versions()[-1].author == "Ann (key admin)"


def test_what_is_left_out_is_gone(client: fakes.Client) -> None:
    """A put says all there is, as a directory does."""
    saved = client.put(
        PATH, json=NOTHING | {"traits": [{"name": "views", "expression": "events"}], "timezone": "Asia/Tokyo"}
    )
    assert saved.status_code == 200
    found = client.engines.catalog.definitions()
    assert (found.traits, found.audiences, found.timezone) == ((Trait("views", "events"),), (), "Asia/Tokyo")
    assert client.put(PATH, json={}).status_code == 400


def test_a_change_leaves_all_else(client: fakes.Client) -> None:
    """What is given is new or in the place of its name; what is to be removed is gone, and must be there."""
    given = {
        "audiences": [{"name": "fans", "expression": "orders > 9"}],
        "destinations": [HOOK],
        "timezone": "Asia/Tokyo",
    }
    assert client.post(PATH, json=given).json()["version"] == 2
    found = client.engines.catalog.definitions()
    assert ([one.name for one in found.traits], found.destinations[0].name) == (["orders"], "crm")
    assert [one.name for one in found.audiences] == ["buyers", "fans"]
    assert client.post(PATH, json={"remove": ["fans"], "version": 2}).json()["changes"] == [
        "- audience fans: orders > 9"
    ]
    assert client.engines.catalog.definitions().timezone == "Asia/Tokyo"
    assert client.post(PATH, json={"remove": ["fans"]}).json()["message"].startswith("remove: there is no trait")


def test_traits_of_accounts_have_names_of_their_own(client: fakes.Client) -> None:
    """A person's trait and one of their account may be called alike: each is changed, and removed, by itself."""
    given = {"account_traits": [{"name": "orders", "expression": 'count("Order Completed")'}]}
    assert client.post(PATH, json=given).json()["version"] == 2
    assert put(client).json()["version"] == 2
    assert client.post(PATH, json={"remove": ["account.orders"]}).json()["version"] == 3
    found = client.engines.catalog.definitions()
    assert ([one.name for one in found.traits], found.account_traits) == (["orders"], ())


RULES = {
    "policy": "segment",
    "types": [
        {"name": "user_id", "unique": True},
        {"name": "card", "fields": ["properties.card"], "normalise": "digits", "limit": 3, "per": "year"},
        {"name": "kiosk", "blocked": ["front desk"], "patterns": ["^k-0+$"], "soft": True, "unless": ["name"]},
    ],
    "blocked": ["nobody"],
    "patterns": ["^test@"],
    "hot": 50,
    "traits": [{"name": "name", "keep": "source-order", "sources": ["crm", "web"]}, {"name": "tags", "keep": "union"}],
    "matching": {"link": 0.98},
}


def test_rules_of_identity_are_definitions_like_others(client: fakes.Client) -> None:
    """They are read and put again as they are, stay where a change says nothing of them, and are checked."""
    assert client.post(PATH, json={"identity": RULES}).json()["version"] == 2
    assert client.get(PATH).json()["identity"] == RULES
    assert put(client).json()["version"] == 2
    assert client.post(PATH, json={"timezone": "Asia/Tokyo"}).json()["version"] == 3
    assert client.get(PATH).json()["identity"] == RULES
    wrong = client.post(PATH, json={"identity": {"types": [{"name": "card", "fields": ["property.card"]}]}})
    assert wrong.status_code == 400
    assert wrong.json()["problems"][0]["suggestion"] == "properties.card"
    assert client.post(PATH, json={"identity": {}}).json()["version"] == 4
    assert client.engines.catalog.definitions().identity == Identity()


def test_a_dry_run_saves_nothing(client: fakes.Client) -> None:
    """It is checked, and answered with what would change."""
    answer = put(client, audiences=[], dry_run=True).json()
    assert answer == {"version": 1, "changes": ["- audience buyers: orders > 0"], "coming": False, "saved": False}
    assert len(client.engines.catalog.versions()) == 1
    assert put(client, audiences=[{"name": "x", "expression": "y"}], dry_run=True).status_code == 400


def test_who_has_seen_another_version_is_told_so(client: fakes.Client) -> None:
    """By `If-Match` or by the version in the body: 412, and nothing is saved."""
    assert client.get(PATH).headers["etag"] == '"1"'
    assert put(client, '"1"', audiences=[]).status_code == 200
    for answer in (
        put(client, '"1"', traits=[]),
        client.put(PATH, json=NOTHING | {"version": 1}),
        client.post(PATH, json={"remove": ["orders"]}, headers={"if-match": '"1"'}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
        assert answer.json()["message"] == "the definitions are at version 2, not 1"
    assert put(client, "yesterday").status_code == 400
    assert put(client, "*", traits=[]).json()["version"] == 3


FILE = """\
traits:
  orders: count("Bought")
  Bad: orders +
audiences:
  buyers: ordrs > 0
  odd: |-
    events > 1
      and orders > "x"
destinations:
  hook: {url: "ftp://x", audiences: [nobody], effects: [craeted]}
  inner: {url: "http://10.0.0.1/", events: ["*"], timeout_s: 900}
  idle: {url: "https://example.com"}
timezone: Mars
allow_private_hosts: ["http://x:1"]
"""


def as_json(text: str) -> dict[str, Any]:
    """The same as a body."""

    def named(section: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"name": n} | (v if isinstance(v, dict) else {"expression": v}) for n, v in section.items()]

    return {key: named(value) if isinstance(value, dict) else value for key, value in yaml.safe_load(text).items()}


def test_mistakes_are_those_of_files(client: fakes.Client, tmp_path: Path) -> None:
    """Every check of `onefold apply`, in its words; each mistake with where it is, instead of file and line."""
    (tmp_path / "all.yaml").write_text(FILE)
    with pytest.raises(WorkspaceError) as in_files:
        load_workspace(tmp_path / "all.yaml")
    answer = client.put(PATH, json=NOTHING | as_json(FILE))
    assert (answer.status_code, answer.json()["code"]) == (400, "definitions")
    problems = answer.json()["problems"]
    assert sorted(p["message"] for p in problems) == sorted(p.message for p in in_files.value.found)
    assert sorted(p["suggestion"] for p in problems) == sorted(p.suggestion for p in in_files.value.found)
    found = {(p["at"], p["line"], p["column"], p["text"]) for p in problems}
    assert {
        ("traits.Bad", 1, 1, "Bad"),
        ("audiences.buyers.expression", 1, 1, "ordrs > 0"),
        ("audiences.odd.expression", 2, 16, '  and orders > "x"'),
        ("destinations.hook.audiences[0]", 1, 1, "nobody"),
        ("destinations.inner.timeout_s", 1, 1, "900.0"),
        ("destinations.idle", 1, 1, "idle"),
        ("timezone", 1, 1, "Mars"),
        ("allow_private_hosts[0]", 1, 1, "http://x:1"),
    } <= found
    assert client.engines.catalog.definitions().version == 1


def test_a_name_is_given_once(client: fakes.Client) -> None:
    """Where a file has lines, a list has places; a name that stands twice is a mistake in both, and so is a field."""
    twice = [{"name": "a", "expression": "events"}, {"name": "a", "expression": "1"}]
    for answer in (client.put(PATH, json=NOTHING | {"traits": twice}), client.post(PATH, json={"traits": twice})):
        (problem,) = answer.json()["problems"]
        assert (problem["at"], problem["message"]) == ("traits.a", "`a` stands here twice")
    unknown: tuple[dict[str, Any], ...] = (
        {"trait": []},
        {"destinations": [HOOK | {"audience": []}]},
        {"traits": [{"name": "a"}]},
        {"author": "\n"},
    )
    for wrong in unknown:
        answer = client.put(PATH, json=NOTHING | wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), wrong


def test_what_a_change_does_not_touch_may_keep_its_name(client: fakes.Client) -> None:
    """A trait that is called as a word of the language is not in the way of others; given anew it is refused."""
    old = Trait("top", 'count("Bought")')
    client.engines.catalog.save_definitions(Definitions(traits=(old, Trait("more", "top + 1"))), "test")
    assert client.post(PATH, json={"audiences": [{"name": "fans", "expression": "more > 3"}]}).json()["version"] == 3
    answer = client.post(PATH, json={"traits": [{"name": "top", "expression": "events"}]})
    assert [(p["at"], p["suggestion"]) for p in answer.json()["problems"]] == [("traits.top", "trait_top")]
    assert client.put(PATH, json=client.get(PATH).json()).status_code == 400


@pytest.mark.parametrize(
    ("change", "scope"),
    [
        ({"destinations": [HOOK]}, "deliveries:write"),
        ({"allow_private_hosts": ["inner"]}, "deliveries:write"),
        ({"sources": [{"name": "shop"}]}, "keys:write"),
        ({"audiences": []}, ""),
    ],
)
@pytest.mark.parametrize("in_shadow", [False, True])
def test_where_data_goes_takes_more_than_definitions(
    client: fakes.Client, change: dict[str, Any], scope: str, *, in_shadow: bool
) -> None:
    """A key that may define may not therefore send data elsewhere, nor let others send it; nor by way of shadows."""
    body = client.get(PATH).json() | change | {"in_shadow": in_shadow}
    few = client.engines.catalog.create_secret_key("few", ["definitions:write"])
    enough = client.engines.catalog.create_secret_key("enough", ["definitions:write", *filter(None, [scope])])
    client.keyring.refresh()
    refused = client.put(PATH, json=body, headers={"authorization": f"Bearer {few}"})
    assert refused.status_code == (403 if scope else 200)
    if scope:
        assert f"'{scope}'" in refused.json()["message"]
        assert client.put(PATH, json=body, headers={"authorization": f"Bearer {enough}"}).status_code == 200
    reader = client.engines.catalog.create_secret_key("reader", ["definitions:read", "deliveries:write"])
    client.keyring.refresh()
    assert client.put(PATH, json=body, headers={"authorization": f"Bearer {reader}"}).status_code == 403


def test_into_shadow(client: fakes.Client) -> None:
    """What differs runs beside what is live, and a candidate that says the same is refused."""
    saved = put(client, audiences=[{"name": "buyers", "expression": "orders > 5"}], in_shadow=True).json()
    assert saved["changes"] == ["+ shadow (~ audience buyers: expression orders > 0 → orders > 5, description)"]
    assert client.get(PATH).json()["shadow"]["audiences"][0]["expression"] == "orders > 5"
    assert put(client, shadow=None, in_shadow=True).status_code == 400


def test_nothing_is_being_computed(client: fakes.Client) -> None:
    """Then there is nothing to look at, to pause, or to call off."""
    assert client.get(f"{PATH}/backfill").status_code == 404
    assert client.post(f"{PATH}/backfill/pause").status_code == 404
    assert client.delete(f"{PATH}/backfill").status_code == 404


def test_what_comes_is_paused_and_called_off(client: fakes.Client) -> None:
    """How far it is, and that nothing else is applied meanwhile."""
    catalog = client.engines.catalog
    now = catalog.definitions()
    coming = Definitions(traits=(Trait("views", 'count("Viewed")'),))
    catalog.save_definitions(structs.replace(now, coming=coming), "test")
    found = client.get(f"{PATH}/backfill").json()
    assert (found["version"], found["state"], found["done"]) == (2, "waiting", 0.0)
    assert client.post(f"{PATH}/backfill/pause").status_code == 200
    assert catalog.backfill_paused()
    assert client.post(f"{PATH}/backfill/resume").status_code == 200
    assert not catalog.backfill_paused()
    assert "being computed over history" in put(client, traits=[], audiences=[]).json()["message"]
    assert client.delete(f"{PATH}/backfill").status_code == 204
    assert (catalog.definitions().version, catalog.definitions().coming) == (3, None)


def test_ten_thousand_audiences_in_one_body(client: fakes.Client) -> None:
    """What fits a workspace fits a request; what does not is told."""
    many = [{"name": f"a{n}", "expression": f'orders > {n} and traits.plan == "{n}"'} for n in range(10_000)]
    assert (
        client.put(
            PATH, json=NOTHING | {"traits": [{"name": "orders", "expression": 'count("Bought")'}], "audiences": many}
        ).status_code
        == 200
    )
    assert len(client.engines.catalog.definitions().audiences) == 10_000
    more = [{"name": f"a{n}", "expression": "true"} for n in range(20_001)]
    (problem,) = client.put(PATH, json=NOTHING | {"audiences": more}).json()["problems"]
    assert problem["message"] == "a workspace has at most 20000 definitions"
