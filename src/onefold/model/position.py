"""Where things are in the log: positions of events, and the profile ids that are made from them.

A position is `record offset << 16 | index in the record`, 55 bits within one partition. A profile id is
`partition << 56 | position of the event that created it + 1`: unique, stable under replay, and it says nothing
of the person. The id of an account is made in the same way and has one more bit, above the position.
"""

import re

from onefold.limits import PARTITIONS_MAX, RECORD_EVENTS_MAX, RECORD_OFFSET_MAX

_PREFIX = "prf_"
_ACCOUNT = 1 << 55
_POSITION = (1 << 56) - 1
_SHOWN = re.compile(_PREFIX + "([0-9a-f]{16})")


def position(offset: int, index: int) -> int:
    """Join a record's offset and an event's index in it."""
    assert 0 <= offset < RECORD_OFFSET_MAX
    assert 0 <= index < RECORD_EVENTS_MAX
    return offset << 16 | index


def split(position: int) -> tuple[int, int]:
    """Offset and index of a position."""
    return position >> 16, position & 0xFFFF


def profile_id(partition: int, position: int) -> int:
    """The id of the profile that the event at this position creates; never 0, which is nobody."""
    assert 0 <= partition < PARTITIONS_MAX
    return partition << 56 | position + 1


def account_id(partition: int, position: int) -> int:
    """The id of the account that the event at this position creates; larger than those of all people at home there."""
    return profile_id(partition, position) | _ACCOUNT


def is_account(profile: int) -> bool:
    """Whether this is the id of an account, not of a person."""
    return profile & _ACCOUNT != 0


def first_account(partition: int) -> int:
    """No account at home in this partition has a smaller id, and all people there have."""
    return partition << 56 | _ACCOUNT


def place(number: int) -> tuple[int, int]:
    """Partition and position of an event whose place is kept as `partition << 56 | position`."""
    return number >> 56, number & _POSITION


def home(profile: int) -> int:
    """The partition whose clock wakes this profile."""
    return profile >> 56


def show(profile: int) -> str:
    """A profile id as users see it."""
    return f"{_PREFIX}{profile:016x}"


def parse(text: str) -> int | None:
    """The id of a person's profile that a text shows, or None where it shows none."""
    found = _SHOWN.fullmatch(text)
    return int(found[1], 16) if found and not is_account(int(found[1], 16)) else None
