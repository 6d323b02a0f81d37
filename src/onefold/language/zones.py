"""Time zones: which there are, what an instant's local time is, and when a local day or hour ends.

Rules come from the `tzdata` package alone, not from the machine, so that every process of one installation agrees.
"""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from zoneinfo import ZoneInfo

from onefold.language.instants import FIRST_MS, LAST_MS
from onefold.limits import DAY_MS, HOUR_MS, SECOND_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_DAY = timedelta(days=1)

ZONES = frozenset((files("tzdata") / "zones").read_text().split())
"""The names of all time zones (IANA), such as `Europe/Berlin`."""


def zone_file(name: object) -> bytes | None:
    """What the file of this time zone holds (TZif, RFC 9636), or None where there is no such zone."""
    return _place(name).read_bytes() if isinstance(name, str) and name in ZONES else None


def _place(name: str) -> Traversable:
    place = files("tzdata") / "zoneinfo"
    for step in name.split("/"):
        place /= step
    return place


@cache
def _load(name: str) -> ZoneInfo:
    with _place(name).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def zone(name: object) -> ZoneInfo | None:
    """The time zone of this name, or None where there is none. Each is read once."""
    return _load(name) if isinstance(name, str) and name in ZONES else None


def local(at_ms: int, in_zone: ZoneInfo) -> datetime | None:
    """The local time of an instant, with its zone; None for one beyond FIRST_MS and LAST_MS."""
    if not FIRST_MS <= at_ms <= LAST_MS:
        return None
    return (_EPOCH + at_ms * _MS).astimezone(in_zone)


def midnight_ms(day: date, in_zone: ZoneInfo, *, again: bool = False) -> int:
    """When a local day begins; where clocks skip midnight, when they do.

    Clocks that are put back over midnight come to it twice: `again` is the second time.
    """
    return (datetime(day.year, day.month, day.day, tzinfo=in_zone, fold=again) - _EPOCH) // _MS


def next_day_ms(now_ms: int, in_zone: ZoneInfo) -> int:
    """No later than the next instant at which the local date changes. `now_ms` is an instant that `local` knows."""
    here = local(now_ms, in_zone)
    assert here is not None
    tomorrow = here.date() + _DAY
    until_ms = midnight_ms(tomorrow, in_zone)
    if until_ms <= now_ms:
        until_ms = midnight_ms(tomorrow, in_zone, again=True)
    return _before_clocks_change(now_ms, until_ms, in_zone)


def next_hour_ms(now_ms: int, in_zone: ZoneInfo) -> int:
    """No later than the next instant at which the local hour changes. `now_ms` is an instant that `local` knows."""
    here = local(now_ms, in_zone)
    assert here is not None
    gone_ms = here.minute * 60 * SECOND_MS + here.second * SECOND_MS + here.microsecond // 1000
    return _before_clocks_change(now_ms, now_ms - gone_ms + HOUR_MS, in_zone)


def _before_clocks_change(now_ms: int, until_ms: int, in_zone: ZoneInfo) -> int:
    """`until_ms`, or the earlier instant at which clocks are put forward or back, found by bisection to the ms."""
    until_ms = min(until_ms, now_ms + 2 * DAY_MS)
    before = _offset(now_ms, in_zone)
    if _offset(until_ms, in_zone) == before:
        return until_ms
    low, high = now_ms, until_ms
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, in_zone) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(at_ms: int, in_zone: ZoneInfo) -> timedelta | None:
    return (_EPOCH + at_ms * _MS).astimezone(in_zone).utcoffset()
