"""Identity over the API: the rules in force, hot values in pages, people's word, and what a profile says of itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from onefold.limits import DAY_MS
from onefold.model import receipt
from onefold.model.definitions import Definitions
from onefold.model.identity import IdentifierType, Identity, TraitRule
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import World, identify, track
from tests.unit.server import fakes

RULES = Identity(
    types=(
        IdentifierType("user_id"),
        IdentifierType("email", limit=1, per="day"),
        IdentifierType("anonymous_id", soft=True),
    ),
    blocked=("demo",),
    hot=3,
    traits=(TraitRule("points", "sum"),),
)


@pytest.fixture
def world() -> World:
    """A shop whose team shares an address."""
    made = World(Definitions(version=1, identity=RULES))
    for number in range(5):
        made.send(identify(anonymous=f"a{number}", traits={"email": "team@acme.com", "points": number}))
        made.now_ms += 1
    made.send(identify(user="u", traits={"email": "one@acme.com", "points": 5}))
    made.send(identify(user="u", traits={"email": "two@acme.com"}))
    made.send(track("A", user="v"))
    made.fold()
    return made


@pytest.fixture
def client(tmp_path: Path, world: World) -> Iterator[fakes.Client]:
    """A client over that world."""
    assert isinstance(world.state, MemoryState)
    with fakes.client(tmp_path, state=world.state, log=world.reader, writer=world.writer) as made:
        yield made


def test_the_rules_in_force_are_shown(client: fakes.Client) -> None:
    """By priority, each in words; they are those of the log, not of a file."""
    assert client.get("/v1/identity").json() == {
        "policy": "merge-any",
        "types": [
            {"name": "user_id", "rule": "as built in"},
            {"name": "email", "rule": "limit 1 per day"}, {"name": "anonymous_id", "rule": "soft true"},
        ],
        "blocked": ["demo"],
        "patterns": [],
        "hot": 3,
        "traits": [{"name": "points", "rule": "keep sum"}],
    }  # fmt: skip


def test_hot_values_come_in_pages(client: fakes.Client) -> None:
    """Each with its profile, since when, and how many it has met."""
    page = client.get("/v1/identity/hot?limit=1").json()
    assert [(each["identifier"], each["met"]) for each in page["hot"]] == [("email:team@acme.com", 3)]
    assert client.get(f"/v1/identity/hot?limit=1&after={page['next']}").json() == {"hot": [], "next": ""}


def test_a_profile_says_what_was_kept_out_of_it(client: fakes.Client) -> None:
    """Who is at a limit is shown and judged like anybody, with what was kept out, and since when."""
    shown = client.get("/v1/profiles/user_id:u?include=identity,identifiers").json()
    assert [each["identifier"] for each in shown["identity"]["seen"]] == ["email:two@acme.com"]
    assert [each["rule"] for each in shown["identity"]["at_limit"]] == ["most_email"]
    assert [each["value"] for each in shown["identifiers"]["email"]] == ["one@acme.com"]
    hot = client.get("/v1/profiles/email:team@acme.com?include=identity").json()["identity"]["hot"]
    assert [each["identifier"] for each in hot] == ["email:team@acme.com"]
    assert "identity" not in client.get("/v1/profiles/user_id:v").json()


def test_each_part_of_a_trait_is_shown_with_its_event(client: fakes.Client) -> None:
    """Whose word made the value, and where it was said."""
    shown = client.get("/v1/profiles/email:team@acme.com?include=traits.points,provenance").json()
    assert shown["traits"] == {"points": 2}
    said = shown["provenance"]["traits"]["points"]
    assert said["keep"] == "sum"
    assert [(each["part"], each["value"]) for each in said["parts"]] == [("email:team@acme.com", 2)]
    assert said["parts"][0]["event"].startswith("00-")


def test_a_link_that_is_said_is_folded_and_can_be_waited_for(client: fakes.Client, world: World) -> None:
    """The answer's receipt names its place in the log; two people become one there, and once only."""
    body = {"a": "user_id:u", "b": "user_id:v", "by": "ann"}
    answer = client.post("/v1/identity/links", json=body)
    assert answer.status_code == 201
    assert receipt.read(answer.json()["receipt"]) == {0: world.reader.ends(0)[1]}
    world.fold()
    assert client.get("/v1/profiles/user_id:u").json()["id"] == client.get("/v1/profiles/user_id:v").json()["id"]
    again = client.post("/v1/identity/links", json=body | {"never": True})
    assert (again.status_code, again.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"a": "user_id:u", "b": "user_id:nobody"}, 404),
        ({"a": "user_id:u", "b": "nothing"}, 400),
        ({"a": "user_id:u", "b": "email:demo"}, 400),
        ({"a": "user_id:u", "b": "user_id:v", "c": 1}, 400),
    ],
)
def test_what_cannot_be_said_is_refused(client: fakes.Client, body: dict[str, str], status: int) -> None:
    """Nothing is written into the log that the fold could not follow."""
    assert client.post("/v1/identity/links", json=body).status_code == status


def test_what_is_never_one_person_stays_two(client: fakes.Client, world: World) -> None:
    """Said once, it holds for all that events show afterwards."""
    body = {"a": "user_id:v", "b": "email:one@acme.com", "never": True}
    assert client.post("/v1/identity/links", json=body).is_success
    world.now_ms += DAY_MS
    world.send(identify(user="v", traits={"email": "one@acme.com"}))
    world.fold()
    assert world.profile("user_id:v").id != world.profile("email:one@acme.com").id
    assert isinstance(world.writer, MemoryLog)
