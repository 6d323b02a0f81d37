"""Which partition an event belongs to: all of one person's events, as their sender names them, lie in one."""

from collections.abc import Callable

import xxhash

Hash = Callable[[bytes], int]
_hash: Hash = xxhash.xxh3_64_intdigest


def partition(primary: str, partitions: int) -> int:
    """The partition of a primary identifier: the userId, else the anonymousId, else whatever names the event."""
    return _hash(primary.encode("utf-8", "backslashreplace")) % partitions if partitions > 1 else 0
