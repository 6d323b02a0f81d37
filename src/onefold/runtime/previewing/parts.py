"""What a preview is computed of: events that are mentioned, copied once, and then taken some people at a time.

So what it needs in memory does not grow with history: the copy goes on on the disk, and of what is grouped, sorted and
walked through there is only ever a part. Merged people are of one part, whoever they were before.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from onefold.language.sql.compile import Given, SqlPlan, roots
from onefold.limits import PREVIEW_CELLS_MAX
from onefold.storage.history.asking import Asking

_PARTS_MAX = 1 << 16
"""`part` is a hash below this."""


class Copied(NamedTuple):
    """Relations that a preview is computed of."""

    picked: str = "picked"
    """What the definitions want to know of the events that they mention."""
    seen: str = "seen_events"
    """Who did anything when; it is there where it was asked for."""


EVERYBODY = Copied()


def find_roots(asking: Asking, as_of_ms: int) -> int:
    """Make `roots`, whose the events of absorbed profiles are; how many there are."""
    asking.run(f"CREATE TEMP TABLE roots AS {roots(as_of_ms)}")
    (merged,) = asking.row("SELECT count(*) FROM roots")
    return int(merged)


def copy_mentioned(
    asking: Asking, plan: SqlPlan, instants: Sequence[int], events: str = "events", into: Copied = EVERYBODY
) -> int:
    """Make `into.picked` of these events, for these instants; how many events there are."""
    _copy(asking, plan.picked(max(instants), min(instants), events), into.picked)
    (found,) = asking.row(f"SELECT count(*) FROM {into.picked}")
    return int(found)


def copy_accounts(asking: Asking, plan: SqlPlan, instants: Sequence[int]) -> None:
    """Make what the definitions want to know of accounts, for these instants: `Given.accounts`.

    `EVERYBODY.picked` is there for the same instants.
    """
    for name, select in plan.of_accounts(max(instants), min(instants), EVERYBODY.picked).items():
        asking.run(f"CREATE TEMP TABLE {name} AS {select}")


def copy_seen(asking: Asking, as_of_ms: int, events: str = "events", into: Copied = EVERYBODY) -> None:
    """Make `into.seen`, from which first and last times and numbers of events come, unless it is there."""
    _copy(asking, f"SELECT profile, at_ms, received_ms FROM {events} WHERE received_ms <= {as_of_ms}", into.seen)


def _copy(asking: Asking, events: str, into: str) -> None:
    (merged,) = asking.row("SELECT count(*) FROM roots")
    whose, join = ("coalesce(r.person, e.profile)", " LEFT JOIN roots r USING (profile)") if merged else ("profile", "")
    part = f"(hash({whose}) % {_PARTS_MAX})::USMALLINT AS part"
    asking.run(f"CREATE TEMP TABLE IF NOT EXISTS {into} AS SELECT e.*, {part} FROM ({events}) e{join}")


def share(asking: Asking, given: Given, halvings: int) -> Given:
    """The same of one in 2^halvings people."""
    made = {"some_picked": given.picked} | ({} if given.mentioned_only else {"some_events": given.events})
    for name, source in made.items():
        asking.run(f"CREATE TEMP TABLE {name} AS SELECT * FROM {source} WHERE part % {1 << halvings} = 0")
    return given._replace(picked="some_picked", events=given.events if given.mentioned_only else "some_events")


def parts(asking: Asking, given: Given, cells: int) -> Iterator[Given]:
    """The same of some people after others, so that each has about PREVIEW_CELLS_MAX of so many cells.

    Each is gone when the next is taken.
    """
    number = min(-(-cells // PREVIEW_CELLS_MAX), _PARTS_MAX)
    if number <= 1:
        yield given
        return
    for each in range(number):
        for name, source in (("part_picked", given.picked), ("part_events", given.events)):
            if name == "part_picked" or not given.mentioned_only:
                # The upper bits: a share of the people was chosen by the lower ones.
                chosen = f"part::INTEGER * {number} // {_PARTS_MAX} = {each}"
                asking.run(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM {source} WHERE {chosen}")
        yield given._replace(picked="part_picked", events=given.events if given.mentioned_only else "part_events")
