"""The seams: what the platform needs of a log, a state and a destination. Two engines stand behind each.

Every hot call takes and gives a batch. All methods may raise `StorageError` and its kin (`errors.py`).
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from onefold.model.changes import Changed, Changes, Cursor
from onefold.model.effect import AnyEffect
from onefold.model.quarantined import Quarantined
from onefold.model.rules import Rules


class Record(NamedTuple):
    """One entry of the log as bytes (`model.entry`), at its offset."""

    offset: int
    data: bytes


class Retention(NamedTuple):
    """When the head of a partition may go; None sets no limit."""

    age_ms: int | None = None
    size_bytes: int | None = None


class LogWriter(Protocol):
    """Appends to every partition. Any number of writers, in any process, may append side by side."""

    partitions: int

    def append(self, batches: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        """Append records to partitions, durably: on return they are fsynced and keep their order.

        One call is one group commit. Returns, for each partition, the offset of its first new record.
        Partitions are committed one after the other: after an exception some may have been written.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class TrimmingWriter(LogWriter, Protocol):
    """A writer that also forgets what nobody needs."""

    def trim(self, partition: int, before: int, retention: Retention) -> int:
        """Remove records from the head of a partition: of those below `before` what `retention` lets go.

        Returns how many are gone; less may go than could, as an engine removes what it wrote together.
        """
        ...


class LogReader(Protocol):
    """Reads partitions from a position. Never blocks a writer, and is never blocked by one."""

    partitions: int

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """Records from `offset` on, in order: at least one where there is any, then while they fit `max_bytes`.

        Empty at the end of the log. Raises `NotFoundError` where retention has removed `offset`, `Damaged`
        where a stored checksum does not match.
        """
        ...

    def ends(self, partition: int) -> tuple[int, int]:
        """Offsets of the first record kept and of the next record to come."""
        ...

    def watch(self, partitions: Iterable[int]) -> int | None:
        """A file descriptor that can be read from once one of these has new records; None: look now and then.

        It says too much rather than too little, and nothing before it is so. Who has it empties it before looking, and
        closes it.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Assignment(Protocol):
    """Which partitions are a worker's to fold."""

    def partitions(self) -> frozenset[int]:
        """Those that are now; they may change at any time. Costs nothing."""
        ...

    def close(self) -> None:
        """Give them up."""
        ...


class Loaded(NamedTuple):
    """What `State.load` found; `snapshot` is handed back to `commit`, which checks that it still holds."""

    snapshot: int
    identifiers: dict[str, int]
    profiles: dict[int, bytes]
    seen: dict[bytes, int]


class Commit(NamedTuple):
    """The effects of one commit, as bytes that `model.effect` reads."""

    number: int
    partition: int
    effects: bytes


class State(Protocol):
    """Profiles, identifiers, timers, memberships, effects and cursors. One writer commits at a time."""

    def cursor(self, partition: int) -> Cursor:
        """How far this partition has been folded."""
        ...

    def rules(self, fingerprint: int) -> Rules:
        """The rules of this fingerprint, which a cursor has named; `model.rules.DEFAULT`: the defaults."""
        ...

    def load(
        self,
        identifiers: Iterable[str],
        profiles: Iterable[int],
        messages: Iterable[bytes],
        known: Container[int] = (),
    ) -> Loaded:
        """One consistent picture of these identifiers, of their profiles and of `profiles`, and of these messages.

        Identifiers, profiles and messages that are unknown are left out. A profile that was absorbed is left out, and
        so is the profile of an identifier where the caller has it already (`known`).
        """
        ...

    def touched_since(self, snapshot: int) -> tuple[int, Changed | None]:
        """The newest snapshot, and what others' commits changed since `snapshot`; None: too much to say."""
        ...

    def commit(self, changes: Changes, loaded: Loaded, encoded: Mapping[int, bytes]) -> int:
        """Write a batch's changes in one durable transaction and return the new snapshot number.

        `encoded` holds the bytes of each profile in `changes.profiles`. Raises `Conflict`, having written nothing,
        where a commit after `loaded.snapshot` touched an identifier, profile or message that this batch read or
        writes, or moved this partition's cursor.
        """
        ...

    def due(self, partition: int, until_ms: int, limit: int) -> list[tuple[int, int]]:
        """Armed timers (due, profile id) of this partition with due <= until_ms, earliest first."""
        ...

    def next_due_ms(self, partition: int) -> int:
        """When the earliest timer of this partition is due; NEVER_MS without one."""
        ...

    def profile_ids(self, partition: int, after: int, limit: int) -> list[int]:
        """Ids > after of the profiles at home in this partition, ascending."""
        ...

    # --- reading, from any process -------------------------------------------------------------------------
    def lookup(self, identifier: str) -> int | None:
        """The profile that has this identifier."""
        ...

    def profile(self, profile: int) -> bytes | None:
        """The profile with this id, or the survivor of its merges."""
        ...

    def survivors(self, profiles: Iterable[int]) -> dict[int, bytes]:
        """Each of these ids → what `profile` says of it; those of whom there is nothing are left out."""
        ...

    def members(self, audience: str, after: int, limit: int) -> list[tuple[int, int]]:
        """(profile id, entered at) of members with id > after, ascending."""
        ...

    def sizes(self) -> dict[str, int]:
        """Members of each audience that has any, in O(audiences)."""
        ...

    def counts(self) -> dict[str, int]:
        """Sums over partitions of all counts, and `profiles`."""
        ...

    def effects(self, after: int, limit: int) -> list[tuple[int, int, list[AnyEffect]]]:
        """Up to `limit` commits with effects, after the commit numbered `after`: (number, partition, effects)."""
        ...

    def commits(self, after: int, max_bytes: int) -> list[Commit]:
        """Commits with effects, after the one numbered `after`: as few as come to `max_bytes`, or all there are."""
        ...

    def newest(self) -> int:
        """The number of the newest commit."""
        ...

    def watch(self) -> int | None:
        """A file descriptor that can be read from when there may be a new commit; None: look now and then.

        It says too much rather than too little. Who has it empties it before looking, and closes it.
        """
        ...

    def quarantined(self, after: tuple[int, int], limit: int) -> list[Quarantined]:
        """Quarantined events after this (partition, position), in that order."""
        ...

    def trim_effects(self, before: int) -> int:
        """Forget the effects of commits numbered below `before`; returns how many commits."""
        ...

    def digest(self) -> dict[str, str]:
        """Hex digests by part (`profiles`, `identifiers`, …); equal logs give equal digests, whatever the batches."""
        ...

    def items(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Everything that counts, as (part, key, value), in a defined order: what `digest` is made from.

        All of one snapshot, which an engine may have to hold meanwhile: of a busy state, read a copy.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Outcome(NamedTuple):
    """How one attempt at a delivery ended."""

    delivered: bool
    status: int = 0
    reason: str = ""
    retry: bool = True
    """False: trying again cannot help (the destination said so)."""
    retry_after_s: float | None = None


class Destination(Protocol):
    """A system that deliveries go to. Retries, order, limits and parking are the runtime's, not the connector's."""

    async def send(self, key: str, payload: Mapping[str, Any]) -> Outcome:
        """Try once to send one payload under its idempotency key."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
