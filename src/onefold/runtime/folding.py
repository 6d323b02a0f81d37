"""Folding one partition of the log into the state: read, load, step, commit, again where another was faster.

The same code runs live, in a replay and in the simulation; only the ports differ.
"""

from collections.abc import Iterable

import msgspec

from onefold.core import pipeline
from onefold.core.batch import Batch, read
from onefold.core.identifiers import Finder
from onefold.core.pipeline import Place
from onefold.core.rules import Rules
from onefold.errors import Conflict
from onefold.limits import MIB, STEP_MAX_EVENTS, SWEEP_MAX_PROFILES, TICK_MAX_TIMERS
from onefold.model import entry as entries
from onefold.model import profile as profiles
from onefold.model.changes import Changes, Cursor, View
from onefold.model.entry import Defined, Received, Sweep, Tick
from onefold.model.profile import Profile
from onefold.ports import Loaded, LogReader, Record, State
from onefold.runtime.programs import Programs
from onefold.runtime.recent import Recent

_READ_MAX_BYTES = 8 * MIB
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
        self.conflicts = 0

    def cursor(self, partition: int) -> Cursor:
        """How far this partition has been folded."""
        if partition not in self._cursors:
            self._cursors[partition] = self._state.cursor(partition)
        return self._cursors[partition]

    def advance(self, partition: int, max_events: int = STEP_MAX_EVENTS, until: int | None = None) -> int:
        """Fold the next batch of a partition (up to offset `until`); returns how many records it took, 0 at the end."""
        cursor = self.cursor(partition)
        records = self._log.read(partition, cursor.offset, _READ_MAX_BYTES)
        if until is not None:
            records = [record for record in records if record.offset < until]
        if not records:
            return 0
        while True:
            try:
                return self._fold(partition, self.cursor(partition), records, max_events)
            except Conflict:
                self.conflicts += 1
                self._forget()
                if self.cursor(partition).offset != cursor.offset:
                    return 0

    def _fold(self, partition: int, cursor: Cursor, records: list[Record], max_events: int) -> int:
        self._catch_up()
        received: list[tuple[int, Received]] = []
        undecodable: list[tuple[int, str, bytes]] = []
        events = 0
        for record in records:
            try:
                entry = entries.decode(record.data)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                undecodable.append((record.offset, str(error), record.data))
                continue
            if not isinstance(entry, Received):
                if not received and not undecodable:
                    self._fold_alone(Place(partition, cursor, record.offset, entry.at_ms), entry)
                    return 1
                break
            received.append((record.offset, entry))
            events += len(entry.events)
            if events >= max_events:
                break
        batch = read(partition, cursor, received, self._finder)
        batch.undecodable = undecodable
        taken = len(received) + len(undecodable)
        batch.cursor = msgspec.structs.replace(batch.cursor, offset=cursor.offset + taken)
        self._fold_events(cursor, batch)
        return taken

    def _fold_events(self, cursor: Cursor, batch: Batch) -> None:
        identifiers = batch.identifiers()
        view, loaded = self._load(identifiers, (), batch.messages())
        changes = pipeline.step(batch, view, self._programs.get(cursor.version), self._rules)
        self._commit(changes, loaded)

    def _fold_alone(self, place: Place, entry: Tick | Defined | Sweep) -> None:
        """An entry without events makes a batch of its own."""
        program = self._programs.get(place.before.version)
        due: Iterable[int] = ()
        match entry:
            case Tick():
                now_ms = place.after().now_ms
                due = [profile for _, profile in self._state.due(place.partition, now_ms, TICK_MAX_TIMERS)]
                view, loaded = self._load((), due, ())
                changes = pipeline.tick(place, view, program, self._rules)
            case Sweep(after=after):
                due = self._state.profile_ids(place.partition, after, SWEEP_MAX_PROFILES)
                view, loaded = self._load((), due, ())
                changes = pipeline.sweep(place, view, program, self._rules)
            case Defined(version=version) if version > place.before.version:
                self._programs.learn(entry)
                view, loaded = self._load((), (), ())
                changes = pipeline.define(place, self._programs.get(version), self._rules)
            case _:
                view, loaded = self._load((), (), ())
                changes = pipeline.skip(place, program, self._rules)
        self._commit(changes, loaded)

    # --- what is loaded, and what is remembered ----------------------------------------------------------------
    def _catch_up(self) -> None:
        """Forget whatever others have changed since we looked last."""
        newest, touched = self._state.touched_since(self._snapshot)
        if touched is None:
            self._profiles.clear()
            self._owners.clear()
        else:
            for profile_id in touched:
                profile = self._profiles.forget(profile_id)
                for identifier in profile.identifiers if profile is not None else ():
                    self._owners.forget(identifier)
        self._snapshot = newest

    def _load(
        self, identifiers: Iterable[str], wanted: Iterable[int], messages: Iterable[bytes]
    ) -> tuple[View, Loaded]:
        """The view of a batch, from memory where we have it, and what `commit` must check."""
        owners: dict[str, int] = {}
        unknown: list[str] = []
        for identifier in identifiers:
            owner = self._owners.get(identifier)
            if owner is None:
                unknown.append(identifier)
            else:
                owners[identifier] = owner
        cached = self._profiles
        here: dict[int, Profile] = {}
        missing: list[int] = []
        for profile_id in {*owners.values(), *wanted}:
            profile = cached.get(profile_id)
            if profile is None:
                missing.append(profile_id)
            else:
                here[profile_id] = profile
        loaded = self._state.load(unknown, missing, messages, here)
        owners |= loaded.identifiers
        for profile_id, data in loaded.profiles.items():
            profile = cached.get(profile_id)
            here[profile_id] = profiles.decode(data) if profile is None else profile
        view = View(owners, here, loaded.seen)
        return view, Loaded(self._snapshot, dict(owners), dict.fromkeys(here, b""), loaded.seen)

    def _commit(self, changes: Changes, loaded: Loaded) -> None:
        encode = profiles.encode
        encoded = {profile_id: encode(profile) for profile_id, profile in changes.profiles.items()}
        number = self._state.commit(changes, loaded, encoded)
        if number == self._snapshot + 1:
            self._snapshot = number
        self._cursors[changes.partition] = changes.cursor
        for profile_id, profile in changes.profiles.items():
            self._profiles.put(profile_id, profile)
        for profile_id in changes.absorbed:
            self._profiles.forget(profile_id)
        for identifier, owner in changes.identifiers.items():
            self._owners.put(identifier, owner)

    def _forget(self) -> None:
        """After a conflict nothing in memory is trusted: the step has changed profiles that were not committed."""
        self._profiles.clear()
        self._owners.clear()
        self._cursors.clear()
        self._snapshot = 0
