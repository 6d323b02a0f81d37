"""How things were at an instant: a person as they were, and who was in an audience: what was told, where it is kept."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from weakref import WeakKeyDictionary

from litestar.params import Parameter

from onefold.core.identity import identifiers
from onefold.errors import InvalidRequest, NotFoundError, NotInHistory, Overloaded
from onefold.language.durations import parse_duration
from onefold.language.instants import parse_instant
from onefold.limits import AS_OF_MAX
from onefold.model import position
from onefold.model.definitions import Audience, Definitions, is_shadow
from onefold.model.profile import Profile
from onefold.ports import Catalog, HistoryReader
from onefold.runtime.past import told
from onefold.runtime.past.profile_then import PastDefinitions, Sources, Then, profile_then, version_at
from onefold.server import instants
from onefold.server.engines import Engines
from onefold.server.people.profile_answer import AsOfAnswer, ProfileAnswer, answer
from onefold.server.people.projection import OPTIONAL, Projection

AsOf = Annotated[
    str,
    Parameter(
        description="How it was at this instant: RFC 3339 (`2025-11-23T21:05:00Z`, or a date alone: its midnight in "
        "UTC), or so long ago (`90m`, `7d`). Empty: how it is now."
    ),
]
WithLate = Annotated[
    bool,
    Parameter(
        description="With `as_of`: what is known now of that instant, late events included; not what was known then."
    ),
]

_definitions: WeakKeyDictionary[Catalog, PastDefinitions] = WeakKeyDictionary()
"""What has been compiled of each catalog that is open."""
_asking = threading.BoundedSemaphore(AS_OF_MAX)


def instant(text: str, now_ms: int) -> int:
    """The instant that `as_of` names, in ms. Raises `InvalidRequest` where it is none, or has yet to come."""
    ago_ms = parse_duration(text)
    at_ms = parse_instant(text) if ago_ms is None else now_ms - ago_ms
    if at_ms is None:
        raise InvalidRequest(
            f"as_of: {text!r} is neither a time (2025-11-23T21:05:00Z, or a date alone) nor so long ago (90m, 7d)"
        )
    if at_ms > now_ms:
        raise InvalidRequest(f"as_of: {text} has yet to come: it is {instants.show(now_ms)} now")
    return at_ms


def person(engines: Engines, now: Profile, who: str, at_ms: int, *, late: bool = False) -> Then:
    """Whoever `who` named then; it names `now` now. Raises `NotFoundError`, `NotInHistory`."""
    wanted: int | str | None = position.parse(who)
    if wanted is None:
        namespace, _, value = who.partition(":")
        wanted = identifiers.normalise(namespace, value, engines.rules())
    assert wanted is not None, "somebody was found by it"
    sources = Sources(_history(engines), engines.log, engines.state, past_definitions(engines), engines.rules)
    return profile_then(sources, now, wanted, at_ms, late=late)


def past_definitions(engines: Engines) -> PastDefinitions:
    """What has been compiled of the catalog's versions, and is remembered as long as it is open."""
    return _definitions.setdefault(engines.catalog, PastDefinitions(engines.catalog))


def shown(then: Then, include: Projection, *, late: bool) -> ProfileAnswer:
    """A person of then as the API shows them. Raises `InvalidRequest` for parts that only the present has."""
    for part in OPTIONAL:
        if part in include:
            raise InvalidRequest(f"include: {part} is of now, and cannot be had with as_of")
    found = answer(then.profile, include)
    memberships = "told" if then.told else "computed"
    found.as_of = AsOfAnswer(instants.show(then.at_ms), position.show(then.now), memberships, then.forgotten, late)
    return found


def audience(engines: Engines, name: str, at_ms: int) -> Audience:
    """The audience as it was defined then. Raises `NotFoundError` where there was none of this name."""
    if is_shadow(name):
        raise InvalidRequest("as_of: what runs in shadow is told to nobody, and is not kept")
    then = definitions(engines, at_ms)
    for one in then.audiences:
        if one.name == name:
            return one
    raise NotFoundError(f"there was no such audience then, in version {then.version} of the definitions")


def definitions(engines: Engines, at_ms: int) -> Definitions:
    """The definitions that were the latest then."""
    return engines.catalog.definitions(version_at(engines.catalog, at_ms))


@contextmanager
def audiences(engines: Engines, at_ms: int) -> Iterator[told.Audiences]:
    """Who was in audiences then. Raises `NotInHistory`, `Overloaded` where too many ask at once."""
    if not _asking.acquire(blocking=False):
        raise Overloaded(f"at most {AS_OF_MAX} questions about audiences of the past are answered at once", 2)
    try:
        with told.audiences(told.Engines(_history(engines), engines.state), at_ms) as found:
            yield found
    finally:
        _asking.release()


def _history(engines: Engines) -> HistoryReader:
    history = engines.history()
    if history is None:
        off = engines.place.history_location is None
        why = "history is switched off here (`history = false`)" if off else "history has not been written yet"
        raise NotInHistory(f"as_of: {why}")
    return history
