"""The kernel's containers of what a run gathers against Python's: the same to whoever looks, and the same bytes."""

import random
from collections.abc import Collection
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from onefold import kernel
from onefold.core.gathered import Containers, Effects, Instants, Messages
from onefold.core.identity.identifiers import finder_of
from onefold.limits import NEVER_MS
from onefold.model import effect
from onefold.model import profile as profiles
from onefold.model.effect import AnyEffect
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.runtime.folding.native_profiles import native_containers
from onefold.storage import state_bytes
from onefold.storage.embedded.filters import Filters
from onefold.storage.embedded.rows import ROWS, Rows
from onefold.storage.embedded.waiting import Slices

pytestmark = pytest.mark.skipif(kernel.native is None, reason=kernel.found.standing)

SEEDS = range(20)


def containers() -> Containers:
    """The kernel's."""
    return native_containers(kernel.native)


class Anything:
    """Effects of all kinds, from a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def number(self) -> int:
        """One that is not negative, around all sizes in which it is stored."""
        return max(0, (1 << self._chance.choice((0, 1, 3, 7, 8, 16, 32, 57, 62))) + self._chance.choice((-1, 0, 1)))

    def effects(self, most: int) -> list[AnyEffect]:
        """Up to so many, of few people."""
        return [self._effect() for _ in range(self._chance.randrange(most))]

    def _effect(self) -> AnyEffect:
        kind: Any = self._chance.choice(get_args(AnyEffect))
        made: AnyEffect = kind(*(self._value(name, of) for name, of in get_type_hints(kind).items()))
        return made

    def _value(self, name: str, of: Any) -> Any:
        if name == "profile":
            return self._chance.choice((0, 1, 200, 1 << 56, (1 << 63) + 1))
        text = "".join(self._chance.choices("ab:é漢", k=self._chance.choice((0, 3, 31, 32, 300))))
        several: dict[Any, Any] = {
            int: self.number(),
            bool: self.number() % 2 == 0,
            str: text,
            list[str]: [text] * self._chance.randrange(20),
            dict[str, Any]: {text: self.number(), "": None, "of": [1.5, text, True]},
        }
        return several[of]


@pytest.mark.parametrize("seed", SEEDS)
def test_effects_are_kept_as_they_are_encoded(seed: int) -> None:
    """Effects of all kinds come back in order, and are the bytes that Python encodes."""
    mine, theirs = Effects(), containers().effects()
    for one in Anything(seed).effects(40):
        mine.append(one)
        theirs.append(one)
    assert (len(theirs), bool(theirs), list(theirs)) == (len(mine), bool(mine), mine)
    assert effect.encode(theirs) == effect.encode(mine)
    theirs.clear()
    assert effect.encode(theirs) == effect.encode([])


@pytest.mark.parametrize("seed", SEEDS)
def test_effects_are_retracted_and_put_in_order(seed: int) -> None:
    """What happened to some people is let go of, with the places of their events; the rest is sorted as ever."""
    mine, theirs = Effects(), containers().effects()
    for one in Anything(seed).effects(60):
        mine.append(one)
        theirs.append(one)
    people = {one.profile for one in mine[::7]}
    assert theirs.retract(people) == mine.retract(people)
    assert effect.encode(theirs) == effect.encode(mine)
    mine.put_in_order()
    theirs.put_in_order()
    assert effect.encode(theirs) == effect.encode(mine)


@pytest.mark.parametrize("seed", SEEDS)
def test_instants_are_kept_as_in_a_dictionary(seed: int) -> None:
    """Whatever is put, taken out and asked, both say the same, in the same order; so of what is to be armed."""
    chance = random.Random(seed)
    mine, theirs = Instants(), containers().instants()
    ids = [1, 2, 1 << 56, (1 << 56) + 65_537, (1 << 63) + 5, (1 << 64) - 1]
    for _ in range(60):
        one, at_ms = chance.choice(ids), chance.choice((0, 7, NEVER_MS))
        match chance.randrange(4):
            case 0 if one in mine:
                assert theirs.pop(one) == mine.pop(one)
            case 1:
                gone = set(chance.sample(ids, 2))
                mine.let_go(gone)
                theirs.let_go(gone)
            case _:
                mine[one] = theirs[one] = at_ms
        assert (len(theirs), list(theirs), list(theirs.items())) == (len(mine), list(mine), list(mine.items()))
        assert [(theirs.get(each), each in theirs) for each in ids] == [(mine.get(each), each in mine) for each in ids]
    here = {one: Profile(one, 0, 0, 0, 0, due_ms=chance.choice((0, 7, NEVER_MS))) for one in ids[:4]}
    assert theirs.to_arm(here) == mine.to_arm(here)
    kernels = {one: kernel.native.Profile.decode(profiles.encode(profile)) for one, profile in here.items()}
    assert theirs.to_arm(kernels) == mine.to_arm(here)
    assert ROWS.of_members(b"vip\0", theirs) == Rows.of_members(b"vip\0", mine)
    theirs.clear()
    assert not theirs
    with pytest.raises(KeyError):
        theirs[1]
    with pytest.raises(KeyError):
        theirs.pop(1)


@pytest.mark.parametrize("seed", SEEDS)
def test_messages_are_kept_as_in_a_dictionary(seed: int) -> None:
    """Whatever is put, taken out and asked, both say the same, and are encoded alike."""
    chance = random.Random(seed)
    mine, theirs = Messages(), containers().messages()
    some = [chance.randbytes(16) for _ in range(30)]
    for _ in range(chance.randrange(80)):
        one = chance.choice(some)
        if chance.random() < 0.2:
            assert theirs.pop(one, None) == mine.pop(one, None)
        else:
            mine[one] = theirs[one] = chance.choice((0, 127, 128, 1_750_000_000_000))
    assert (len(theirs), list(theirs), list(theirs.items())) == (len(mine), list(mine), list(mine.items()))
    assert (list(theirs.keys()), list(theirs.values())) == (list(mine.keys()), list(mine.values()))
    assert [(theirs.get(each), each in theirs) for each in some] == [(mine.get(each), each in mine) for each in some]
    assert theirs.among(some[:9]) == mine.among(some[:9])
    assert state_bytes.encode(theirs) == state_bytes.encode(mine)
    assert [theirs[one] for one in mine] == list(mine.values())
    with pytest.raises(KeyError):
        theirs[bytes(16)]


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_are_the_same(seed: int) -> None:
    """Rows of profiles, identifiers, timers and members, whatever these are."""
    chance = random.Random(seed)
    ids = [chance.randrange(1 << chance.choice((1, 30, 57, 64))) for _ in range(20)]
    names = {f"{chance.choice('aé漢z')}:{chance.randrange(99)}": one for one in ids}
    due = {one: (chance.choice((0, 5, NEVER_MS)), chance.choice((0, 5, 1 << 40, NEVER_MS))) for one in ids}
    absorbed = dict.fromkeys(chance.sample(ids, 5), 1)
    members = {one: chance.choice((0, 9, 1 << 40)) for one in ids}
    made = {one: Profile(one, 0, 0, 0, 0) for one in ids}
    encoded: dict[int, bytes] = {ids[0]: b"as it was"}
    kernel.native.encode_profiles(made, encoded, profiles.encode)
    assert encoded == {one: profiles.encode(profile) for one, profile in made.items()} | {ids[0]: b"as it was"}
    assert ROWS.of_profiles(made, encoded) == Rows.of_profiles(made, encoded)
    assert ROWS.of_identifiers(names) == Rows.of_identifiers(names)
    assert ROWS.of_timers(due, absorbed) == Rows.of_timers(due, absorbed)
    assert ROWS.of_members(b"vip\0", members) == Rows.of_members(b"vip\0", members)


@pytest.mark.parametrize("seed", SEEDS)
def test_slices_are_the_same(seed: int) -> None:
    """Messages that wait: added from either's container, found, forgotten, and sorted into generations."""
    chance = random.Random(seed)
    mine, theirs = Slices(), kernel.native.Slices()
    some = [bytes((chance.randrange(3),)) + chance.randbytes(15) for _ in range(40)]
    for _ in range(6):
        plain, native = Messages(), containers().messages()
        for one in chance.sample(some, 10):
            plain[one] = native[one] = chance.randrange(100)
        assert theirs.add(chance.choice((plain, native))) == mine.add(plain)
        since_ms, number = chance.randrange(20), chance.randrange(3)
        mine.forget(since_ms)
        theirs.forget(since_ms)
        if chance.random() < 0.3:
            mine.clear(number)
            theirs.clear(number)
        assert theirs.among(some) == mine.among(some)
        assert [theirs.span(each) for each in range(256)] == [mine.span(each) for each in range(256)]
        assert theirs.rows(number, 30, 60) == mine.rows(number, 30, 60)
    assert theirs.add({}) is mine.add({}) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_filters_are_the_same(seed: int) -> None:
    """What fills a filter, and what filters let through, of whatever sizes, in bytes or in a buffer."""
    chance = random.Random(seed)
    theirs = kernel.native.Filters
    some = [bytes((chance.randrange(4),)) + chance.randbytes(15) for _ in range(200)]
    generations: list[list[tuple[Any, Any]]] = []
    for _ in range(chance.randrange(4)):
        rows = [(bytes(8) + bytes((number,)), bytes(1 << chance.choice((0, 4, 9)))) for number in range(3)]
        of_slice = {key: [one for one in some[:100] if one[0] == key[-1]] for key, _ in rows}
        filled = [(key, theirs.filled(bits, of_slice[key])) for key, bits in rows]
        assert filled == [(key, Filters.filled(bits, of_slice[key])) for key, bits in rows]
        generations.append([(memoryview(key), memoryview(bits)) for key, bits in filled] if seed % 2 else filled)
    assert theirs.slices(some) == Filters.slices(some)
    let_through = theirs.perhaps(some, generations)
    assert let_through == Filters.perhaps(some, generations)
    assert all({one for one in some[:100] if one[0] < 3} <= set(found) for found in let_through)


@pytest.mark.parametrize("seed", SEEDS)
def test_fingerprints_of_a_batch_are_as_good_as_a_list(seed: int) -> None:
    """Whoever asks for messages finds the same, whether they are the kernel's own or Python's."""
    chance = random.Random(seed)
    events = [b'{"type":"page","userId":"u","messageId":"%d"}' % chance.randrange(99) for _ in range(40)]
    record = b'{"kind":"received","source":"s","at_ms":9,"events":[%b]}' % b",".join(events)
    run = kernel.native.Decoder([], [], msgspec.json.decode).read(record)
    incoming = run.incoming(0, 0, 9, finder_of(Rules()))
    theirs, mine = kernel.native.Fingerprints.of(incoming), [each.fingerprint for each in incoming]
    assert isinstance(theirs, Collection)
    assert (len(theirs), list(theirs), mine[3] in theirs, bytes(16) in theirs) == (len(mine), mine, True, False)
    for container in (Messages(), containers().messages()):
        for one in chance.sample(mine, 9):
            container[one] = chance.randrange(99)
        assert container.among(theirs) == container.among(mine)
    slices = kernel.native.Slices()
    slices.add(dict.fromkeys(mine[:9], 7))
    assert slices.among(theirs) == slices.among(mine)
    assert kernel.native.Filters.slices(theirs) == Filters.slices(mine)
    assert kernel.native.Fingerprints.of([*incoming, None]) is None
