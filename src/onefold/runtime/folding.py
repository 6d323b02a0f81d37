"""Folding one partition of the log into the state: read, load, step, commit, again where another was faster.

The same code runs live, in a replay and in the simulation; only the ports differ.
"""

from collections.abc import Collection, Iterable

import msgspec

from onefold.core import pipeline
from onefold.core.batch import Batch, Unreadable, read
from onefold.core.combine import combine
from onefold.core.identifiers import Finder
from onefold.core.pipeline import Place
from onefold.core.rules import Rules
from onefold.errors import Conflict
from onefold.language.program import Program
from onefold.limits import MIB, STEP_MAX_EVENTS, SWEEP_MAX_PROFILES, TICK_MAX_TIMERS
from onefold.model import profile as profiles
from onefold.model.changes import Changes, Cursor, View
from onefold.model.entry import Defined, Entry, Received, Sweep, Tick
from onefold.model.profile import Profile
from onefold.ports import Loaded, LogReader, Record, State
from onefold.runtime.programs import Programs
from onefold.runtime.recent import Recent

_READ_MAX_BYTES = 16 * MIB
_CACHED_EVENTS = 500
"""Events decoded and folded before the next are decoded: what fits a second-level cache."""
_CONTESTED_EVENTS = 8_000
"""What a commit may always fold although others commit too; fewer would wait longer for the disk than for them."""
_CACHED_PROFILES = 50_000
_CACHED_OWNERS = 200_000


class Folding:
    """The fold of some partitions into one state."""

    def __init__(self, log: LogReader, state: State, programs: Programs, rules: Rules) -> None:
        self._log = log
        self._state = state
        self._programs = programs
        self._rules = rules
        self._finder = Finder(rules)
        self._snapshot = 0
        self._profiles: Recent[int, Profile] = Recent(_CACHED_PROFILES)
        self._owners: Recent[str, int] = Recent(_CACHED_OWNERS)
        self._cursors: dict[int, Cursor] = {}
        self._alone_events = STEP_MAX_EVENTS
        """Events that one commit may fold without meeting another worker's: fewer after a conflict, then more again."""
        self.conflicts = 0

    def cursor(self, partition: int) -> Cursor:
        """How far this partition has been folded."""
        if partition not in self._cursors:
            self._cursors[partition] = self._state.cursor(partition)
        return self._cursors[partition]

    def advance(self, partition: int, max_events: int = STEP_MAX_EVENTS, until: int | None = None) -> int:
        """Fold the next entries of a partition (up to offset `until`) in one commit; returns how many, 0 at the end."""
        while True:
            self._catch_up()
            cursor = self.cursor(partition)
            records = self._log.read(partition, cursor.offset, _READ_MAX_BYTES)
            if until is not None:
                records = [record for record in records if record.offset < until]
            if not records:
                return 0
            try:
                taken = self._fold(partition, cursor, records, min(max_events, self._alone_events))
            except Conflict:
                self.conflicts += 1
                self._alone_events = max(_CONTESTED_EVENTS, self._alone_events // 4)
            else:
                self._alone_events = min(STEP_MAX_EVENTS, self._alone_events + _CACHED_EVENTS)
                return taken

    def _fold(self, partition: int, cursor: Cursor, records: list[Record], max_events: int) -> int:
        program = self._programs.get(cursor.version)
        first = self._decode(program, records[0])
        if isinstance(first, Tick | Defined | Sweep):
            self._fold_alone(Place(partition, cursor, records[0].offset, first.at_ms), first, program)
            return 1
        pending = _Pending(self._snapshot)
        taken, events = 0, 0
        while events < max_events and taken < len(records):
            batch = self._next_batch(program, cursor, partition, records[taken:], max_events - events)
            if batch is None:
                break
            view = self._load(pending, batch.identifiers(), (), batch.messages())
            pending.add(pipeline.step(batch, view, program, self._rules))
            events += len(batch.incoming)
            taken += batch.cursor.offset - cursor.offset
            cursor = batch.cursor
        self._commit(pending)
        return taken

    def _decode(self, program: Program, record: Record) -> Entry | Unreadable:
        """The entry of a record, or why it is none."""
        try:
            return program.decode(record.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Unreadable(str(error), record.data)

    def _next_batch(
        self, program: Program, cursor: Cursor, partition: int, records: list[Record], max_events: int
    ) -> Batch | None:
        """The next run of events, small enough to stay in the processor's cache; None before another kind of entry."""
        received: list[tuple[int, Received | Unreadable]] = []
        events = 0
        for record in records:
            entry = self._decode(program, record)
            if not isinstance(entry, Received | Unreadable):
                break
            received.append((record.offset, entry))
            events += len(entry.events) if isinstance(entry, Received) else 1
            if events >= min(max_events, _CACHED_EVENTS):
                break
        return read(partition, cursor, received, self._finder) if received else None

    def _fold_alone(self, place: Place, entry: Tick | Defined | Sweep, program: Program) -> None:
        """An entry without events makes a commit of its own."""
        pending = _Pending(self._snapshot)
        match entry:
            case Tick():
                now_ms = place.after().now_ms
                due = [profile for _, profile in self._state.due(place.partition, now_ms, TICK_MAX_TIMERS)]
                view = self._load(pending, (), due, ())
                changes = pipeline.tick(place, view, program, self._rules)
            case Sweep(after=after):
                ids = self._state.profile_ids(place.partition, after, SWEEP_MAX_PROFILES)
                view = self._load(pending, (), ids, ())
                changes = pipeline.sweep(place, view, program, self._rules)
            case Defined(version=version) if version > place.before.version:
                self._programs.learn(entry)
                changes = pipeline.define(place, self._programs.get(version), self._rules)
            case _:
                changes = pipeline.skip(place, program, self._rules)
        pending.add(changes)
        self._commit(pending)

    # --- what is loaded, and what is remembered ----------------------------------------------------------------
    def _catch_up(self) -> None:
        """Forget whatever others have changed since we looked last; it may be that they fold our partitions, too."""
        newest, changed = self._state.touched_since(self._snapshot)
        if newest != self._snapshot:
            self._cursors.clear()
        if changed is None:
            self._profiles.clear()
            self._owners.clear()
        else:
            self._forget(changed.profiles, changed.identifiers)
        self._snapshot = newest

    def _forget(self, profile_ids: Iterable[int], identifiers: Iterable[str]) -> None:
        for profile_id in profile_ids:
            self._profiles.forget(profile_id)
        for identifier in identifiers:
            self._owners.forget(identifier)

    def _load(
        self, pending: "_Pending", identifiers: Iterable[str], wanted: Collection[int], messages: Collection[bytes]
    ) -> View:
        """The view of a batch: from what is pending, from memory, and from the state where neither has it."""
        owners, unknown = self._owners_of(pending, identifiers)
        remembered = {i: self._remembered(pending, i) for i in {*owners.values(), *wanted}}
        here = {i: profile for i, profile in remembered.items() if profile is not None}
        loaded = self._state.load(unknown, [i for i in remembered if i not in here], messages, here)
        for profile_id, data in loaded.profiles.items():
            here[profile_id] = self._remembered(pending, profile_id) or profiles.decode(data)
        for identifier, owner in loaded.identifiers.items():
            self._owners.put(identifier, owner)
            owners[identifier] = owner
        loaded.seen.update(pending.seen(messages))
        pending.reads(owners, {*here, *wanted} if wanted else here)
        return View(owners, here, loaded.seen)

    def _owners_of(self, pending: "_Pending", identifiers: Iterable[str]) -> tuple[dict[str, int], list[str]]:
        """Identifier → owner where that is remembered, and the identifiers to look up."""
        owners: dict[str, int] = {}
        unknown: list[str] = []
        for identifier in identifiers:
            owner = pending.owner(identifier) or self._owners.get(identifier)
            if owner is None:
                unknown.append(identifier)
            else:
                owners[identifier] = owner
        return owners, unknown

    def _remembered(self, pending: "_Pending", profile_id: int) -> Profile | None:
        return pending.profile(profile_id) or self._profiles.get(profile_id)

    def _commit(self, pending: "_Pending") -> None:
        changes = pending.changes
        assert changes is not None
        encode = profiles.encode
        encoded = {profile_id: encode(profile) for profile_id, profile in changes.profiles.items()}
        try:
            self._state.commit(changes, pending.loaded(), encoded)
        except BaseException:
            self._forget(pending.loaded().profiles, pending.loaded().identifiers)
            self._cursors.clear()
            raise
        self._cursors[changes.partition] = changes.cursor
        for profile_id, profile in changes.profiles.items():
            self._profiles.put(profile_id, profile)
        for profile_id in changes.absorbed:
            self._profiles.forget(profile_id)
        for identifier, owner in changes.identifiers.items():
            self._owners.put(identifier, owner)


class _Pending:
    """What the steps of one commit have done so far, and what they have read."""

    def __init__(self, snapshot: int) -> None:
        self._snapshot = snapshot
        self._identifiers: dict[str, int] = {}
        self._profiles: dict[int, bytes] = {}
        self.changes: Changes | None = None

    def seen(self, messages: Iterable[bytes]) -> dict[bytes, int]:
        """Those of the messages that were admitted so far."""
        admitted = {} if self.changes is None else self.changes.messages
        return {message: admitted[message] for message in messages if message in admitted} if admitted else {}

    def owner(self, identifier: str) -> int | None:
        """Who has the identifier, if that has changed."""
        return None if self.changes is None else self.changes.identifiers.get(identifier)

    def profile(self, profile_id: int) -> Profile | None:
        """The profile, if it has changed."""
        return None if self.changes is None else self.changes.profiles.get(profile_id)

    def reads(self, owners: dict[str, int], here: Iterable[int]) -> None:
        """Remember what was read, for the commit to check."""
        self._identifiers |= owners
        self._profiles.update(dict.fromkeys(here, b""))

    def add(self, changes: Changes) -> None:
        """One more step."""
        self.changes = changes if self.changes is None else combine(self.changes, changes)

    def loaded(self) -> Loaded:
        """All reads, as of the snapshot from before the first."""
        return Loaded(self._snapshot, self._identifiers, self._profiles, {})
