"""`--as-of` of the commands, over a data directory with its tables."""

import csv
import json
from contextlib import closing
from pathlib import Path

import pytest

from onefold.cli import exits
from onefold.limits import HOUR_MS
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.runtime.history.writing import Historian, Sources
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.clock import ManualClock
from onefold.testing.world import START_MS, World, define, rfc3339, track
from tests.unit.cli.test_why import run

THEN = rfc3339(START_MS + HOUR_MS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which somebody bought, was silent, and left an audience by time alone."""
    data = tmp_path_factory.mktemp("as-of") / "data"
    place, clock = Place.open(Settings(data=data)), ManualClock(START_MS)
    definitions = define({"orders": 'count("Bought")'}, {"fresh": 'count("Bought", within="2h") > 0'})
    with (
        closing(place.catalog(clock)) as catalog,
        closing(place.log_writer(clock)) as writer,
        closing(place.log_reader()) as reader,
        closing(place.state()) as state,
        closing(place.history()) as history,
    ):
        world = World(catalog.save_definitions(definitions, "ann"), state=state)
        world.writer, world.reader, world.partitions = writer, reader, writer.partitions
        world.folding = Folding(reader, state, Programs(catalog.definitions))
        assert history.try_hold()
        historian = Historian(Sources(state, reader), history, clock, flush_s=1)
        historian.turn()
        world.define(catalog.definitions())
        world.pass_time(1_000)
        world.send(track("Bought", user="u"))
        world.pass_time(3 * HOUR_MS)
        while historian.turn():
            pass
        historian.stop()
    return data


def test_people_and_audiences_are_shown_as_they_were(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    """A profile, sizes, members, an export and an explanation, for people and as JSON."""
    where = ("--data", str(data), "--as-of", THEN)
    code, out, err = run(capsys, "profile", "show", "user_id:u", *where)
    assert (code, "with what was known then" in out, "fresh" in out) == (0, True, True), err
    code, out, _ = run(capsys, "profile", "show", "user_id:u", "--late", "--json", *where)
    assert json.loads(out)["as_of"]["memberships"] == "computed"
    code, out, _ = run(capsys, "audience", "list", "--json", *where)
    assert json.loads(out) == [{"name": "fresh", "size": 1, "expression": 'count("Bought", within="2h") > 0'}]
    code, out, _ = run(capsys, "audience", "members", "fresh", "--json", *where)
    found = json.loads(out)
    assert (found["size"], len(found["members"]), found["as_of"]) == (1, 1, THEN)
    code, out, _ = run(capsys, "audience", "export", "fresh", "-o", str(tmp_path / "then.csv"), *where)
    rows = list(csv.DictReader((tmp_path / "then.csv").open()))
    assert (code, [row["id"] for row in rows]) == (0, [found["members"][0]["id"]])
    code, out, _ = run(capsys, "why", "user_id:u", "fresh", *where)
    assert (code, "user_id:u is in fresh" in out) == (0, True)
    code, out, _ = run(capsys, "audience", "members", "fresh", "--json", "--data", str(data))
    assert json.loads(out)["members"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("profile", "show", "user_id:u", "--as-of", "2000-01-01"), "nobody had this identifier then"),
        (("profile", "show", "user_id:u", "--as-of", "1h", "--events"), "--events shows the latest events of now"),
        (("profile", "show", "user_id:u", "--late"), "--late: is said with --as-of"),
        (("profile", "show", "user_id:u", "--as-of", "soon"), "'soon' is neither a time"),
        (("audience", "members", "fresh", "--as-of", "2000-01-01"), "there was no such audience then"),
        (("audience", "members", "fresh", "--after", "x"), "--after is a profile id"),
        (
            ("audience", "export", "fresh", "--as-of", "1h", "--include", "traits", "-o", "x.csv"),
            "only ids are exported",
        ),
    ],
)
def test_what_cannot_be_answered_is_said(
    capsys: pytest.CaptureFixture[str], data: Path, words: tuple[str, ...], says: str
) -> None:
    """Mistakes and what is not known are refused with the reason."""
    code, _, err = run(capsys, *words, "--data", str(data))
    assert (code in {exits.PROBLEM, exits.USAGE}, says in err.replace("\n", " ")) == (True, True), err


def test_moves_can_be_queried(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """Who entered and left, when and why, beside everything else in SQL; and `doctor` says since when."""
    sql = "SELECT entered, reason, told, version FROM moves JOIN profiles USING (profile) ORDER BY seq"
    code, out, err = run(capsys, "query", sql, "--json", "--data", str(data))
    assert code == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    assert found == [
        {"entered": True, "reason": "event", "told": True, "version": 1},
        {"entered": False, "reason": "time", "told": True, "version": 1},
    ]
    _, out, _ = run(capsys, "doctor", "--data", str(data))
    assert "memberships kept from the beginning" in " ".join(out.split())
