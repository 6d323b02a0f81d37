"""The messages that are not in their generations yet, as every process holds them."""

from typing import Any

from onefold import kernel
from onefold.storage.embedded.lmdb_env import Txn
from onefold.storage.embedded.state_tables import ROUND, SLICES, Arrived, Head, Tables, decode_arrived
from onefold.storage.state_bytes import U64


class Slices:
    """Fingerprint → log time, by the first byte of the fingerprint. The kernel has the same."""

    def __init__(self) -> None:
        self._slices: list[dict[bytes, int]] = [{} for _ in range(SLICES)]

    def clear(self, number: int) -> None:
        """One of them goes."""
        self._slices[number] = {}

    def add(self, messages: dict[bytes, int]) -> int | None:
        """Of what is there already the later time stays. Returns the earliest of these."""
        slices = self._slices
        for message, at_ms in messages.items():
            there = slices[message[0]]
            if there.setdefault(message, at_ms) < at_ms:
                there[message] = at_ms
        return min(messages.values(), default=None)

    def forget(self, since_ms: int) -> None:
        """Let go of what came before that."""
        self._slices = [{m: at_ms for m, at_ms in there.items() if at_ms >= since_ms} for there in self._slices]

    def among(self, messages: Any) -> dict[bytes, int]:
        """Those of these messages that are here."""
        slices = self._slices
        return {m: slices[m[0]][m] for m in messages if m in slices[m[0]]}

    def span(self, number: int) -> tuple[int, int] | None:
        """The first and the last time in a slice; None: it is empty."""
        times = self._slices[number].values()
        return (min(times), max(times)) if times else None

    def rows(self, number: int, first_ms: int, before_ms: int) -> list[tuple[bytes, bytes]]:
        """What came within this time, sorted, as the tree of a generation keeps it."""
        there = self._slices[number].items()
        return [(m, U64.pack(at_ms)) for m, at_ms in sorted(there) if first_ms <= at_ms < before_ms]


class Waiting:
    """What waits as of one commit: what the records in `recent` add up to."""

    def __init__(self, generation_ms: int, known: int) -> None:
        self.slices: Slices = Slices() if kernel.native is None else kernel.native.Slices()
        self.known = known
        """The commit as of which this is."""
        self._generation_ms = generation_ms
        self._oldest = 0

    def catch_up(self, txn: Txn, tables: Tables, head: Head) -> None:
        """Apply what commits left since; their records must all be there still."""
        assert head.moved <= self.known
        cursor = txn.cursor(tables.recent)
        if self.known < head.number and cursor.set_range(U64.pack(self.known + 1)):
            for _, value in cursor.iternext():
                self.apply(decode_arrived(value))
        self.known = head.number

    def apply(self, arrived: Arrived) -> None:
        """Take what one commit left: first slices go, then its messages come, then what is too old is forgotten."""
        for number in slices_between(arrived.before, arrived.after):
            self.slices.clear(number)
        earliest_ms = self.slices.add(arrived.messages)
        since_ms = arrived.oldest * self._generation_ms
        if arrived.oldest > self._oldest or (earliest_ms is not None and earliest_ms < since_ms):
            self.slices.forget(since_ms)  # About once a generation.
        self._oldest = arrived.oldest
        self.known += 1


def slices_between(before: int, after: int) -> list[int]:
    """The slices whose turn it is when the round goes on from one place to another, at most a whole round away."""
    size = ROUND // SLICES
    return [number % SLICES for number in range(before // size, after // size)]
