"""A whole platform in memory, moved by hand: send events, let time pass, fold, look at the people.

The folding is the real one; only the log and the state are the in-memory engines.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from onefold import kernel
from onefold.limits import STEP_MAX_EVENTS
from onefold.model import entry as entries
from onefold.model import profile as profiles
from onefold.model import recast as recasts
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.model.entry import Defined, Linked, Outgoing, Recast, Rejected, Ruled, Sweep, Tick
from onefold.model.profile import Profile
from onefold.model.recast import Recasting
from onefold.model.rules import Rules
from onefold.ports import LogReader, LogWriter, State
from onefold.runtime.folding.fold import CACHED_PROFILES, Folding
from onefold.runtime.folding.programs import Programs
from onefold.testing.memory.log import MemoryLog
from onefold.testing.memory.state import MemoryState

START_MS = 1_700_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Person(NamedTuple):
    """What must not depend on order, batches or partitions."""

    identifiers: tuple[str, ...]
    declared: dict[str, Any]
    computed: dict[str, Any]
    audiences: tuple[str, ...]


def define(traits: Mapping[str, str], audiences: Mapping[str, str] | None = None, version: int = 1) -> Definitions:
    """Definitions from name → expression."""
    return Definitions(
        version=version,
        traits=tuple(Trait(name, text) for name, text in traits.items()),
        audiences=tuple(Audience(name, text) for name, text in (audiences or {}).items()),
    )


class World:
    """Appends entries to a log and folds them; time is what the entries say."""

    def __init__(  # noqa: PLR0913 - each has a default, and tests name what matters to them
        self,
        definitions: Definitions | None = None,
        *,
        partitions: int = 1,
        rules: Rules | None = None,
        state: State | None = None,
        remembered: int = CACHED_PROFILES,
        native: Any = kernel.native,
    ) -> None:
        """`remembered`: how many profiles the worker keeps in memory. `native`: the kernel that it uses, if any."""
        log = MemoryLog(partitions)
        self.writer: LogWriter = log
        self.reader: LogReader = log
        self.partitions = partitions
        self.state: State = state or MemoryState()
        self.now_ms = START_MS
        self._remembered = remembered
        self._native = native
        self.folding = self.new_folding()
        if rules is not None:
            self.rule(rules)
        if definitions is not None:
            self.define(definitions)

    def new_folding(self) -> Folding:
        """A worker that knows nothing but what the state says."""
        programs = Programs(self._unknown)
        return Folding(self.reader, self.state, programs, remembered=self._remembered, native=self._native)

    def _unknown(self, version: int) -> Definitions:
        raise AssertionError(f"version {version} is in no entry of the log")

    # --- entries -------------------------------------------------------------------------------------------
    def send(
        self, *events: Mapping[str, Any], partition: int = 0, source: str = "web", rejected: Sequence[Rejected] = ()
    ) -> None:
        """One request's events, arriving now, and those of them that collect rejected."""
        raw = [msgspec.Raw(msgspec.json.encode(event)) for event in events]
        self._append(partition, Outgoing(source, self.now_ms, raw, rejected=list(rejected)))

    def scribble(self, data: bytes, partition: int = 0) -> None:
        """A record that is no entry."""
        self.writer.append({partition: [data]})

    def define(self, definitions: Definitions) -> None:
        """New definitions, and the sweep that follows them."""
        body = msgspec.to_builtins(definitions)
        for partition in range(self.partitions):
            self._append(partition, Defined(self.now_ms, definitions.version, body))

    def rule(self, rules: Rules) -> None:
        """New rules; before the first of them those are in force that a log without any has."""
        for partition in range(self.partitions):
            self._append(partition, Ruled(self.now_ms, rules))

    def link(self, a: str, b: str, *, never: bool = False, partition: int = 0, by: str = "ann") -> None:
        """Somebody says that two identifiers are one person's, or never are."""
        self._append(partition, Linked(self.now_ms, a, b, by, never))

    def recast(self, body: Recasting, *, why: str = "to be taken apart", partition: int = 0) -> None:
        """Somebody has had people taken apart or put together."""
        self._append(partition, Recast(self.now_ms, "ann", why, recasts.encode(body)))

    def pass_time(self, ms: int) -> None:
        """Let time pass, waking on the way everyone who is due, just when they are due."""
        until_ms = self.now_ms + ms
        self.fold()
        while (due_ms := min(self.state.next_due_ms(p) for p in range(self.partitions))) <= until_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.tick()
            self.fold()
        self.now_ms = until_ms

    def tick(self) -> None:
        """Say in every partition what time it is."""
        for partition in range(self.partitions):
            self._append(partition, Tick(self.now_ms))

    def _append(self, partition: int, entry: Outgoing | Tick | Defined | Ruled | Linked | Sweep | Recast) -> None:
        self.writer.append({partition: [entries.encode(entry)]})

    # --- folding ---------------------------------------------------------------------------------------------
    def fold(self, max_events: int = STEP_MAX_EVENTS) -> None:
        """Fold all that is there, sweeps included."""
        busy = True
        while busy:
            busy = False
            for partition in range(self.partitions):
                while self.folding.advance(partition, max_events):
                    busy = True
                sweeping = self.folding.cursor(partition).sweeping
                if sweeping >= 0:
                    self._append(partition, Sweep(self.now_ms, sweeping))
                    busy = True

    # --- looking ---------------------------------------------------------------------------------------------
    def profile(self, identifier: str) -> Profile:
        """The profile that has this identifier."""
        owner = self.state.lookup(identifier)
        assert owner is not None, f"nobody has {identifier}"
        return self.profile_of(owner)

    def profile_of(self, number: int) -> Profile:
        """The profile of this id."""
        data = self.state.profile(number)
        assert data is not None
        return profiles.decode(data)

    def person(self, identifier: str) -> Person:
        """The person who has this identifier."""
        return person_of(self.profile(identifier))

    def people(self) -> list[Person]:
        """Everyone, in an order that says nothing."""
        found: list[Person] = []
        for partition in range(self.partitions):
            for profile_id in self.state.profile_ids(partition, 0, 1 << 30):
                data = self.state.profile(profile_id)
                assert data is not None
                found.append(person_of(profiles.decode(data)))
        return sorted(found, key=lambda person: person.identifiers)

    def effects(self) -> list[Any]:
        """All effects so far, in order, without the commits that carried them."""
        return [effect for _, _, batch in self.state.effects(0, 1 << 30) for effect in batch]


def person_of(profile: Profile) -> Person:
    """The part of a profile that is about the person."""
    return Person(
        identifiers=tuple(sorted(profile.identifiers)),
        declared={name: declared.value for name, declared in sorted(profile.declared.items())},
        computed=dict(sorted(profile.computed.items())),
        audiences=tuple(sorted(profile.audiences)),
    )


def track(name: str, at_ms: int | None = None, *, message: str | None = None, **fields: Any) -> dict[str, Any]:
    """A track event; `user`, `anonymous` and `properties` as keywords."""
    return _event("track", at_ms, message, event=name, **fields)


def group(account: str | int, at_ms: int | None = None, *, message: str | None = None, **fields: Any) -> dict[str, Any]:
    """A group event; `user`, `anonymous` and `traits` as keywords."""
    return _event("group", at_ms, message, groupId=account, **fields)


def identify(at_ms: int | None = None, *, message: str | None = None, **fields: Any) -> dict[str, Any]:
    """An identify event; `user`, `anonymous` and `traits` as keywords."""
    return _event("identify", at_ms, message, **fields)


def _event(kind: str, at_ms: int | None, message: str | None, **fields: Any) -> dict[str, Any]:
    names = {"user": "userId", "anonymous": "anonymousId"}
    event: dict[str, Any] = {"type": kind, **{names.get(key, key): value for key, value in fields.items()}}
    if at_ms is not None:
        event["timestamp"] = rfc3339(at_ms)
    if message is not None:
        event["messageId"] = message
    return event


def rfc3339(at_ms: int) -> str:
    """An instant as SDKs write it."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds")
