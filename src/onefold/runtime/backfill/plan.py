"""What a change of definitions asks of the past, and how far it has been computed."""

from contextlib import ExitStack, closing, suppress

from msgspec import Struct, structs

from onefold.errors import NotFoundError, Unavailable
from onefold.language.nodes import OfAccount
from onefold.language.reading.check import Checked, checked
from onefold.language.stream.compile import kept_by, kept_by_accounts
from onefold.language.stream.inputs import named, walk
from onefold.model.changes import Cursor
from onefold.model.definitions import Definitions
from onefold.model.entry import WITH_EVENTS
from onefold.ports import Catalog, LogReader, State
from onefold.runtime.backfill.past import Lacking
from onefold.runtime.defining.difference import changes
from onefold.runtime.defining.versions import both
from onefold.storage.place import Place

_READ_BYTES = 1 << 20
"""Of the log at once, looking for an event."""


def missing(definitions: Definitions) -> Lacking:
    """What the definitions that are to come need kept of events, and those in force do not."""
    if definitions.coming is None:
        return Lacking({}, {}, accounts=False)
    now, coming = both(definitions), both(definitions.coming)
    there, there_of_accounts = kept_by(now), kept_by_accounts(now)
    of_accounts = kept_by_accounts(coming)
    return Lacking(
        {key: kept for key, kept in kept_by(coming).items() if key not in there},
        {key: kept for key, kept in (of_accounts or {}).items() if key not in (there_of_accounts or {})},
        accounts=of_accounts is not None and there_of_accounts is None,
    )


def has_past(place: Place) -> bool:
    """Whether anything has happened that history has, or will have: it is admitted, or is in the log to be folded.

    A log that cannot be reached may hold something.
    """
    if place.history_location is None:
        return False
    with ExitStack() as stack:
        state: State | None = None
        with suppress(NotFoundError):
            state = stack.enter_context(closing(place.state(readonly=True)))
        if state is not None and state.counts().get("admitted", 0) > 0:
            return True
        try:
            log = stack.enter_context(closing(place.log_reader()))
            offsets = {each: 0 if state is None else state.cursor(each).offset for each in range(log.partitions)}
            return any(_has_events(log, partition, offset) for partition, offset in offsets.items())
        except NotFoundError:
            return False
        except Unavailable:
            return True


def _has_events(log: LogReader, partition: int, offset: int) -> bool:
    """Whether there are events from this offset on."""
    offset = max(offset, log.ends(partition)[0])
    while records := log.read(partition, offset, _READ_BYTES):
        if any(record.data.startswith(WITH_EVENTS) for record in records):
            return True
        offset = records[-1].offset + 1
    return False


def planned(old: Definitions, wanted: Definitions, *, backfill: bool, quiet: bool) -> Definitions:
    """What to save so that `wanted` comes into force: at once, or with `backfill` once it is computed over history.

    `quiet`: no effect is to tell who is moved by that alone.
    """
    if quiet:
        wanted = structs.replace(wanted, quiet=tuple(_moved(old, wanted)))
    later = structs.replace(old, coming=wanted, quiet=(), note="computes over history what comes next")
    return later if backfill and missing(later) else wanted


def called_off(definitions: Definitions) -> Definitions:
    """What is in force, with nothing to come. Raises `NotFoundError` where nothing is."""
    if definitions.coming is None:
        raise NotFoundError("nothing is being computed over history, so there is nothing to call off")
    return structs.replace(definitions, coming=None, note="calls off what was to come next")


def _moved(old: Definitions, wanted: Definitions) -> list[str]:
    """Traits and audiences that are new or say something else, by themselves or by a trait that they name."""
    differs = [(change.part, change.name) for change in changes(old, wanted) if change.after]
    found = {name for part, name in differs if part in ("trait", "audience")}
    trees: Checked = checked(wanted)
    of_accounts = {name for part, name in differs if part == "account_trait"}
    for name, node in trees.accounts.items():
        if not of_accounts.isdisjoint(each.name for each in named(node)):
            of_accounts.add(name)
    for name, node in (*trees.traits.items(), *trees.audiences.items()):  # Traits come after those that they name.
        mentioned = {each.name for each in walk(node) if isinstance(each, OfAccount)}
        if not of_accounts.isdisjoint(mentioned) or not found.isdisjoint(each.name for each in named(node)):
            found.add(name)
    return sorted(found)


class Standing(Struct, frozen=True):
    """How far the definitions that are to come have been computed."""

    version: int
    """Since this version of the definitions they are coming."""
    state: str
    """`waiting` (until every worker gathers), `computing`, `paused`, `ready` (to be put into force)."""
    done: float
    """The share of people who have been looked at, by their ids: 0 to 1."""


def standing(catalog: Catalog, state: State, partitions: int) -> Standing | None:
    """Where it stands; None: no definitions are to come."""
    definitions = catalog.definitions()
    if definitions.coming is None:
        return None
    cursors = [state.cursor(partition) for partition in range(partitions)]
    if any(cursor.version != definitions.version for cursor in cursors):
        return Standing(definitions.version, "waiting", 0.0)
    done = sum(_share(home, cursor) for home, cursor in enumerate(cursors)) / len(cursors)
    if all(cursor.filled < 0 for cursor in cursors):
        return Standing(definitions.version, "ready", 1.0)
    return Standing(definitions.version, "paused" if catalog.backfill_paused() else "computing", done)


def in_force(version: int, state: State, partitions: int) -> bool:
    """Whether these definitions are in force in every partition: whatever is sent from now on counts."""
    return all(state.cursor(partition).version >= version for partition in range(partitions))


def _share(home: int, cursor: Cursor) -> float:
    """Ids are places in the log: those behind `since` have no past that is to be computed."""
    if cursor.filled < 0:
        return 1.0
    last = max(1, cursor.since << 16)
    return min(1.0, max(0, cursor.filled - (home << 56)) / last)
