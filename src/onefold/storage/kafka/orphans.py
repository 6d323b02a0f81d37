"""Partitions that a group of named members leaves to nobody.

A member that is to give partitions up joins its group again without them, and only then another gets them (KIP-429).
If it is killed in between, and started again by its name, brokers take it for the same member and hand it what it was
to keep (KIP-345): nobody asks for the rest, and nobody gets it until some member comes or goes. So who has joined by a
name looks whether the group is whole, and if not, comes and goes.
"""

import struct
import time
from typing import TYPE_CHECKING, Any

from onefold.errors import StorageError
from onefold.storage.kafka.client import Link
from onefold.storage.kafka.topic import admin

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

_ANSWER_S = 2.0
_TOPICS = struct.Struct(">hi")
_NAME = struct.Struct(">h")
_COUNT = struct.Struct(">i")


class Orphans:
    """Looks for them a while after each joining, and no more once there are none. For one thread."""

    def __init__(self, link: Link, group: str, partitions: int, settles_s: float) -> None:
        """`settles_s`: for how long at most a partition is nobody's while members hand it over."""
        self._link, self._group, self._settles_s = link, group, settles_s
        self._all = frozenset(range(partitions))
        self._administrator: AdminClient | None = None
        self._at_s = 0.0
        self._before: frozenset[int] = frozenset()

    def look_soon(self) -> None:
        """The member has joined."""
        self._administrator = self._administrator or admin(self._link)
        self._at_s, self._before = time.monotonic() + self._settles_s, frozenset()

    def found(self) -> bool:
        """Whether a partition was nobody's for longer than a handing over takes. Asks brokers now and then."""
        if self._administrator is None or time.monotonic() < self._at_s:
            return False
        self._at_s = time.monotonic() + self._settles_s
        try:
            now = self._nobodys(self._administrator)
        except (StorageError, struct.error):
            now = None
        if now is None:
            return False  # It asks again.
        lasting, self._before = now & self._before, now
        if not now:
            self._administrator = None
        return bool(lasting)

    def _nobodys(self, administrator: "AdminClient") -> frozenset[int] | None:
        """Partitions that no member has; None: the members are about to share them."""
        # Asked by `describe_consumer_groups` instead, librdkafka ends the process where brokers go away meanwhile.
        with self._link.translated("say whose partitions are"):
            groups: Any = administrator.list_groups(self._group, timeout=_ANSWER_S)
        if not groups or groups[0].state != "Stable":
            return None
        return self._all.difference(*(assigned(member.assignment) for member in groups[0].members))


def assigned(data: bytes) -> tuple[int, ...]:
    """The partitions in a member's assignment: version, topics, the one topic's name, its partitions (KIP-429).

    Raises `struct.error` where it is none.
    """
    if not data or _TOPICS.unpack_from(data)[1] == 0:
        return ()
    at = _TOPICS.size + _NAME.size + _NAME.unpack_from(data, _TOPICS.size)[0]
    (count,) = _COUNT.unpack_from(data, at)
    return struct.unpack_from(f">{count}i", data, at + _COUNT.size)
