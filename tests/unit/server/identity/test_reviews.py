"""Proposed links over the API: a page of them with what speaks for each, decisions, and who lives with whom."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onefold.model import position, receipt
from onefold.model.definitions import Definitions
from onefold.model.identity import IdentifierType, Identity
from onefold.model.proposal import Proposal, Tie
from onefold.ports import Proposals
from onefold.testing.memory.state import MemoryState
from onefold.testing.world import World, identify
from tests.unit.server import fakes

PATH = "/v1/identity/reviews"


@pytest.fixture
def world() -> World:
    """Ann twice, her husband with her phone, and a stranger."""
    made = World(Definitions(version=1, identity=Identity(types=(IdentifierType("phone", unless=("name",)),))))
    home = {"lastName": "Lind", "phone": "+12125550100", "address": {"street": "5 Long Street", "city": "Springfield"}}
    for anonymous, traits in (
        ("a", home | {"firstName": "Ann"}),
        ("b", {"firstName": "Annie", "lastName": "Lind", "birthday": "1980-02-03"}),
        ("c", home | {"firstName": "Bob"}),
        ("d", {"firstName": "Zoe", "lastName": "Quist"}),
    ):
        made.send(identify(anonymous=anonymous, traits=traits))
        made.now_ms += 1
    made.fold()
    return made


@pytest.fixture
def client(tmp_path: Path, world: World) -> Iterator[fakes.Client]:
    """A client over that world, in which three pairs are proposed."""
    assert isinstance(world.state, MemoryState)
    with fakes.client(tmp_path, state=world.state, log=world.reader, writer=world.writer) as made:
        a, b, c, d = (number(world, name) for name in "abcd")
        found = [Proposal(a, b, 0.8, 0.1, ask=True), Proposal(b, d, 0.7, 0.0, ask=True),
                 Proposal(c, d, 0.99, 0.0, ask=False)]  # fmt: skip
        proposals(made).put(found, {a, b, c, d}, 1, [Tie(a, c, 0.97), Tie(a, b, 0.91)])
        yield made


def proposals(client: fakes.Client) -> Proposals:
    """Those that the client's platform has."""
    return client.engines.proposed()


def number(world: World, anonymous: str) -> int:
    """The profile of a browser."""
    return world.profile(f"anonymous_id:{anonymous}").id


def decision(world: World, one: str, other: str, judgement: str = "accepted") -> dict[str, Any]:
    """The body of a decision."""
    a, b = (position.show(number(world, each)) for each in (one, other))
    return {"a": a, "b": b, "judgement": judgement, "by": "ann"}


def test_what_is_asked_comes_in_pages_with_its_reasons(client: fakes.Client) -> None:
    """The highest score first, each with both records, what each comparison says, and how many stand how."""
    page = client.get(f"{PATH}?limit=1").json()
    (review,) = page["reviews"]
    assert (review["score"], review["standing"], review["apart"]) == (0.8, "asked", True)
    assert (review["a"]["given"], review["b"]["born"]) == ("ann", "19800203")
    assert {each["comparison"]: each["level"] for each in review["why"]} == {"given": "nickname", "family": "same"}
    assert page["counts"] == {"asked": 2, "sure": 1}
    rest = client.get(f"{PATH}?limit=1&after={page['next']}").json()
    assert [each["score"] for each in rest["reviews"]] == [0.7]
    assert client.get(f"{PATH}?limit=9&after={rest['next']}").json()["reviews"] == []


@pytest.mark.parametrize(
    ("query", "scores"),
    [
        ("standing=sure", [0.99]),
        ("standing=refused", []),
        ("least=0.75", [0.8]),
        ("least=0.81", []),
    ],
)
def test_pages_can_be_of_some_only(client: fakes.Client, query: str, scores: list[float]) -> None:
    """By how they stand, and by score."""
    assert [each["score"] for each in client.get(f"{PATH}?{query}").json()["reviews"]] == scores


def test_whoever_is_accepted_becomes_one(client: fakes.Client, world: World) -> None:
    """The decision is kept in the key's name, and its entry of the log can be waited for."""
    answer = client.post(PATH, json=decision(world, "a", "b"))
    assert answer.status_code == 201
    assert (answer.json()["standing"], answer.json()["by"]) == ("accepted", "ann (key admin)")
    assert receipt.read(answer.json()["receipt"]) == {0: world.reader.ends(0)[1]}
    world.fold()
    assert number(world, "a") == number(world, "b")
    (review,) = client.get(f"{PATH}?standing=accepted").json()["reviews"]
    assert review["apart"] is False


def test_whoever_is_refused_stays_two(client: fakes.Client, world: World) -> None:
    """Nothing that events show joins them afterwards."""
    assert client.post(PATH, json=decision(world, "a", "b", "refused")).status_code == 201
    world.fold()
    for each in "ab":
        world.send(identify(anonymous=each, traits={"email": "ann@mail.example"}))
    world.fold()
    assert number(world, "a") != number(world, "b")


def test_two_reviewers_do_not_overrule_each_other(client: fakes.Client, world: World) -> None:
    """Who decides from what is no longer so is refused, and told what somebody else has decided."""
    tag = client.get(PATH).json()["reviews"][0]["tag"]
    headers = {"if-match": f'"{tag}"'}
    assert client.post(PATH, json=decision(world, "a", "b", "refused"), headers=headers).status_code == 201
    late = client.post(PATH, json=decision(world, "a", "b"), headers=headers)
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert "refused by ann" in late.json()["message"]


@pytest.mark.parametrize(
    ("change", "status"),
    [({"a": "prf_00000000000000ff"}, 404), ({"a": "ann"}, 400), ({"judgement": "sure"}, 400), ({"c": 1}, 400)],
)
def test_what_cannot_be_decided_is_refused(
    client: fakes.Client, world: World, change: dict[str, Any], status: int
) -> None:
    """A pair that is not proposed, what is no profile, no such judgement."""
    assert client.post(PATH, json=decision(world, "a", "b") | change).status_code == status


def test_who_lives_together_is_shown_with_its_reasons(client: fakes.Client, world: World) -> None:
    """The household is the same for each of its members; whoever lives alone is one of one."""
    answers = [client.get(f"/v1/profiles/anonymous_id:{each}/household").json() for each in "abcd"]
    first = position.show(number(world, "a"))
    assert [each["household"] for each in answers[:3]] == [first] * 3
    assert {member["name"] for member in answers[2]["members"]} == {"ann lind", "annie lind", "bob lind"}
    by_name = {member["name"]: member for member in answers[0]["members"]}
    assert by_name["ann lind"]["why"] == []
    assert (by_name["bob lind"]["tied_to"], by_name["bob lind"]["together"]) == (first, 0.97)
    assert {"comparison": "phone", "level": "same"}.items() <= by_name["bob lind"]["why"][3].items()
    assert [member["name"] for member in answers[3]["members"]] == ["zoe quist"]
    assert client.get("/v1/profiles/anonymous_id:z/household").status_code == 404


def test_households_are_counted(client: fakes.Client) -> None:
    """By size; whoever lives alone is none."""
    answer = client.get("/v1/identity/households").json()
    assert answer == {"households": 1, "profiles": 3, "sizes": [{"profiles": 3, "households": 1}]}
