"""History after misfortune: a killed role writes everything once; no loss of power takes back what was settled."""

import multiprocessing
import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from onefold.model.delivery import sequence
from onefold.model.effect import Admitted, Entered, Left
from onefold.model.entry import Defined, Outgoing, encode
from onefold.model.past import Past, beginning
from onefold.runtime.folding.fold import Folding
from onefold.runtime.folding.programs import Programs
from onefold.settings import Settings
from onefold.storage.history.delta import DeltaHistory
from onefold.storage.place import Place
from onefold.testing.conformance.history import by_place, contents, move, past
from onefold.testing.history_requests import requests
from onefold.testing.world import START_MS, define
from tests.simulation import history_child

BEGINS_WITHIN_S = 60.0

DEFINITIONS = define({"views": 'count("Viewed")'}, {"lookers": "views > 1", "known": "exists(traits.n)"})


def folded(place: Place, seed: int) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Fill a log and fold it; what was admitted, as partition, position, profile; and every move, by its `seq`."""
    with closing(place.log_writer()) as log, closing(place.state()) as state:
        for partition in range(2):
            log.append({partition: [encode(Defined(START_MS, 1, msgspec.to_builtins(DEFINITIONS)))]})
        for partition, now_ms, events in requests(random.Random(seed), 60):
            raw = [Raw(msgspec.json.encode(event)) for event in events]
            log.append({partition: [encode(Outgoing("web", now_ms, raw))]})
        with closing(place.log_reader()) as reader:
            folding = Folding(reader, state, Programs(lambda _: place.catalog().definitions()))
            while sum(folding.advance(partition, 20) for partition in range(2)):
                pass
        commits, moving = state.effects(0, 1 << 30), (Entered, Left)
        effects = [(p, e) for _, p, found in commits for e in found if isinstance(e, Admitted)]
        moves = [sequence(c, n) for c, _, found in commits for n, e in enumerate(found) if isinstance(e, moving)]
        return sorted((partition, effect.position, effect.profile) for partition, effect in effects), moves


def killed_until_done(data: Path, chance: random.Random) -> Iterator[bool]:
    """Start the role and kill it, the later the longer it takes; yields whether it was done.

    Each is forked from a process that has loaded what a role loads, which takes longer than what it does here.
    """
    lives = multiprocessing.get_context("forkserver")
    lives.set_forkserver_preload([history_child.__name__])
    patience_s = 0.02
    done = False
    while not done:
        begun = lives.Event()
        life = lives.Process(target=history_child.write, args=(data, begun))
        life.start()
        assert begun.wait(BEGINS_WITHIN_S)
        life.join(chance.uniform(0, patience_s))
        life.kill()
        life.join()
        done = life.exitcode == 0
        assert done or life.exitcode == -signal.SIGKILL
        yield done
        patience_s *= 1.5


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_role_goes_on_where_it_was(seed: int, tmp_path: Path) -> None:
    """However often the role is killed, in the end every admitted event and every move is there once."""
    place = Place.open(Settings(data=tmp_path / "data", partitions=2))
    expected, moves = folded(place, seed)
    rounds = list(killed_until_done(place.settings.data, random.Random(seed)))
    assert len(rounds) > 1
    with closing(place.history_reader()) as history:
        assert [(one.partition, one.position, one.profile) for one in contents(history)] == expected
        found = history.moves_of({profile for _, _, profile in expected})
        assert [one.seq for one in found if one.seq] == moves
        assert history.moves_since() is not None


def torn(files: list[Path], chance: random.Random) -> None:
    """What a loss of power may do to files that were not synced."""
    for file in files:
        match chance.choice(("kept", "lost", "empty", "cut")):
            case "lost":
                file.unlink()
            case "empty":
                file.write_bytes(b"")
            case "cut":
                file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("seed", range(12))
def test_a_loss_of_power_takes_back_the_last_commit_at_most(seed: int, tmp_path: Path) -> None:
    """Whatever of the last, unsynced append was lost: what was settled before is there, and it is written again."""
    chance = random.Random(seed)
    before = [past(n, profile=n % 3 + 1) for n in range(1, 9)]
    with closing(DeltaHistory(tmp_path / "history")) as history:
        assert history.try_hold()
        history.begin_moves([beginning(0)])
        history.append(before[:4], [], 1, [move(sequence(1, 0))])
        history.append(before[4:], [], 2)
    shutil.copytree(tmp_path / "history", tmp_path / "settled")
    after = [past(20)]
    with closing(DeltaHistory(tmp_path / "history")) as history:
        assert history.try_hold()
        history.append(after, [], 3, [move(sequence(3, 0))])
    names = {path.relative_to(tmp_path / "history") for path in (tmp_path / "history").rglob("*") if path.is_file()}
    settled = {path.relative_to(tmp_path / "settled") for path in (tmp_path / "settled").rglob("*") if path.is_file()}
    fresh = sorted(tmp_path / "history" / name for name in names - settled)
    # The table that was being written: what comes before it is synced, what comes after it not begun.
    torn_first = chance.choice(("moves", "events"))
    torn([file for file in fresh if torn_first in file.parts], chance)
    for file in fresh:
        if torn_first == "moves" and "events" in file.parts:
            file.unlink()
    _again(tmp_path / "history", before, after)


def _again(directory: Path, before: list[Past], after: list[Past]) -> None:
    with closing(DeltaHistory(directory)) as history:
        assert history.try_hold()
        assert history.cursor() in {2, 3}
        if history.cursor() == 2:
            assert contents(history) == by_place(before)
            history.append(after, [], 3, [move(sequence(3, 0))])
        assert contents(history) == by_place([*before, *after])
        assert history.moves_of([1]) == [move(sequence(1, 0)), move(sequence(3, 0))]
        assert history.settled() == 3
