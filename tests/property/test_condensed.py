"""What explains somebody of very many events is the same as if each of these had been read."""

from itertools import combinations
from typing import Any

from msgspec import structs

from onefold.core.identity.apart import Asked, hindrances
from onefold.core.identity.evidence import bonds, together
from onefold.model.identity import IdentifierType, Identity
from onefold.model.profile import Profile
from onefold.model.sighting import Hindrance
from onefold.runtime.identity.sightings import Seen, Sightings
from onefold.testing.memory.history import MemoryHistory
from tests.property.test_relatives import CARDS, RULES, SPELLED, Crowd, Life, begun, parted

NEVER = 1 << 60


def people(life: Life) -> list[Profile]:
    """Everybody."""
    return [life.world.profile_of(one) for one in life.world.state.profile_ids(0, 0, NEVER)]


def seen(life: Life, condensed_from: int) -> tuple[Sightings, dict[int, Seen]]:
    """What everybody's events show, read in one way or the other."""
    world = life.world
    sightings = Sightings(life.history, world.reader, world.state, lambda _: life.rules, condensed_from=condensed_from)
    return sightings, {each.id: sightings.of(each) for each in people(life)}


def answers(life: Life, condensed_from: int) -> list[Any]:
    """All that is made of it."""
    sightings, found = seen(life, condensed_from)
    made: list[Any] = [(one, each.forgotten) for one, each in found.items()]
    everybody = people(life)
    for each in everybody:
        events = found[each.id].sightings
        made.append(bonds(each, events))
        for one_name, other_name in combinations(each.identifiers, 2):
            both = together(events, one_name, other_name)
            ends = [structs.replace(one, times=1, until_ms=0) for one in (*both[:1], *both[-1:])]
            made.append((sum(one.times for one in both), ends))
    for a, b in combinations(everybody, 2):
        events = [*found[a.id].sightings, *found[b.id].sightings]
        asked = Asked(a, b, events, life.rules, life.world.now_ms, sightings.told)
        made.append([bare(one) for one in hindrances(asked)])
    return made


def bare(found: Hindrance) -> Hindrance:
    """Whatever its first event stands for besides."""
    first = found.sighting
    return structs.replace(found, sighting=None if first is None else structs.replace(first, times=1, until_ms=0))


def require_the_same(identity: Identity, seed: int) -> int:
    """Both ways answer alike; how many events were not read one by one."""
    life, crowd = begun(identity, MemoryHistory()), Crowd(seed)
    life.lives(crowd, 300)
    for event in crowd.events(10):  # What history does not have yet.
        life.world.send(event)
    life.world.fold()
    assert answers(life, 0) == answers(life, NEVER)
    parted(life, seed)
    assert answers(life, 0) == answers(life, NEVER)
    _, found = seen(life, 0)
    return sum(each.times - 1 for one in found.values() for each in one.sightings)


def test_many_events_say_the_same_condensed() -> None:
    """Random lives under three sets of rules, with events that history lacks, and such as recasts made others'."""
    assert sum(require_the_same(identity, seed) for identity in RULES for seed in range(2)) > 50


def test_odd_names_of_fields_are_looked_at_whole() -> None:
    """Rules whose fields a path of SQL cannot name read the same."""
    odd = IdentifierType("odd", ("properties.a'b", "context.c'd", 'traits.e"f', "traits.g\\h", "context.traits.mobile"))
    assert require_the_same(Identity(types=(*CARDS.types, *SPELLED.types[1:], odd)), 99) >= 0
