"""`onefold why` for people: what holds is marked, numbers stand beside it, times are absolute and relative."""

import json
import re
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from onefold.cli import exits, explained
from onefold.cli.app import main
from onefold.clock import SystemClock
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.world import World, define, identify, track
from tests.unit.core.explaining.test_explain import SHOP, shopping, why


def shown(world: World, name: str, *, events: int = 3) -> str:
    """An explanation as it is printed."""
    console = Console(width=200, highlight=False)
    with console.capture() as captured:
        for line in explained.lines(why(world, name), "user_id:u", ", applied by ann on 2026-01-01 10:00:00", events):
            console.print(line)
    return captured.get()


def test_an_audience_reads_like_its_expression() -> None:
    """Each condition has a mark and a word, both numbers, and when it turns; below it stand trait, window and event."""
    text = shown(shopping(), "abandoners")
    assert text.startswith("✓ user_id:u is in abandoners since 2023-11-15 02:16:20 (1 min ago)\n")
    assert "leaves by itself 2023-11-15 03:16:20 (in 59 min)" in text
    assert "definitions 1, applied by ann on 2026-01-01 10:00:00" in text
    assert re.search(r"├─ ✓ true   carts_1h > 0 +1 > 0  turns false 2023-11-15 03:16:20 \(in 59 min\)", text)
    assert re.search(r"│  └─ carts_1h +  = 1  becomes 0", text)
    assert "2 such events, none of them since 2023-11-15 01:17:20 (1 h ago), the latest 2023-11-15 00:16:20" in text
    assert "decided by 1 event, which alone gives the same answer" in text


def test_values_are_aligned() -> None:
    """All values of a tree begin in one column."""
    text = shown(shopping(), "abandoners")
    columns = {
        line.index(sign) for line in text.splitlines() for sign in ("  = ", "  1 > 0", "  0 == 0") if sign in line
    }
    assert len(columns) == 1


def test_a_trait_that_is_named_again_is_not_repeated() -> None:
    """Where a trait stands for the second time, it is said to be shown above."""
    text = shown(shopping(), "vip")
    assert text.count('count("Order Completed")  ') == 1
    assert "shown above" in text
    assert '"silver" == "gold"' in text


def test_more_events_are_counted_and_can_be_had() -> None:
    """What does not fit is counted, with the flag that shows it."""
    assert "and 1 more; --events 2 shows them" in shown(shopping(), "revenue", events=1)
    assert "more;" not in shown(shopping(), "revenue")


def test_what_strangers_wrote_is_not_obeyed() -> None:
    """Markup and control characters in events, values and names are shown, not run."""
    world = World(SHOP)
    world.send(identify(user="u", traits={"plan": "[red]\x1b[2Jgold"}), source="we[b]b")
    world.fold()
    text = shown(world, "vip")
    assert "[red]\\x1b[2Jgold" in text
    assert "we[b]b" in text
    assert "\x1b[2J" not in text


def test_distances_have_two_units() -> None:
    """Times are told apart without counting digits: days with hours, hours with minutes."""
    world = shopping()
    world.pass_time(3 * DAY_MS + 5 * HOUR_MS + 7 * MINUTE_MS)
    assert "(3 d 5 h ago)" in shown(world, "lapsing")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory of the embedded engines in which somebody has bought twice."""
    place, clock = Place.open(Settings(data=tmp_path / "data")), SystemClock()
    definitions = define({"orders": 'count("Bought")'}, {"buyers": "orders > 1"})
    with (
        closing(place.catalog(clock)) as catalog,
        closing(place.log_writer(clock)) as writer,
        closing(place.log_reader()) as reader,
        closing(place.state()) as state,
    ):
        world = World(catalog.save_definitions(definitions, "ann"), state=state)
        world.writer, world.reader, world.partitions = writer, reader, writer.partitions
        world.folding = Folding(reader, state, Programs(catalog.definitions))
        world.define(catalog.definitions())
        world.send(track("Bought", user="u"), track("Bought", user="u"))
        world.fold()
    return tmp_path / "data"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_command_answers_from_a_data_directory(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """Text for people, the API's answer with --json; an unknown name or person is said with what was meant."""
    code, out, err = run(capsys, "why", "user_id:u", "buyers", "--data", str(data))
    assert (code, "user_id:u is in buyers" in out) == (0, True), err
    assert "applied by ann" in out
    code, out, _ = run(capsys, "why", "user_id:u", "buyers", "--json", "--data", str(data))
    found = json.loads(out)
    assert (code, found["answer"]["value"], found["deciding"]) == (0, True, 2)
    code, _, err = run(capsys, "why", "user_id:u", "buyer", "--data", str(data))
    assert (code, "did you mean `buyers`" in err) == (exits.PROBLEM, True)
    code, _, err = run(capsys, "why", "user_id:x", "buyers", "--data", str(data))
    assert (code, "no such profile" in err) == (exits.PROBLEM, True)
