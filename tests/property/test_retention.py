"""Retention: what reads hardly anything of the effects forgets just what reading all of them would."""

import tempfile
from itertools import accumulate
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.model.effect import Admitted, AnyEffect
from onefold.model.entry import Outgoing, encode
from onefold.model.position import position
from onefold.runtime.retention import Retention
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.embedded.log import LmdbLogReader, LmdbLogWriter
from onefold.storage.embedded.state import LmdbState
from onefold.testing.clock import ManualClock
from onefold.testing.conformance.state import commit

PARTITIONS = 3
KEPT_MS = 60_000
COMMITS = st.lists(
    st.tuples(st.integers(0, PARTITIONS - 1), st.lists(st.sampled_from([0, 1, 30_000]), max_size=3)),
    min_size=4,
    max_size=9,
)
"""Of each commit: its partition, and by how much each of its effects happened after the one before it there."""


@settings(max_examples=40, deadline=None)
@given(COMMITS, st.integers(0, 9), st.integers(0, 5).map(lambda n: n * 30_000))
def test_what_is_old_and_taken_is_forgotten(commits: list[tuple[int, list[int]]], taken: int, later_ms: int) -> None:
    """Effects go up to the first commit that is not taken, or not old in all of its effects; records as far as that."""
    with tempfile.TemporaryDirectory(prefix="onefold-test-") as scratch:
        clock = ManualClock()
        directory = DataDirectory.open(Path(scratch) / "data")
        log = LmdbLogWriter(directory.log, PARTITIONS, clock)
        state = LmdbState(directory.state)
        at_ms = [clock.now_ms()] * PARTITIONS
        made = [_commit(log, state, partition, _instants(at_ms, partition, gaps)) for partition, gaps in commits]
        with_effects = {number: found for number, found in made if found}
        clock.advance(later_ms)
        chosen = Settings(data=directory.path, effects_retention_s=KEPT_MS // 1000, log_retention_bytes=0)
        Retention(chosen, log, state, lambda: taken, clock).trim()
        old_ms = clock.now_ms() - KEPT_MS
        stays = (n for n, found in with_effects.items() if n > taken or max(each.at_ms for each in found) > old_ms)
        first = min(stays, default=1 << 62)
        assert [one.number for one in state.commits(0, 1 << 30)] == [n for n in with_effects if n >= first]
        _check_log(directory, state, commits)
        state.close()
        log.close()


def _instants(at_ms: list[int], partition: int, gaps: list[int]) -> list[int]:
    """When the effects of a commit happen; `at_ms` is how far each partition is."""
    instants = list(accumulate(gaps, initial=at_ms[partition]))
    at_ms[partition] = instants[-1]
    return instants[1:]


def _commit(log: LmdbLogWriter, state: LmdbState, partition: int, instants: list[int]) -> tuple[int, list[AnyEffect]]:
    """A record of the log, folded: its number and effects."""
    offset = log.append({partition: [encode(Outgoing("web", 1, []))]})[partition]
    found: list[AnyEffect] = [Admitted(1, position(offset, n), 0, at_ms, "A") for n, at_ms in enumerate(instants)]
    return commit(state, partition=partition, offset=offset + 1, effects=found), found


def _check_log(directory: DataDirectory, state: LmdbState, commits: list[tuple[int, list[int]]]) -> None:
    """Of each partition all records from the first that an effect points to are there, and, without any, none."""
    reader = LmdbLogReader(directory.log)
    kept = state.effects(0, 99)
    for partition in range(PARTITIONS):
        end = sum(p == partition for p, _ in commits)
        needed = [effect.position >> 16 for _, p, found in kept if p == partition for effect in found]
        begin, there = reader.ends(partition)
        assert there == end
        if needed:
            assert begin == min(needed)
        else:
            assert begin == (0 if kept else end)
    reader.close()
