"""What is asked of an instant that has passed is what the platform said at that instant, and nothing else."""

import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from onefold.errors import NotFoundError, NotInHistory
from onefold.language.reading.check import checked
from onefold.language.stream.probe import defined
from onefold.limits import DAY_MS, HOUR_MS
from onefold.model import profile as profiles
from onefold.model.catalog import VersionRow
from onefold.model.definitions import Definitions
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.ports import History
from onefold.runtime.history.writing import Historian
from onefold.runtime.history.writing import Sources as Followed
from onefold.runtime.past import told
from onefold.runtime.past.profile_then import PastDefinitions, Sources, profile_then
from onefold.storage.history.delta import DeltaHistory
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.seeded import Seeded
from onefold.testing.world import World, define, rfc3339
from tests.property.test_parity import same_values
from tests.property.test_step import DEFINITIONS

CASES = int(os.environ.get("ONEFOLD_AS_OF_CASES", "12"))


class Picture(NamedTuple):
    """All that the platform said at an instant."""

    at_ms: int
    people: list[Profile]
    members: dict[str, list[tuple[int, int]]]


class Versions:
    """The catalog, as far as it is asked."""

    def __init__(self) -> None:
        self._versions: list[tuple[Definitions, int]] = []

    def save(self, definitions: Definitions, at_ms: int) -> Definitions:
        """The next version, saved now."""
        saved = msgspec.structs.replace(definitions, version=len(self._versions) + 1)
        self._versions.append((saved, at_ms))
        return saved

    def versions(self) -> list[VersionRow]:
        """As `Catalog.versions`."""
        return [VersionRow(one.version, "test", at_ms) for one, at_ms in self._versions]

    def definitions(self, version: int | None = None) -> Definitions:
        """As `Catalog.definitions`."""
        assert version is not None
        return self._versions[version - 1][0] if version else Definitions()


class Life:
    """A platform whose history role keeps up, or stops at some time; pictures are taken on the way."""

    def __init__(self, seed: int, history: History, versions: list[Definitions], partitions: int = 1) -> None:
        self._chance = random.Random(seed)
        self.world = World(partitions=partitions)
        self.history = history
        self.catalog = Versions()
        self._definitions = PastDefinitions(self.catalog)
        self.pictures: list[Picture] = []
        self._clock = ManualClock(self.world.now_ms)
        self._historian = Historian(Followed(self.world.state, self.world.reader), history, self._clock, flush_s=1)
        self._historian.turn()
        self._live(versions)

    def sources(self) -> Sources:
        """What questions are put to."""
        return Sources(self.history, self.world.reader, self.world.state, self._definitions, lambda _: Rules())

    def _live(self, versions: list[Definitions], count: int = 60) -> None:
        chance, world = self._chance, self.world
        changes = {0, *(chance.randrange(count) for _ in versions[1:])}
        behind = chance.randrange(count)
        waiting = list(versions)
        for n in range(count):
            if n in changes and waiting:
                world.define(self.catalog.save(waiting.pop(0), world.now_ms))
                world.fold()
            world.pass_time(chance.choice((1, 1, 1000, HOUR_MS // 2, HOUR_MS, DAY_MS)))
            world.send(self._event(n), partition=chance.randrange(world.partitions))
            world.fold()
            if n < behind:
                self._clock.advance(chance.randrange(3_000))
                self._historian.turn()
            world.pass_time(1)
            if chance.random() < 0.15:
                self.pictures.append(self._picture())
                world.pass_time(1)

    def _event(self, number: int) -> dict[str, Any]:
        """Of people who each have some identifiers, any of which may come together."""
        chance, now_ms = self._chance, self.world.now_ms
        person = chance.randrange(3)
        event: dict[str, Any] = {
            "type": "track",
            "event": chance.choice(("Order Completed", "Product Viewed")),
            "messageId": f"m{number}",
            "timestamp": rfc3339(now_ms - chance.choice((0, 0, 0, 1000, HOUR_MS, DAY_MS))),
            "properties": {"revenue": chance.choice((1, 0.1, 7.77, 30, "x")), "category": chance.choice("abc")},
        }
        if chance.random() < 0.4:
            del event["event"]
            event |= {"type": "identify", "traits": {"plan": chance.choice(("pro", "free"))}}
            if chance.random() < 0.5:
                event["traits"]["email"] = f"p{person}@example.com"
            if chance.random() < 0.5:
                event["userId"] = f"u{person}"
        if "userId" not in event or chance.random() < 0.5:
            event["anonymousId"] = f"a{person}.{chance.randrange(4)}"
        return event

    def _picture(self) -> Picture:
        state = self.world.state
        ids = [one for home in range(self.world.partitions) for one in state.profile_ids(home, 0, 1 << 30)]
        people = [profiles.decode(data) for data in state.survivors(ids).values()]
        members = {audience: state.members(audience, -1, 1 << 30) for audience in state.sizes()}
        return Picture(self.world.now_ms, people, members)


def seeded(seed: int) -> Definitions:
    """Definitions without a mistake, of this seed or of one that follows from it."""
    found = Seeded(seed).definitions()
    return seeded(seed + 100_000) if checked(found).problems else found


def _versions(seed: int) -> list[Definitions]:
    """Some that follow each other; the last comes into force without anybody's being told."""
    others = [seeded(seed), DEFINITIONS]
    quiet = tuple(defined(others[0]))
    return [DEFINITIONS, define({"latest": 'last("*", properties.category)'}, {"regulars": "events > 1"}),
            msgspec.structs.replace(others[0], quiet=quiet), *others[1:]][seed % 3 :]  # fmt: skip


def _check_people(life: Life, picture: Picture) -> None:
    """Everybody of then, asked for by each of their identifiers, and by the ids that they had."""
    for then in picture.people:
        named: list[int | str] = [then.id, *then.identifiers]
        for wanted in (named[0], named[1], named[-1]):
            now = life.world.profile(next(iter(then.identifiers)))
            found = profile_then(life.sources(), now, wanted, picture.at_ms)
            mine = found.profile
            assert (mine.id, found.now, found.forgotten, found.told) == (then.id, now.id, 0, True)
            assert mine.identifiers == then.identifiers
            assert {name: one.value for name, one in mine.declared.items()} == {
                name: one.value for name, one in then.declared.items()
            }
            assert same_values(mine.computed, then.computed)
            assert mine.audiences == then.audiences
            assert (mine.events, mine.first_seen_ms, mine.last_seen_ms, mine.created_at_ms, mine.version) == (
                then.events, then.first_seen_ms, then.last_seen_ms, then.created_at_ms, then.version,
            )  # fmt: skip
            assert sorted(mine.links) == sorted(then.links)
            assert sorted(mine.merges) == sorted(then.merges)


def _check_audiences(life: Life, picture: Picture) -> None:
    with told.audiences(told.Engines(life.history, life.world.state), picture.at_ms) as then:
        assert then.sizes() == {audience: len(members) for audience, members in picture.members.items() if members}
        for audience, members in picture.members.items():
            assert then.size(audience) == len(members)
            assert then.members(audience, -1, 1 << 30) == members
            assert list(_pages(then, audience)) == members


def _pages(then: told.Audiences, audience: str) -> Iterator[tuple[int, int]]:
    after = -1
    while page := then.members(audience, after, 2):
        yield from page
        after = page[-1][0]


@pytest.mark.parametrize("seed", range(CASES))
def test_what_was_said_is_what_is_said_of_it(seed: int) -> None:
    """Profiles and memberships of many instants, later: through merges, late events, timers and changed definitions."""
    life = Life(seed, MemoryHistory(), _versions(seed), partitions=1 + seed % 2)
    for picture in life.pictures:
        _check_people(life, picture)
        _check_audiences(life, picture)


@pytest.mark.parametrize("seed", range(2))
def test_the_tables_say_the_same(seed: int, tmp_path: Path) -> None:
    """The same of Delta tables that were tidied."""
    with closing(DeltaHistory(tmp_path / "history")) as history:
        assert history.try_hold()
        life = Life(seed, history, _versions(seed))
        while history.tidy():
            pass
        for picture in life.pictures[::4]:
            _check_people(life, picture)
            _check_audiences(life, picture)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_known_now_has_late_events_in_their_place(seed: int) -> None:
    """With `late`, an instant is what it would have been had every event come when it happened."""
    life = Life(seed, MemoryHistory(), [DEFINITIONS])
    picture = life.pictures[len(life.pictures) // 2]
    for then in picture.people:
        now = life.world.profile(next(iter(then.identifiers)))
        found = profile_then(life.sources(), now, then.id, picture.at_ms, late=True)
        assert found.profile.events == len([past for past in found.pasts if past.at_ms <= picture.at_ms])
        assert found.profile.events >= then.events
        assert not found.told


def test_nobody_was_there_yet() -> None:
    """Before a person's first event, or before an identifier was theirs, there is nobody; and it says since when."""
    life = Life(1, MemoryHistory(), [DEFINITIONS])
    now = life.world.profile(life.pictures[-1].people[0].identifiers.__iter__().__next__())
    with pytest.raises(NotFoundError, match=r"nobody had this identifier then: it was first seen at 20"):
        profile_then(life.sources(), now, next(iter(now.identifiers)), now.created_at_ms - 1)
    with pytest.raises(NotFoundError, match="there was no such profile then"):
        profile_then(life.sources(), now, now.id, now.created_at_ms - 1)


def test_a_history_that_begins_later_says_so() -> None:
    """Who was in when it began is known from then on; of what was before, nothing is said."""
    life = Life(2, MemoryHistory(), [DEFINITIONS])
    begun = MemoryHistory()
    historian = Historian(Followed(life.world.state, life.world.reader), begun, ManualClock(), flush_s=1)
    historian.turn()
    since_ms = begun.moves_since()
    assert since_ms == life.world.state.cursor(0).now_ms
    engines = told.Engines(begun, life.world.state)
    with pytest.raises(NotInHistory, match="history knows memberships from 20"), told.audiences(engines, since_ms - 1):
        pass
    with told.audiences(engines, since_ms) as then:
        for audience in life.world.state.sizes():
            assert then.members(audience, -1, 1 << 30) == life.world.state.members(audience, -1, 1 << 30)
