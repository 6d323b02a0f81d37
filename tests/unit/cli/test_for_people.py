"""What the command prints for people: values as the language writes them, reasons where something waits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from onefold.cli import exits
from onefold.cli.app import main
from onefold.cli.events import line
from onefold.cli.profile import tree
from onefold.demo import screen
from onefold.demo.measures import Chapter, Measures
from onefold.errors import InvalidRequest
from onefold.model.delivery import Delivery, Progress
from onefold.runtime.doctor import examine
from onefold.server.operating.tail import Shown
from onefold.server.people.profile_answer import ProfileAnswer
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.deliveries import DeliveryStore

NOW = "2026-01-02T03:04:05.678Z"
WORKSPACE = "traits:\n  orders: count()\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a destination whose oldest delivery waits for its fourth attempt."""
    directory = DataDirectory.open(tmp_path / "data")
    store = DeliveryStore(directory.deliveries)
    counts = {"taken": 2, "delivered": 1, "pending": 1}
    waiting = Delivery(1, "msg_1", 7, "event", b"{}", "retrying", 3, 0, 0, "connect")
    store.write([Progress("crm", 1, counts, {1: waiting}, {})], 1, ["crm"])
    store.close()
    return directory.path


def profile(events: int) -> str:
    """A profile as it is printed."""
    answer = ProfileAnswer("prf_1", NOW, NOW, NOW, NOW, 1, events, computed={"vip": False, "seen": ["a", 1]})
    console = Console(width=100)
    with console.capture() as shown:
        console.print(tree(answer, []))
    return shown.get()


def test_values_are_shown_as_the_language_writes_them() -> None:
    """Booleans and lists are JSON, not Python, in a profile and in the tail; one event is one event."""
    changed = line(Shown("changed", "id", NOW, traits={"vip": False, "seen": ["a", 1], "plan": "pro"}))
    assert 'vip = false, seen = ["a",1], plan = pro' in Text.from_markup(changed).plain
    assert "vip = false" in profile(2)
    assert 'seen = ["a",1]' in profile(2)
    assert "2 events" in profile(2)
    assert "1 event," in profile(1)


def test_a_name_that_names_nobody_is_a_usage_error() -> None:
    """Scripts can tell a command that is wrong from a profile that is not there."""
    assert exits.code_of(InvalidRequest("a profile is named by namespace:value")) == exits.USAGE


def test_without_anyone_to_ask_apply_says_what_to_do(tmp_path: Path) -> None:
    """In a script, without --yes and without an answer, apply changes nothing, names the flag, and ends with 2."""
    (tmp_path / "shop.yaml").write_text(WORKSPACE)
    command = [sys.executable, "-m", "onefold", "apply", str(tmp_path), "--data", str(tmp_path / "data")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == exits.USAGE
    assert "--yes" in done.stderr
    no = subprocess.run(command, input="n\n", capture_output=True, text=True, check=False)
    assert no.returncode == exits.PROBLEM
    assert "nothing was changed" in no.stdout


def test_what_holds_deliveries_up_is_shown(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """`deliveries list` says why the oldest delivery that waits has failed so far."""
    with pytest.raises(SystemExit):
        main(["deliveries", "list", "--data", str(data)])
    assert "connect, 3 attempts" in capsys.readouterr().out


def test_doctor_warns_of_a_destination_that_does_not_answer(data: Path) -> None:
    """Deliveries that wait for another attempt are worth a word, with the reason."""
    found = {one.name: one for one in examine(Settings(data=data))}["deliveries to crm"]
    assert found.verdict == "warn"
    assert "connect" in found.advice


@pytest.mark.parametrize("height", [24, 32, 40, 80])
def test_the_demo_shows_its_latest_step_on_any_terminal(height: int) -> None:
    """On a low terminal the screen drops old steps of the story, and never the newest."""
    console = Console(width=110, height=height)
    measures = Measures()
    measures.story = [Chapter(float(n), "phone", f"does {n}", ["enters one", "enters two"], 1.0) for n in range(8)]
    lines = console.render_lines(screen.fitting(measures, "http://localhost", "a hint", console), pad=False)
    assert len(lines) < height
    assert "does 7" in "\n".join("".join(part.text for part in line) for line in lines)


def test_nobody_is_asked_about_a_destination_that_is_not_there(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is wrong is said to be wrong before anything is asked."""
    with pytest.raises(SystemExit) as ended:
        main(["deliveries", "replay", "crn", "--data", str(data)])
    said = capsys.readouterr()
    assert ended.value.code == exits.PROBLEM
    assert "destination 'crn'; did you mean 'crm'?" in said.err
    assert "again?" not in said.out


def test_what_is_parked_of_a_destination_that_is_no_longer_defined_stays(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever asks that it be sent again is told that there is no such destination; it is not among all of them."""
    with pytest.raises(SystemExit) as ended:
        main(["deliveries", "replay", "crm", "--data", str(data), "--yes"])
    assert ended.value.code == exits.PROBLEM
    assert "no definition of a destination 'crm'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["deliveries", "replay", "--data", str(data), "--json"])
    assert ended.value.code == exits.OK
    assert json.loads(capsys.readouterr().out) == {"destination": None, "asked_for": 0}
    store = DeliveryStore(DataDirectory.open(data).deliveries)
    assert not store.requests()
    store.close()
