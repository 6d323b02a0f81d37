"""What the routes about identity look at: a profile, what its events show, and what ties its identifiers together."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from msgspec import Struct, structs

from onefold.core.identity.apart import Asked, hindrances
from onefold.core.identity.evidence import NOWHERE, bonds
from onefold.limits import GRAPH_REFUSED_MAX
from onefold.model import position
from onefold.model import profile as profiles
from onefold.model.profile import Notes, Profile
from onefold.model.sighting import Bond, Hindrance, Place, Sighting
from onefold.runtime.identity.sightings import Sightings
from onefold.server import instants
from onefold.server.engines import Engines
from onefold.server.identity.words import of_bond
from onefold.server.instants import Instant
from onefold.server.people.profile_answer import event_id
from onefold.server.people.profiles import find


class SightingAnswer(Struct):
    """An event that shows who somebody is."""

    id: str
    type: str
    name: str
    source: str
    message_id: str
    """Empty: it came without."""
    at: Instant
    received_at: Instant


class BondAnswer(Struct):
    """Two identifiers of one person, and what ties them together."""

    a: str
    b: str
    rule: str
    text: str
    at: Instant
    """When it was made, by the log."""
    place: str | None
    """Where in the log; null: of a tie that each newer event moves only the time is kept."""
    by: str
    """Who has said it; empty: nobody, or it is no longer kept."""
    merged: str | None
    """The profile that ended by it."""
    events: int
    """How many of the events that are kept have both."""
    latest: Instant | None
    event: SightingAnswer | None
    """The event that made it; null: somebody has said it, or neither history nor log keeps the event any more."""


class Traced(NamedTuple):
    """A profile, with all that is kept of how it came to be."""

    profile: Profile
    sightings: list[Sighting]
    forgotten: int
    bonds: list[Bond]
    at: dict[Place, Sighting]


def reader(engines: Engines) -> Sightings:
    """What reads sightings from these engines."""
    return Sightings(engines.history(), engines.log, engines.state, engines.rules)


def traced(sightings: Sightings, profile: Profile) -> Traced:
    """Read what shows how a profile came to be. Cost: its events are read once."""
    seen = sightings.of(profile)
    found = sightings.said(bonds(profile, seen.sightings))
    return Traced(profile, seen.sightings, seen.forgotten, found, {each.place: each for each in seen.sightings})


class Refusal(NamedTuple):
    """What was kept apart from a profile, and whose it is."""

    hindrance: Hindrance
    owner: int
    """The profile of the other; 0: nobody has it."""


class Whole(NamedTuple):
    """How a profile came to be, and what it did not come to."""

    reader: Sightings
    traced: Traced
    refused: list[Refusal]
    refused_left_out: int
    """Others than those, with which it came to nothing, too."""


def whole(engines: Engines, who: str) -> Whole:
    """Of the profile that `who` names. Raises `NotFoundError`, `InvalidRequest`, `StorageError` and its kin."""
    sightings = reader(engines)
    found = traced(sightings, find(engines.state, engines.rules(), who))
    return Whole(sightings, found, *_refusals(engines, sightings, found))


def _refusals(engines: Engines, sightings: Sightings, traced: Traced) -> tuple[list[Refusal], int]:
    """What was kept apart from a profile, the latest first, of `GRAPH_REFUSED_MAX` others at most; how many more.

    As far as the profile's own events and notes show it: who has come with its identifiers, knows it themselves.
    """
    mine = traced.profile.identifiers
    notes = traced.profile.notes or Notes()
    latest = dict.fromkeys((*notes.never, *(each for others in notes.apart.values() for each in others)), 0)
    latest |= notes.seen
    for seen in traced.sightings:
        latest |= {each: max(latest.get(each, 0), seen.received_ms) for each in seen.identifiers if each not in mine}
    others = sorted(latest, key=lambda each: (-latest[each], each))
    others, beyond = others[:_REFUSED_LOOKED_AT], len(others[_REFUSED_LOOKED_AT:])
    owners = engines.state.owners(others)
    people = dict.fromkeys(owners.get(each, each) for each in others if owners.get(each) != traced.profile.id)
    shown = list(people)[:GRAPH_REFUSED_MAX]
    stored = engines.state.survivors([each for each in shown if isinstance(each, int)])
    found: list[Refusal] = []
    for each in shown:
        if isinstance(each, str):
            other = Profile(0, 0, 0, 0, 0, identifiers={each: 0})
        elif each in stored:
            other = profiles.decode(stored[each])
        else:
            continue
        asked = Asked(traced.profile, other, traced.sightings, engines.rules(), engines.clock.now_ms(), sightings.told)
        found += [Refusal(one, other.id) for one in _each_once(hindrances(asked))]
    return found, len(people) - len(shown) + beyond


def _each_once(found: Iterable[Hindrance]) -> Iterable[Hindrance]:
    """What keeps two identifiers apart, by the first that is told of them, with the events of all."""
    pairs: dict[tuple[str, str], Hindrance] = {}
    for one in found:
        if one.kind in ("third", "blocked"):
            continue
        pair = one.a, one.b or one.shared
        first = pairs.get(pair)
        if first is None:
            pairs[pair] = one
        elif not first.events:
            pairs[pair] = structs.replace(first, events=one.events, latest_ms=one.latest_ms, sighting=one.sighting)
    return pairs.values()


_REFUSED_LOOKED_AT = 1_000
"""Identifiers of others whose owners are looked up; of more, those that came last."""


def sighting(seen: Sighting) -> SightingAnswer:
    """An event as it is shown."""
    return SightingAnswer(
        event_id(seen.partition, seen.position), seen.type, seen.name, seen.source, seen.message,
        instants.show(seen.at_ms), instants.show(seen.received_ms),
    )  # fmt: skip


def bond(traced: Traced, one: Bond) -> BondAnswer:
    """A bond as it is shown."""
    seen: Any = traced.at.get(one.place)
    return BondAnswer(
        one.a, one.b, one.rule, of_bond(one), instants.show(one.at_ms),
        None if one.position == NOWHERE else event_id(*one.place),
        one.by,
        position.show(one.absorbed) if one.absorbed else None,
        one.events,
        instants.show(one.latest_ms) if one.latest_ms else None,
        None if seen is None else sighting(seen),
    )  # fmt: skip
