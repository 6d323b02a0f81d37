"""The LMDB state against plain dictionaries: random commits, some of them stale, with reopening in between."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onefold.errors import Conflict
from onefold.limits import HOUR_MS, NEVER_MS
from onefold.model.changes import Changes, Cursor
from onefold.model.effect import Admitted, Entered
from onefold.model.position import profile_id
from onefold.model.profile import Profile
from onefold.model.quarantined import Quarantined
from onefold.model.rules import Rules, fingerprint
from onefold.ports import Loaded, State
from onefold.storage.embedded.state import LmdbState, Options
from onefold.testing.conformance.state import message
from onefold.testing.memory.state import MemoryState

WINDOW_MS = HOUR_MS
RULES = [Rules(), Rules(phone_region="DE"), Rules(frozenset({"null", "ä"}), dedupe_window_ms=WINDOW_MS)]
PARTITIONS = (0, 1, 255)
PROFILES = [profile_id(p, n << 16) for p in PARTITIONS for n in range(4)]
IDENTIFIERS = [f"user_id:{n}" for n in range(6)] + ["email:ä@ö.ü", "\U0001f600:x"]
AUDIENCES = ["vip", "vi", "new"]
MESSAGES = [message(n) for n in range(12)]

ids = st.sampled_from(PROFILES)
names = st.sampled_from(IDENTIFIERS)


@st.composite
def batches(draw: st.DrawFn) -> dict[str, Any]:
    """What one batch does, without what depends on the state: the cursor, timers armed before, absorbed profiles."""
    return {
        "partition": draw(st.sampled_from(PARTITIONS)),
        "window_ms": draw(st.sampled_from([WINDOW_MS, WINDOW_MS, 9 * WINDOW_MS])),
        "rules": draw(st.none() | st.sampled_from(RULES)),
        "passed_ms": draw(st.sampled_from([0, 1, 7 * 60_000, HOUR_MS, 5 * HOUR_MS, 50 * HOUR_MS])),
        "profiles": draw(st.dictionaries(ids, st.binary(max_size=6_000), max_size=5)),
        "merges": draw(st.lists(st.tuples(ids, ids), max_size=2)),
        "identifiers": draw(st.dictionaries(names, ids, max_size=4)),
        "due": draw(st.dictionaries(ids, st.sampled_from([1, 5, 9, NEVER_MS]), max_size=4)),
        "members": draw(
            st.dictionaries(st.sampled_from(AUDIENCES), st.dictionaries(ids, st.integers(0, 3), max_size=4))
        ),
        "messages": draw(st.dictionaries(st.sampled_from(MESSAGES), st.integers(0, 2 * HOUR_MS), max_size=6)),
        "effects": draw(st.lists(st.tuples(ids, st.booleans()), max_size=3)),
        "quarantined": draw(st.integers(0, 2)),
        "counts": draw(st.dictionaries(st.sampled_from(["received", "admitted"]), st.integers(0, 5))),
        "stale": draw(st.integers(0, 3)),
        "reopen": draw(st.booleans()),
        "trim": draw(st.booleans()),
    }


class Driver:
    """Does the same to both engines, and holds what a worker would know: timers armed, and who absorbed whom."""

    def __init__(self, reopen: Callable[[], State]) -> None:
        self.reopen = reopen
        """Opens the engine; called again after it was closed."""
        self.engine = reopen()
        self.memory = MemoryState(WINDOW_MS)
        self.armed: dict[int, int] = {}
        self.gone: set[int] = set()
        self.loads: list[tuple[Loaded, Loaded]] = [self.load()]

    def load(self) -> tuple[Loaded, Loaded]:
        half = IDENTIFIERS[::2], PROFILES[::3], MESSAGES
        return self.engine.load(*half), self.memory.load(*half)

    def run(self, batch: dict[str, Any]) -> None:
        changes, encoded = self.changes(batch)
        self.loads.append(self.load())
        ours, theirs = self.loads[-1 - min(batch["stale"], len(self.loads) - 1)]
        assert ours == theirs
        refused = [attempt(self.engine, changes, ours, encoded), attempt(self.memory, changes, theirs, encoded)]
        assert refused[0] == refused[1]
        if not refused[0]:
            self.gone.update(changes.absorbed)
            self.armed.update({profile: after for profile, (_, after) in changes.due.items()})
        if batch["trim"]:
            assert self.engine.trim_effects(ours.snapshot) == self.memory.trim_effects(ours.snapshot)
        if batch["reopen"]:
            self.engine.close()
            self.engine = self.reopen()
        assert answers(self.engine) == answers(self.memory)

    def changes(self, batch: dict[str, Any]) -> tuple[Changes, dict[int, bytes]]:
        partition = batch["partition"]
        old = self.memory.cursor(partition)
        now_ms = (old.now_ms or 1_000 * HOUR_MS) + batch["passed_ms"]
        absorbed: dict[int, int] = {}
        for loser, survivor in batch["merges"]:
            if loser not in {*absorbed, *self.gone, *absorbed.values()} and survivor not in {
                loser,
                *absorbed,
                *self.gone,
            }:
                absorbed[loser] = survivor
        encoded = {p: data for p, data in batch["profiles"].items() if p not in absorbed and p not in self.gone}
        wanted = {p: due for p, due in batch["due"].items() if p not in self.gone} | dict.fromkeys(absorbed, NEVER_MS)
        due = {p: (self.armed.get(p, NEVER_MS), after) for p, after in wanted.items()}
        offset = old.offset + 1
        effects: list[Any] = [
            Entered(p, offset << 16, n, now_ms, "vip") if entered else Admitted(p, offset << 16, n, now_ms, "Viewed")
            for n, (p, entered) in enumerate(batch["effects"])
        ]
        quarantined = [Quarantined(partition, (offset << 16) + n, "web", now_ms, "schema", "{}")
                       for n in range(batch["quarantined"])]  # fmt: skip
        rules = batch["rules"]
        cursor = Cursor(
            offset,
            now_ms,
            1,
            rules=old.rules if rules is None else fingerprint(rules),
            forgotten_ms=max(old.forgotten_ms, now_ms - batch["window_ms"]),
        )
        changes = Changes(
            partition, cursor, {p: Profile(p, 0, 0, 0, 0) for p in encoded}, batch["identifiers"],
            absorbed, due, batch["members"], {m: now_ms - ago for m, ago in batch["messages"].items()}, effects,
            quarantined, batch["counts"], rules,
        )  # fmt: skip
        return changes, encoded


def attempt(state: State, changes: Changes, loaded: Loaded, encoded: dict[int, bytes]) -> bool:
    """Commit; whether it conflicted."""
    try:
        state.commit([changes], loaded, encoded)
    except Conflict:
        return True
    return False


def answers(state: State) -> list[Any]:
    """Every answer that the state can give."""
    snapshot = state.load(IDENTIFIERS, PROFILES, MESSAGES).snapshot
    return [
        state.load(IDENTIFIERS, PROFILES, MESSAGES),
        state.load(IDENTIFIERS, (), (), set(PROFILES[::2])),
        [(state.cursor(p), state.rules(state.cursor(p).rules)) for p in PARTITIONS],
        [(state.due(p, 5, 3), state.due(p, NEVER_MS, 99), state.next_due_ms(p)) for p in PARTITIONS],
        [(state.profile_ids(p, 0, 99), state.profile_ids(p, PROFILES[5], 2)) for p in PARTITIONS],
        [state.lookup(name) for name in IDENTIFIERS],
        [state.profile(p) for p in PROFILES],
        [(state.members(a, 0, 99), state.members(a, PROFILES[2], 2)) for a in AUDIENCES],
        state.sizes(),
        state.counts(),
        [state.effects(after, limit) for after, limit in [(0, 99), (snapshot - 2, 1)]],
        [state.quarantined(after, limit) for after, limit in [((0, -1), 99), ((1, 1 << 16), 1)]],
        list(state.items()),
        state.digest(),
    ]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(batches(), max_size=12), st.sampled_from([1, 7, 1_000]))
def test_the_lmdb_state_answers_as_dictionaries_do(history: list[dict[str, Any]], move_messages: int) -> None:
    """After every commit, whether it conflicted or not, both engines give the same answers and digests."""
    with tempfile.TemporaryDirectory() as directory:
        options = Options(WINDOW_MS, map_bytes=1 << 20, move_messages=move_messages)
        driver = Driver(lambda: LmdbState(Path(directory) / "state", options=options))
        try:
            for batch in history:
                driver.run(batch)
        finally:
            driver.engine.close()
