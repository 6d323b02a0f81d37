"""What the kernel remembers of people against what Python does: the same profiles, and the same people found."""

import json
import random
from typing import Any

import pytest

from onefold import kernel
from onefold.core.batch import Incoming
from onefold.core.identity.identifiers import Finder, finder_of
from onefold.language.stream.excerpt import records
from onefold.model import profile as profiles
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.runtime.folding.recent import Recent
from onefold.runtime.folding.remembered import Remembered

pytestmark = pytest.mark.skipif(kernel.native is None, reason=kernel.found.standing)

NOW_MS = 1_750_000_000_000


@pytest.mark.parametrize("seed", range(20))
def test_the_memory_is_as_pythons(seed: int) -> None:
    """Whatever is put, asked for and forgotten in any order: what is there, and how much, is the same."""
    chance = random.Random(seed)
    size = chance.randrange(8)
    mine, theirs = Recent[int, object](size), kernel.native.Memory(size)
    for _ in range(400):
        one = chance.choice((0, 1 << 63, *range(12)))
        match chance.randrange(20):
            case 0:
                mine.clear()
                theirs.clear()
            case n if n < 8:
                value = object()
                mine.put(one, value)
                theirs.put(one, value)
            case n if n < 11:
                assert theirs.forget(one) is mine.forget(one)
            case _:
                assert theirs.get(one) is mine.get(one)
        assert len(theirs) == len(mine) <= 2 * size + 1
        assert (one in theirs) == (one in mine)


def test_what_a_commit_has_made_is_the_kernels_from_then_on() -> None:
    """Python's own are brought over, in what the commit has made, too; what only Python knows stays as it is."""
    plain = Profile(1, NOW_MS, NOW_MS, NOW_MS, NOW_MS, events=3)
    native, strange = kernel.native.Profile(2, NOW_MS, NOW_MS, NOW_MS, NOW_MS), object()
    made: dict[int, Any] = {1: plain, 2: native, 3: strange}
    remembered = Remembered(10)
    remembered.keep(made, {1: profiles.encode(plain), 2: b"", 3: b"?"})
    assert type(made[1]) is kernel.native.Profile
    assert made[1] == plain
    assert (made[2], made[3]) == (native, strange)
    assert all(remembered.memory.get(one) is profile for one, profile in made.items())


@pytest.mark.parametrize("seed", range(5))
def test_a_batchs_people_are_as_a_dict(seed: int) -> None:
    """Whoever comes and goes in whatever order."""
    chance = random.Random(seed)
    mine, theirs = dict[int, object](), kernel.native.People()
    for _ in range(300):
        one, value = chance.randrange(6), object()
        if chance.random() < 0.6:
            mine[one] = theirs[one] = value
        elif one in mine:
            del mine[one], theirs[one]
        else:
            with pytest.raises(KeyError):
                del theirs[one]
            with pytest.raises(KeyError):
                theirs[one]
        theirs.update({one + 10: value})
        mine.update({one + 10: value})
        assert dict(theirs.items()) == mine == dict(zip(theirs.keys(), theirs.values(), strict=True))
        assert theirs.get(one) is mine.get(one)
        assert set(theirs) == set(mine)
        assert len(theirs) == len(mine)
        assert (one in theirs) == (one in mine)


def _person(one: int, chance: random.Random) -> Profile:
    """Somebody with some of few identifiers, so that others expect these of them in vain."""
    names = chance.sample([f"user_id:{n}" for n in range(3)] + [f"anonymous_id:{n}" for n in range(3)], 3)
    return Profile(one, NOW_MS, NOW_MS, NOW_MS, NOW_MS, identifiers=dict.fromkeys(names, NOW_MS))


def _events(finder: Finder, chance: random.Random) -> list[Incoming]:
    """Events of people whose profile somebody has thought to know before."""
    ids = (None, "0", "1", "2")
    events = [
        {"type": "track", "event": "Seen", "userId": chance.choice(ids), "anonymousId": chance.choice(ids)}
        for _ in range(12)
    ]
    record = json.dumps({"kind": "received", "source": "", "at_ms": NOW_MS, "events": events}).encode()
    return list(records((), ()).read(record).incoming(0, 0, NOW_MS, finder))


@pytest.mark.parametrize("seed", range(60))
def test_people_are_settled_as_python_settles_them(seed: int) -> None:
    """Those who are in memory or elsewhere, with all of an event's identifiers or with some, natively kept or not."""
    chance = random.Random(seed)
    finder = finder_of(Rules())
    mine, theirs = Remembered(3, None), Remembered(3, kernel.native)
    people = {one: _person(one, chance) for one in range(1, 6)}
    aside = {one: people[one] for one in (4, 5)}
    for one in (1, 2, 3):
        data = profiles.encode(people[one])
        mine.memory.put(one, people[one])
        native = kernel.native.Profile.decode(data)
        if chance.random() < 0.3:
            native.identifiers  # noqa: B018 - thawed by being looked at
        theirs.memory.put(one, native if chance.random() < 0.8 else profiles.decode(data))
    for _ in range(4):
        incoming = _events(finder, chance)
        supposed = {id(each.who): (each.who, chance.randrange(7)) for each in incoming}
        found = []
        for remembered in (mine, theirs):
            for who, owner in supposed.values():
                who.owner = owner
            if remembered is mine:
                here, names = mine.settle_people([who for who, _ in supposed.values()], aside.get)
            else:
                here, names = theirs.settle(incoming, aside.get)
            found.append((set(here), names, [who.owner for who, _ in supposed.values()]))
        assert found[0] == found[1]


def test_events_that_name_accounts_are_settled_by_python() -> None:
    """The account is among those who are looked for."""
    incoming = _events(finder_of(Rules()), random.Random(0))
    incoming[0].account = finder_of(Rules()).find_account(
        records((), ())
        .read(b'{"kind":"received","source":"","at_ms":1,"events":[{"type":"group","groupId":"acme"}]}')
        .incoming(0, 0, NOW_MS, finder_of(Rules()))[0]
        .event
    )
    _, names = Remembered(3, kernel.native).settle(incoming, lambda _: None)
    assert ":acme" in names
