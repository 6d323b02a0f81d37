"""What each commit touched, kept for a while: by this a later commit tells whether it conflicts."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from onefold.errors import Conflict
from onefold.model.changes import Changes
from onefold.ports import Loaded

TOUCHED_KEPT = 1_000
"""Records of touched keys that are kept; a snapshot older than these conflicts."""


class Touched(Struct, array_like=True):
    """What one commit changed."""

    partition: int
    profiles: list[int]
    identifiers: list[str]


decode = msgspec.msgpack.Decoder(Touched).decode
_encode = msgspec.msgpack.Encoder().encode


def record(changes: Changes) -> bytes:
    """What a commit of these changes touches."""
    identifiers = [*changes.identifiers, *changes.freed]
    return _encode(Touched(changes.partition, [*changes.profiles, *changes.absorbed], identifiers))


def is_told(snapshot: int, newest: int) -> bool:
    """Whether there are records of all that was touched since a snapshot, which is one."""
    return newest - TOUCHED_KEPT <= snapshot <= newest


def require_told(snapshot: int, newest: int) -> None:
    """Raise `Conflict` where it cannot be told what was touched since a snapshot."""
    if not is_told(snapshot, newest):
        raise Conflict(f"snapshot {snapshot} is too far from {newest}")


def require_untouched(changes: Changes, loaded: Loaded, records: Iterable[tuple[int, Touched]]) -> None:
    """Raise `Conflict` where one of these commits (number, touched) touched what a batch read or writes.

    Messages are no part of the records.
    """
    profiles = loaded.profiles.keys() | changes.profiles.keys() | changes.absorbed.keys() | changes.due.keys()
    profiles |= set(loaded.identifiers.values())
    identifiers = loaded.identifiers.keys() | changes.identifiers.keys() | set(changes.freed)
    for number, touched in records:
        if touched.partition == changes.partition:
            raise Conflict(f"commit {number} moved the cursor of partition {changes.partition}")
        if not profiles.isdisjoint(touched.profiles) or not identifiers.isdisjoint(touched.identifiers):
            raise Conflict(f"commit {number} touched what this batch had loaded")
