"""Partitions that a group of named members leaves to nobody.

A member that is to give partitions up joins its group again without them, and only then another gets them (KIP-429).
If it is killed in between, and started again by its name, brokers take it for the same member and hand it what it was
to keep (KIP-345): nobody asks for the rest, and nobody gets it until some member comes or goes. So who has joined by a
name looks whether the group is whole, and if not, comes and goes.
"""

import time
from typing import TYPE_CHECKING

from onefold.errors import StorageError
from onefold.storage.kafka.client import Link
from onefold.storage.kafka.topic import admin

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

_ANSWER_S = 2.0


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
        except StorageError:
            now = None
        if now is None:
            return False  # It asks again.
        lasting, self._before = now & self._before, now
        if not now:
            self._administrator = None
        return bool(lasting)

    def _nobodys(self, administrator: "AdminClient") -> frozenset[int] | None:
        """Partitions that no member has; None: the members are about to share them."""
        with self._link.translated("say whose partitions are"):
            asked = administrator.describe_consumer_groups([self._group], request_timeout=_ANSWER_S)
            group = asked[self._group].result(_ANSWER_S + 1)
        if group.state != self._link.kafka.ConsumerGroupState.STABLE:
            return None
        return self._all - {place.partition for each in group.members for place in each.assignment.topic_partitions}
