"""Versions on the command line: what each changed, back, into shadow and out of it, and members as a file."""

import json
from pathlib import Path

import pytest

from onefold.clock import SystemClock
from onefold.model.definitions import Audience, Definitions
from onefold.model.profile import Profile
from onefold.model.profile import encode as profile_bytes
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.embedded.log import LmdbLogWriter
from onefold.storage.embedded.state import LmdbState
from onefold.testing.conformance.state import changes
from tests.unit.cli.test_command import run, run_json

ONE = """
traits:
  orders: count("Order Completed")
audiences:
  buyers: orders > 0
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """`DIR --data DIR` of a workspace and of a data directory with a catalog, a log and a state."""
    directory = DataDirectory.open(tmp_path / "data")
    SqliteCatalog(directory.catalog, SystemClock()).close()
    LmdbLogWriter(directory.log, 1).close()
    LmdbState(directory.state).close()
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "shop.yaml").write_text(ONE)
    return [str(tmp_path / "workspace"), "--data", str(directory.path)]


def _write(words: list[str], text: str) -> None:
    (Path(words[0]) / "shop.yaml").write_text(text)


def test_versions_say_who_changed_what(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """Newest first, each with its changes; two can be compared in either direction."""
    run_json(capsys, "apply", *words)
    _write(words, ONE.replace("> 0", "> 1"))
    run_json(capsys, "apply", *words)
    listed = run_json(capsys, "versions", "list", *words[1:])
    assert [one["version"] for one in listed] == [2, 1]
    assert listed[0]["changes"] == ["~ audience buyers: expression orders > 0 → orders > 1"]
    code, out, _ = run(capsys, "versions", *words[1:])
    assert code == 0
    assert out.index("orders > 1") < out.index("+ trait orders")
    assert run_json(capsys, "versions", "diff", "2", "1", *words[1:])["changes"] == [
        "~ audience buyers: expression orders > 1 → orders > 0"
    ]
    assert "say the same" in run(capsys, "versions", "diff", "1", "1", *words[1:])[1]
    assert run(capsys, "versions", "diff", "1", "9", *words[1:])[0] == 1


def test_a_rollback_shows_what_it_changes_first(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """Unasked it changes nothing; with --yes the old content is the next version; again it is none."""
    run_json(capsys, "apply", *words)
    _write(words, ONE.replace("> 0", "> 1"))
    run_json(capsys, "apply", *words)
    code, out, _ = run(capsys, "rollback", "1", *words[1:])
    assert code != 0
    assert "orders > 1 → orders > 0" in out
    assert len(run_json(capsys, "versions", "list", *words[1:])) == 2
    assert run(capsys, "rollback", "1", "--yes", *words[1:])[0] == 0
    assert run_json(capsys, "versions", "list", *words[1:])[0]["note"] == "rolls back to version 1"
    assert run_json(capsys, "rollback", "1", *words[1:]) == {"version": 3, "changes": [], "coming": False}
    assert run(capsys, "rollback", "9", "--yes", *words[1:])[0] == 1


def test_a_shadow_is_applied_shown_and_promoted(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """What is live stays until it is promoted; dropping it leaves no trace in what is live."""
    run_json(capsys, "apply", *words)
    assert run(capsys, "apply", "--shadow", *words)[0] == 2  # it says what is live
    _write(words, ONE.replace("> 0", "> 1"))
    assert run(capsys, "apply", "--shadow", "--yes", *words)[0] == 0
    listed = run_json(capsys, "audience", "list", *words[1:])
    assert [(one["name"], one["expression"]) for one in listed] == [
        ("buyers", "orders > 0"), ("buyers@shadow", "orders > 1"),
    ]  # fmt: skip
    shown = run_json(capsys, "shadow", "show", *words[1:])
    assert (shown["audiences"][0]["name"], shown["settled"]) == ("buyers", False)
    assert "would enter" in run(capsys, "shadow", "show", *words[1:])[1]
    assert run(capsys, "shadow", "drop", "--yes", *words[1:])[0] == 0
    assert run(capsys, "shadow", "promote", "--yes", *words[1:])[0] == 1
    run_json(capsys, "apply", "--shadow", *words)
    assert run_json(capsys, "shadow", "promote", *words[1:])["version"] == 5
    assert [one["expression"] for one in run_json(capsys, "audience", "list", *words[1:])] == ["orders > 1"]


def test_members_are_exported(capsys: pytest.CaptureFixture[str], words: list[str], tmp_path: Path) -> None:
    """The format is that of the file's name or as said; an unknown one, or an unknown audience, writes nothing."""
    data = Path(words[2])
    catalog = SqliteCatalog(data / "catalog.sqlite", SystemClock())
    catalog.save_definitions(Definitions(audiences=(Audience("buyers", "events > 0"),)), "ann")
    catalog.close()
    person = Profile(7, 0, 0, 0, 0, identifiers={"email:a@b.c": 0}, audiences={"buyers": 1_700_000_000_000})
    state = LmdbState(DataDirectory.open(data).state)
    made = changes(members={"buyers": {7: 1}})
    made.profiles = {7: person}
    state.commit([made], state.load((), (), ()), {7: profile_bytes(person)})
    state.close()
    target = tmp_path / "buyers.csv"
    exported = ("audience", "export", "buyers", "--include", "identifiers.email", *words[1:])
    assert run_json(capsys, *exported, "-o", str(target)) == {"audience": "buyers", "members": 1, "file": str(target)}
    assert target.read_text().splitlines()[1] == "prf_0000000000000007,2023-11-14T22:13:20.000Z,a@b.c"
    assert target.stat().st_mode & 0o077 == 0
    assert run(capsys, *exported, "-o", str(tmp_path / "x"), "--format", "ndjson")[0] == 0
    assert json.loads((tmp_path / "x").read_text())["identifiers.email"] == ["a@b.c"]
    assert run(capsys, *exported, "-o", str(tmp_path / "buyers.xlsx"))[0] == 2
    assert run(capsys, "audience", "export", "none", "-o", str(tmp_path / "none.csv"), *words[1:])[0] == 1
    assert not (tmp_path / "none.csv").exists()
