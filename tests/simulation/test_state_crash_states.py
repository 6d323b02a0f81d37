"""No power cut loses an acknowledged commit of the state, or leaves one in part.

`ONEFOLD_CUTS=10000 make test-services ARGS=tests/simulation/test_state_crash_states.py` tries more than the usual 300.
"""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from onefold.model.changes import Cursor
from onefold.model.position import profile_id
from onefold.storage.embedded.state import LmdbState, Options
from onefold.testing import crash_trace
from onefold.testing.conformance.state import NOW_MS, admitted, commit, message
from onefold.testing.crash_states import Lost, explore
from onefold.testing.memory.state import MemoryState

pytestmark = [pytest.mark.strace, pytest.mark.timeout(1800)]

CUTS = int(os.environ.get("ONEFOLD_CUTS", "300"))
SEED = int(os.environ.get("ONEFOLD_SEED", "0"))
COMMITS = 40
OPTIONS = Options(map_bytes=1 << 20, move_messages=40)


def commits(directory: Path, ack: Callable[[bytes], None]) -> None:
    """Commits of everything that a state holds, with messages moved and effects trimmed, over a map that grows."""
    with closing(LmdbState(directory / "state", options=OPTIONS)) as state:
        for n in range(COMMITS):
            advance(state, n)
            ack(bytes((n,)))
            if n % 10 == 9:
                state.trim_effects(n - 5)


def advance(state: LmdbState | MemoryState, n: int) -> None:
    """The n-th commit."""
    people = [profile_id(0, (n * k % 23) << 16) for k in (1, 5, 7)]
    commit(
        state, data=b"%d " % n * (n * 40), profiles=people, cursor=Cursor(n + 1, NOW_MS + n),
        identifiers={f"user_id:{n}": people[0]}, members={"vip": dict.fromkeys(people, n % 3)},
        messages={message(n * 10 + i): NOW_MS + n for i in range(10)}, effects=[admitted(n)], counts={"received": 10},
    )  # fmt: skip


def holds_its_commits(image: Path, acks: list[bytes]) -> None:
    """The state opens, is exactly that of some number of commits, has all that were acknowledged, and goes on."""
    with closing(LmdbState(image / "state", options=OPTIONS)) as state:
        done = state.cursor(0).offset
        if done < len(acks):
            raise Lost(f"{len(acks)} commits were acknowledged, {done} are there")
        expected = MemoryState()
        for n in range(done):
            advance(expected, n)
        for further in range(2):
            kept = max(state.effects(0, 1), default=(done + 1, 0, []))[0]
            expected.trim_effects(kept)
            assert state.digest() == expected.digest(), f"{done} commits are not whole"
            assert state.sizes() == expected.sizes()
            for handle in (state, expected):
                advance(handle, done + further)


def test_no_power_cut_loses_a_commit(scratch: Path) -> None:
    """Whatever a power cut leaves of the files, the state opens with every acknowledged commit, each one whole."""
    report = explore(crash_trace.record(commits, scratch), holds_its_commits, scratch, cuts=CUTS, seed=SEED)
    assert not report.failures, report
