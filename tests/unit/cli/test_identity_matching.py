"""Matching on the command line, over a real data directory: everybody with everybody at once, and households."""

from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from onefold.matching.index import Thresholds
from onefold.model.definitions import Definitions
from onefold.model.identity import IdentifierType, Identity
from onefold.model.position import show
from onefold.ports import LogWriter, Proposals, State
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.identity.matching import Matcher
from onefold.runtime.identity.sure_links import SureLinks
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.clock import ManualClock
from onefold.testing.world import START_MS, World, identify, track
from tests.unit.cli.test_command import run, run_json

DEFINITIONS = Definitions(version=1, identity=Identity(types=(IdentifierType("phone", unless=("name",)),)))
HOME: dict[str, Any] = {"lastName": "Lindgren", "address": {"street": "5 Long Street", "city": "Springfield"}}
ANN = HOME | {"firstName": "Ann", "birthday": "1980-02-03"}
PEOPLE = {
    "ann": ANN | {"phone": "+12125550100"},
    "anne": ANN | {"firstName": "Anne"},
    "bob": HOME | {"firstName": "Bob", "birthday": "1979-11-30", "phone": "+12125550100"},
    "carl": {"firstName": "Carl", "lastName": "Underwood", "birthday": "1970-01-01"},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A shop that two browsers of Ann's have told of her, one of her husband, and one of a stranger."""
    place = Place.open(Settings(data=tmp_path / "data", partitions=1))

    def live(state: State, writer: LogWriter, _: Proposals) -> None:
        with closing(place.log_reader()) as reader:
            world = World(state=state)
            world.writer, world.reader = writer, reader
            world.folding = Folding(reader, state, Programs(lambda _: DEFINITIONS))
            world.define(DEFINITIONS)
            world.send(*(identify(anonymous=name, traits=traits) for name, traits in PEOPLE.items()))
            world.send(track("Viewed", anonymous="nobody says who"))
            world.fold()

    opened(tmp_path / "data", live)
    return tmp_path / "data"


def opened(data: Path, do: Callable[[State, LogWriter, Proposals], None]) -> None:
    """Do something to its engines."""
    place, clock = Place.open(Settings(data=data, partitions=1)), ManualClock(START_MS)
    with (
        closing(place.log_writer(clock)) as writer,
        closing(place.state()) as state,
        closing(place.proposals(clock)) as proposals,
    ):
        do(state, writer, proposals)


def match_role(data: Path) -> None:
    """Let the match role do what there is to do."""

    def follow(state: State, writer: LogWriter, proposals: Proposals) -> None:
        clock = ManualClock(START_MS)
        matcher = Matcher(state, proposals, 1, Thresholds(), SureLinks(state, proposals, writer, clock))
        while matcher.turn():
            pass

    opened(data, follow)


def profile(data: Path, name: str) -> str:
    """The profile of this browser, as commands show it."""
    found: list[int] = []
    opened(data, lambda state, *_: found.append(state.lookup(f"anonymous_id:{name}") or 0))
    return show(found[0])


def test_everybody_is_compared_at_once(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """Without a match role, too: who is alike is proposed; a dry run says the same and proposes nothing."""
    words = ("--data", str(data))
    would = run_json(capsys, "identity", "match", "--dry-run", *words)
    assert would == {"engine": "own", "records": 4, "sure": 1, "asked": 0}
    assert run(capsys, "identity", "review", "list", "--standing", "sure", "--json", *words)[1] == ""
    assert run_json(capsys, "identity", "match", *words) == would
    found = run_json(capsys, "identity", "review", "list", "--standing", "sure", *words)
    assert {found["a"], found["b"]} == {profile(data, "ann"), profile(data, "anne")}
    assert found["score"] > 0.99
    assert "4 profiles compared by own: 1 sure, 0 to be asked" in run(capsys, "identity", "match", *words)[1]


def test_what_was_decided_stays(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """Who was refused is not proposed again by comparing everybody once more."""
    words = ("--data", str(data))
    run_json(capsys, "identity", "match", *words)
    pair = profile(data, "ann"), profile(data, "anne")
    run_json(capsys, "identity", "review", "refuse", *pair, *words)
    run_json(capsys, "identity", "match", *words)
    assert run(capsys, "identity", "review", "list", "--standing", "sure", "--json", *words)[1] == ""
    refused = run_json(capsys, "identity", "review", "list", "--standing", "refused", *words)
    assert (refused["a"], refused["b"]) == tuple(sorted(pair))


def test_engines_that_are_not_there_are_named(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """An unknown engine, and one that is an extra, with the command that installs it."""
    words = ("--data", str(data))
    code, _, err = run(capsys, "identity", "match", "--engine", "splnk", *words)
    assert (code, "there are own, splink" in err) == (2, True)
    if find_spec("splink") is None:
        code, _, err = run(capsys, "identity", "match", "--engine", "splink", *words)
        assert (bool(code), "pip install 'onefold[matching]'" in err) == (True, True)


def test_households_are_counted_by_size(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """The match role knows who lives together; before it has looked there are none."""
    words = ("--data", str(data))
    assert "no households" in run(capsys, "identity", "households", *words)[1]
    match_role(data)
    found = run_json(capsys, "identity", "households", *words)
    assert found == {"households": 1, "profiles": 3, "sizes": [{"profiles": 3, "households": 1}]}
    shown = run(capsys, "identity", "households", *words)[1]
    assert "3 profiles in 1 household" in shown
