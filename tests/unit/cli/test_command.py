"""The command line as scripts see it: exit codes, JSON, one clear line for an error."""

import json
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from onefold import kernel
from onefold.cli.app import VERBS, build, main
from onefold.clock import SystemClock
from onefold.model.event import Event
from onefold.model.past import Past
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.place import Place


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with an empty catalog."""
    directory = DataDirectory.open(tmp_path / "data")
    SqliteCatalog(directory.catalog, SystemClock()).close()
    return directory.path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def run_json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command that must succeed prints with `--json`."""
    code, out, err = run(capsys, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_every_command_has_examples() -> None:
    """The help of every command says what it does and ends with examples."""
    top: Any = get_command(build())
    assert set(top.commands) == set(VERBS)
    for path, command in _leaves("onefold", top):
        assert "Examples:" in command.help, path


def test_flags_ask_for_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    """The help shows a type beside what takes a value, and nothing beside a flag."""
    _, out, _ = run(capsys, "deliveries", "replay", "--help")
    assert not [line for line in out.splitlines() if ("--json" in line or "--yes" in line) and "<" in line]
    assert [line for line in out.splitlines() if "--data" in line and "DIR" in line]


def test_every_command_that_prints_data_has_json() -> None:
    """Every command but those that run a process has `--json`."""
    processes = {f"onefold {verb}" for verb in ("serve", "collect", "worker", "deliver", "history", "match", "api")}
    for path, command in _leaves("onefold", get_command(build())):
        names = {name for param in command.params for name in param.opts}
        assert "--json" in names or path in processes, path


def test_every_command_takes_a_data_directory() -> None:
    """Every command that touches data takes `--data DIR`."""
    for path, command in _leaves("onefold", get_command(build())):
        names = {name for param in command.params for name in param.opts}
        assert "--data" in names or path in {"onefold check", "onefold bench"}, path


def test_an_unknown_verb_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not understood exits with 2."""
    assert run(capsys, "sreve")[0] == 2
    assert run(capsys, "keys", "create")[0] == 2
    assert run(capsys, "serve", "--port", "many")[0] == 2


def test_a_missing_directory_is_one_clear_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What cannot be opened exits with 3, says in one line what and what to do, and shows no traceback."""
    code, out, err = run(capsys, "keys", "list", "--data", str(tmp_path / "nowhere"))
    assert code == 3
    assert out == ""
    assert err.startswith("error: ")
    assert "onefold serve --data" in err
    assert len(err.splitlines()) == 1


def test_verbose_shows_the_traceback(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`--verbose` shows where an error came from, wherever it stands."""
    _, _, err = run(capsys, "keys", "list", "--data", str(tmp_path / "nowhere"), "--verbose")
    assert "Traceback" in err


def test_wrong_settings_are_a_usage_error(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """A wrong setting in a file exits with 2 and names it."""
    (data / "onefold.toml").write_text("prot = 1\n")
    code, _, err = run(capsys, "keys", "list", "--data", str(data))
    assert code == 2
    assert "prot" in err


def test_keys_are_created_listed_and_revoked(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """A key is shown once when it is made; listed without its secret; worthless when revoked."""
    place = ("--data", str(data))
    made = run_json(capsys, "keys", "create", "website", "--scope", "profiles:read", *place)
    assert made["secret_key"].startswith("sk_")
    listed = run_json(capsys, "keys", "list", *place)
    assert [(key["name"], key["hint"]) for key in listed] == [("website", made["secret_key"][-4:])]
    assert made["secret_key"] not in json.dumps(listed)
    run_json(capsys, "keys", "revoke", "website", *place)
    assert run_json(capsys, "keys", "list", *place)[0]["revoked_at_ms"] is not None
    assert run(capsys, "keys", "revoke", "website", *place)[0] == 1
    assert run(capsys, "keys", "signing", "nowhere", *place)[0] == 1


def test_an_unknown_scope_is_named(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """A wrong scope exits with 2 and lists those there are."""
    code, _, err = run(capsys, "keys", "create", "x", "-s", "profiles:raed", "--data", str(data))
    assert code == 2
    assert "profiles:read" in err


def test_sources_have_write_keys(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """A source gets a write key, a new one on demand, and can be stopped and started."""
    place = ("--data", str(data))
    made = run_json(capsys, "sources", "create", "website", *place)
    rotated = run_json(capsys, "sources", "rotate", "website", *place)
    assert made["write_key"] != rotated["write_key"]
    assert run_json(capsys, "sources", "disable", "website", *place)["enabled"] is False
    assert run_json(capsys, "sources", "enable", "website", *place)["enabled"] is True
    assert [source["name"] for source in run_json(capsys, "sources", "list", *place)] == ["website"]


GOOD = """
traits:
  orders: count("Order Completed")
audiences:
  buyers: orders > 0
"""
BAD = """
traits:
  orders: cuont("Order Completed")
audiences:
  buyers: order > 0
"""


def test_check_finds_every_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """All mistakes are shown at once, each with file and line; exit code 1."""
    (tmp_path / "shop.yaml").write_text(BAD)
    code, _, err = run(capsys, "check", str(tmp_path))
    assert code == 1
    assert "shop.yaml:3" in err
    assert "shop.yaml:5" in err
    code, out, _ = run(capsys, "check", str(tmp_path), "--json")
    assert code == 1
    assert [problem["line"] for problem in json.loads(out)["problems"]] == [3, 5]


def test_check_counts_what_there_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """In words that fit; traits of accounts where there are any."""
    (tmp_path / "a.yaml").write_text('traits:\n  orders: count("Bought")\nsources: [web, app]\n')
    assert run(capsys, "check", str(tmp_path))[1].strip() == "✓ 2 sources, 1 trait, 0 audiences, 0 destinations"
    (tmp_path / "b.yaml").write_text('accounts:\n  traits:\n    spent: count("Bought")\n')
    assert ", 1 trait, 1 account trait, " in run(capsys, "check", str(tmp_path))[1]
    assert json.loads(run(capsys, "check", str(tmp_path), "--json")[1])["account_traits"] == 1


def test_apply_makes_a_version_only_of_what_changes(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    """The first apply makes version 1 and shows what is new; the same again makes none; a mistake applies nothing."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "shop.yaml").write_text(GOOD)
    words = ("apply", str(workspace), "--data", str(data))
    code, out, err = run(capsys, *words, "--yes")
    assert (code, err) == (0, "")
    assert "+ trait orders" in out
    assert "+ audience buyers" in out
    assert run_json(capsys, *words) == {"version": 1, "changes": [], "coming": False}
    (workspace / "shop.yaml").write_text(BAD)
    assert run(capsys, *words, "--yes")[0] == 1
    (workspace / "shop.yaml").write_text(GOOD.replace("> 0", "> 1"))
    assert run_json(capsys, *words)["version"] == 2


def test_doctor_advises_on_a_directory_that_was_never_served(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """What is missing is a warning with what to do; nothing fails."""
    found = run_json(capsys, "doctor", "--data", str(data))
    assert not [one for one in found if one["verdict"] == "fail"]
    assert all(one["advice"] for one in found if one["verdict"] == "warn")


def test_doctor_fails_where_there_is_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """No data directory is a failure: exit code 1."""
    assert run(capsys, "doctor", "--data", str(tmp_path / "nowhere"))[0] == 1


def test_the_version_is_printed() -> None:
    """`python -m onefold --version` works as a process, too, and says whether there is a kernel."""
    done = subprocess.run([sys.executable, "-m", "onefold", "--version"], capture_output=True, text=True, check=True)
    version, with_kernel = done.stdout.splitlines()
    assert version.count(".") == 2
    assert with_kernel == f"kernel: {kernel.found.standing}"


def _leaves(path: str, command: Any) -> Iterable[tuple[str, Any]]:
    for name, sub in command.commands.items():
        if hasattr(sub, "commands"):
            yield from _leaves(f"{path} {name}", sub)
        else:
            yield f"{path} {name}", sub


def test_preview_shows_what_would_change(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    """Over history it says who would match, for people and for scripts; without history, that there is none."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "audiences.yaml").write_text('audiences: {buyers: count("Bought") > 1}')
    code, _, said = run(capsys, "preview", str(workspace), "--data", str(data))
    assert (code, "history" in said) == (1, True)
    now_ms, event = SystemClock().now_ms(), Event("track", event="Bought")
    with closing(Place.open(Settings(data=data)).history()) as history:
        assert history.try_hold()
        history.append([_bought(number, now_ms - 1_000, event) for number in (1, 2, 2)], [], 1)
    found = run_json(capsys, "preview", str(workspace), "--data", str(data))
    assert [(one["name"], one["change"], one["people"]) for one in found["audiences"]] == [("buyers", "new", 1)]
    _, out, _ = run(capsys, "preview", str(workspace), "buyers", "--data", str(data), "--days", "3")
    assert "1 person matches (50.0%)" in out
    assert "0 → 1 in 3 days" in out


def _bought(profile: int, at_ms: int, event: Event) -> Past:
    place = next(_places)
    return Past(0, place, profile, at_ms, at_ms, place.to_bytes(16, "big"), "web", "Bought", event)


_places = count(1)
