"""What runs in shadow, as the API and the command show it: beside what is live, with what promoting it would do."""

from msgspec import Struct, structs

from onefold.errors import NotFoundError
from onefold.model.definitions import Definitions, live_name
from onefold.runtime.defining.comparison import moves
from onefold.runtime.defining.difference import difference
from onefold.runtime.defining.versions import shadowed
from onefold.server.engines import Engines


class BesideAnswer(Struct):
    """An audience that differs in shadow: its size now, and that of the shadow."""

    name: str
    size: int
    shadow_size: int


class ShadowsAnswer(Struct):
    """What promoting would change, a line each, and every audience that differs but for those that would end.

    `settled`: everybody has been judged under it; until then sizes still grow.
    """

    version: int
    changes: list[str]
    audiences: list[BesideAnswer]
    settled: bool


class ComparedAnswer(BesideAnswer):
    """The same with who would enter, leave and stay."""

    entering: int
    leaving: int
    staying: int


class ComparisonAnswer(Struct):
    """As `ShadowsAnswer`, with who would enter, leave and stay."""

    version: int
    changes: list[str]
    audiences: list[ComparedAnswer]
    settled: bool


def shadows(engines: Engines) -> ShadowsAnswer:
    """What runs in shadow; O(definitions). Raises `NotFoundError` where nothing does."""
    live = engines.catalog.definitions()
    changes = _changes(live)
    sizes = engines.state.sizes()
    beside = [
        BesideAnswer(live_name(name), sizes.get(live_name(name), 0), sizes.get(name, 0)) for name in shadowed(live)
    ]
    return ShadowsAnswer(live.version, changes, beside, _settled(engines, live.version))


def compared(engines: Engines) -> ComparisonAnswer:
    """The same with who would enter, leave and stay; O(members)."""
    found = shadows(engines)
    audiences = []
    for one in found.audiences:
        would = moves(engines.state, one.name, samples=0)
        audiences.append(
            ComparedAnswer(one.name, one.size, one.shadow_size, would.entering, would.leaving, would.staying)
        )
    return ComparisonAnswer(found.version, found.changes, audiences, found.settled)


def in_force(engines: Engines) -> list[int]:
    """The version that each partition of the log is folded under now."""
    return [engines.state.cursor(partition).version for partition in range(engines.log.partitions)]


def _changes(live: Definitions) -> list[str]:
    if live.shadow is None:
        raise NotFoundError("nothing runs in shadow; `onefold apply DIR --shadow` puts a workspace there")
    return difference(structs.replace(live, shadow=None), live.shadow)


def _settled(engines: Engines, version: int) -> bool:
    """Whether every partition is under this version, and has judged all its people again."""
    cursors = (engines.state.cursor(partition) for partition in range(engines.log.partitions))
    return all(cursor.version == version and cursor.sweeping < 0 for cursor in cursors)
