"""Accounts over the API and the command: found by what events call them, with their members in pages."""

from collections.abc import Iterator

import pytest

from onefold.cli import accounts as command
from onefold.cli.printing import out
from onefold.model import position
from onefold.server.people import accounts
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import World, group
from tests.unit.core.test_accounts import DEFINITIONS, used
from tests.unit.server import fakes


def platform() -> World:
    """Five members of a company with an odd name, one of another."""
    world = World(DEFINITIONS)
    world.send(group("a/b c%", user="u0", traits={"plan": "pro", "name": "A & B"}), group(7, user="v"))
    world.send(*(used(f"u{n}", "a/b c%") for n in range(5)))
    world.pass_time(0)
    return world


@pytest.fixture(scope="module")
def world() -> World:
    """Give the platform."""
    return platform()


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app over it."""
    clock, path = ManualClock(world.now_ms), tmp_path_factory.mktemp("accounts")
    changed = {"log": world.reader, "state": world.state, "clock": clock, "history": MemoryHistory}
    with fakes.client(path, **changed) as client:
        yield client


def test_an_account_is_found_by_its_name(client: fakes.Client) -> None:
    """With what its calls declared, what is computed, how many members it has, and that all of them know."""
    found = client.get("/v1/accounts/a%2Fb%20c%25").json()
    assert (found["id"], found["events"], found["members"], found["told"]) == ("a/b c%", 6, 5, True)
    assert found["traits"] == {"name": "A & B", "plan": "pro"}
    assert found["computed"] == {"seats_used": 5, "uses_1h": 5}
    assert client.get("/v1/accounts/7").json()["members"] == 1


@pytest.mark.parametrize("name", ["acme", "null", "%00", "%20", "x" * 999, "user_id:v", ":7"])
def test_what_is_no_account_is_not_found(client: fakes.Client, name: str) -> None:
    """Unknown and impossible names get one answer."""
    for path in (f"/v1/accounts/{name}", f"/v1/accounts/{name}/members"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_members_come_in_pages(client: fakes.Client, world: World) -> None:
    """By profile id, each once; a page's `next` goes on behind it."""
    seen: list[str] = []
    after = ""
    for _ in range(9):
        page = client.get(f"/v1/accounts/a%2Fb%20c%25/members?limit=2&after={after}").json()
        seen += page["members"]
        after = page["next"]
        if not after:
            break
    assert seen == [position.show(world.profile(f"user_id:u{n}").id) for n in range(5)]
    assert client.get("/v1/accounts/7/members?after=x").status_code == 400


def test_a_person_says_whose_they_are_and_an_account_is_nobody(client: fakes.Client, world: World) -> None:
    """A profile names its account; an account's own profile is in none of the routes of people."""
    assert client.get("/v1/profiles/user_id:v").json()["account"] == "7"
    assert client.get("/v1/profiles/user_id:v?include=identifiers").json()["identifiers"].keys() == {"user_id"}
    account = f"prf_{world.profile(':7').id:016x}"
    for name, status in ((":7", 404), (account, 400)):
        assert client.get(f"/v1/profiles/{name}").status_code == status
    assert client.post("/v1/profiles/batch", json={"profiles": [":7"]}).json()["profiles"][0]["profile"] is None
    assert client.get("/v1/audiences/buyers/members").json()["members"] == []


def test_the_command_shows_an_account_to_people() -> None:
    """Its traits, how many members it has, and whether they are still being told."""
    world = platform()
    world.send(used("u9", "a/b c%"))
    world.fold()
    shown = accounts.answer(world.state, world.profile(":a/b c%"))
    assert not shown.told
    with out.capture() as captured:
        out.print(command.tree(shown))
    text = captured.get()
    assert "a/b c%  6 members, 7 events" in text
    for line in ("plan = ", "seats_used = 6", "members are being judged"):
        assert line in text
