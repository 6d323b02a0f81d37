"""Other rules of identity over a data directory with its tables, by command."""

from contextlib import closing
from pathlib import Path

import pytest

from onefold.model.definitions import Definitions
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.history.writing import Historian, Sources
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.clock import ManualClock
from onefold.testing.world import START_MS, World, identify, track
from tests.unit.cli.test_command import run, run_json

STRICTER = "identity: {types: {email: {limit: 1}, anonymous_id: {soft: true}}, blocked: [kiosk], hot: 2}\n"
CARDS = "identity: {types: {card: {from: [properties.card]}}}\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop in which Ann and Bob share a kiosk, and somebody has a card."""
    data = tmp_path_factory.mktemp("what-if") / "data"
    place, clock = Place.open(Settings(data=data, partitions=1)), ManualClock(START_MS)
    with (
        closing(place.catalog(clock)) as catalog,
        closing(place.log_writer(clock)) as writer,
        closing(place.log_reader()) as reader,
        closing(place.state()) as state,
        closing(place.history()) as history,
    ):
        world = World(Definitions(version=1), state=state)
        world.writer, world.reader, world.partitions = writer, reader, writer.partitions
        world.folding = Folding(reader, state, Programs(catalog.definitions))
        assert history.try_hold()
        historian = Historian(Sources(state, reader), history, clock, flush_s=1)
        for name, born in (("ann", "1980-01-02"), ("bob", "1991-11-30")):
            traits = {"email": f"{name}@acme.com", "firstName": name, "birthday": born}
            world.send(identify(anonymous="kiosk", traits=traits))
            world.now_ms += 1
        world.send(track("A", user="card-holder", properties={"card": "7"}))
        world.fold()
        while historian.turn():
            pass
        historian.flush()
        world.send(track("B", anonymous="walk-in", properties={"card": "7"}), track("C", anonymous="kiosk"))
        world.fold()
        historian.stop()
    return data


def rules(tmp_path: Path, text: str) -> str:
    """A file with these rules."""
    (tmp_path / "rules.yaml").write_text(text)
    return str(tmp_path / "rules.yaml")


def test_who_would_split(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    """Who a kiosk has joined is shown as two, with what has joined them, and as over-merged now; nothing is changed."""
    words = ("identity", "what-if", rules(tmp_path, STRICTER), "--data", str(data))
    found = run_json(capsys, *words)
    assert (found["people_now"], found["people_then"], found["events"]) == (3, 4, 5)
    (case,) = found["splits"]["samples"]
    assert [part["identifiers"] for part in case["then"]] == [["email:ann@acme.com"], ["email:bob@acme.com"]]
    assert {"a": "email:ann@acme.com", "b": "anonymous_id:kiosk", "rule": "shared_event", "refused": False} in case[
        "why"
    ]
    assert found["of_nobody"] == 1
    assert found["over_merge"]["now"]["reasons"] == {"two_birthdays": 1, "two_given_names": 1}
    assert found["over_merge"]["then"]["people"] == 0
    shown = run(capsys, *words)[1]
    assert "3 people now, 4 then (+1)" in shown
    assert "1 person of now would split, into 2" in shown
    assert "two birthdays" in shown
    assert "1 event would be nobody's" in shown
    assert run_json(capsys, *words) | {"as_of_ms": 0} == found | {"as_of_ms": 0}


def test_who_would_merge(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    """A card that was no identifier joins, also what history does not have yet; with the link that does it."""
    words = ("identity", "what-if", rules(tmp_path, CARDS), "--data", str(data))
    found = run_json(capsys, *words)
    assert (found["people_now"], found["people_then"], found["same"]) == (3, 2, 1)
    (case,) = found["merges"]["samples"]
    assert sorted(name for part in case["now"] for name in part["identifiers"]) == [
        "anonymous_id:walk-in", "user_id:card-holder",
    ]  # fmt: skip
    assert "1 person of then would be made, of 2" in run(capsys, *words)[1]


def test_a_mistake_in_the_rules_is_shown(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    """The rules are checked as `onefold check` does."""
    words = ("identity", "what-if", rules(tmp_path, "identity: {policy: segmant}\n"), "--data", str(data))
    code, _, said = run(capsys, *words)
    assert (code, "segment" in said) == (1, True)
