"""Undo told as short stories: what people ask for, what comes of it, what is told to whom, and what is refused."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from msgspec import structs

from onefold.core.identity.refold import Segment
from onefold.errors import InvalidRequest, NotFoundError, NotInHistory, Overloaded
from onefold.limits import DAY_MS, RECAST_MAX_PROFILES
from onefold.model.effect import AnyEffect, Changed, Entered, Left, LinkRefused, Merged, Recast, Split
from onefold.model.identity import IdentifierType, Identity
from onefold.model.past import survivors
from onefold.model.recast import reresolve_under
from onefold.runtime.identity.recasting import Sources, Wanted, prepare
from onefold.runtime.identity.unmerge import After, Done, Event, Identifier, Link, Wish, planned, unmerge
from onefold.runtime.past.person_events import PersonEvents
from onefold.runtime.past.profile_then import PastDefinitions, profile_then
from onefold.runtime.past.profile_then import Sources as Then
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import START_MS, World, define, identify, track
from tests.property.test_unmerge import Catalog, followed

DEFINITIONS = define(
    {"n": 'count("A")', "plan": "traits.plan"},
    {"many": "n >= 3", "some": "n >= 1", "lately": 'count("A", within="1h") > 0'},
)
TABLET = "anonymous_id:tablet"


class Worker:
    """A writer of the log behind which a worker folds at once; what comes just before is told by `before`."""

    def __init__(self, world: World, before: Sequence[Callable[[], None]] = ()) -> None:
        self.partitions = world.partitions
        self._world = world
        self._before = list(before)

    def append(self, batches: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        """As `LogWriter.append`."""
        if self._before:
            self._before.pop(0)()
        offsets = self._world.writer.append(batches)
        self._world.fold()
        return offsets

    def close(self) -> None:
        """Nothing to let go of."""


class Shop:
    """A world with its history, in which people are taken apart."""

    def __init__(self, identity: Identity | None = None) -> None:
        definitions = DEFINITIONS if identity is None else structs.replace(DEFINITIONS, identity=identity)
        self.world = World(definitions)
        self.history = MemoryHistory()
        catalog = Catalog(definitions)
        self.sources = Sources(self.history, self.world.reader, self.world.state, catalog, PastDefinitions(catalog))

    def follow(self) -> None:
        """Let history have all that there is."""
        self.world.fold()
        followed(self.world, self.history)

    def undo(self, wish: Wish, why: str = "a mistake", before: Sequence[Callable[[], None]] = ()) -> Done:
        """As the command does it."""
        self.follow()
        clock = ManualClock(self.world.now_ms)
        return unmerge(self.sources, Worker(self.world, before), clock, wish, ("ann", why))

    def ids(self, *names: str) -> list[int]:
        """Who has these identifiers."""
        return [self.world.profile(name).id for name in names]


def joined() -> Shop:
    """Ann's laptop and a tablet, each with a purchase, which she once used; three in all."""
    shop = Shop()
    shop.world.send(track("A", anonymous="tablet", message="m0"))
    shop.world.send(track("A", user="ann", message="m1"), identify(user="ann", message="m2", traits={"plan": "pro"}))
    shop.world.send(track("A", user="ann", anonymous="tablet", message="m3"))
    shop.world.fold()
    return shop


def since(world: World, offset: int) -> list[AnyEffect]:
    """What the entry at this offset has told."""
    return [effect for effect in world.effects() if effect.position >> 16 == offset]


def test_a_link_is_undone_and_everybody_is_told_once_in_order() -> None:
    """Who there would be is there; it is told that they are two, and of each what is otherwise."""
    shop = joined()
    tablet, ann = 1 << 16, 2 << 16
    assert shop.world.person("user_id:ann").audiences == ("lately", "many", "some")
    done = shop.undo(Link("user_id:ann", TABLET), "her sister's")
    assert (done.folded, done.said) == (True, f"unmerge link user_id:ann {TABLET}: her sister's")
    assert shop.world.person("user_id:ann").computed == {"n": 2, "plan": "pro"}
    assert shop.world.person(TABLET).computed == {"n": 1}
    assert shop.ids(TABLET, "user_id:ann") == [tablet + 1, ann + 1]
    at = (done.offset << 16,)
    now = START_MS
    assert since(shop.world, done.offset) == [
        Recast(tablet + 1, *at, 0, now, "ann", done.said, True),
        Split(ann + 1, *at, 1, now, tablet + 1, ["user_id:ann"]),
        Changed(tablet + 1, *at, 2, now, {"n": 1, "plan": None, "traits.plan": None}),
        Left(tablet + 1, *at, 3, now, "many", "split"),
        Changed(ann + 1, *at, 4, now, {"n": 2, "plan": "pro", "traits.plan": "pro"}),
        Entered(ann + 1, *at, 5, now, "lately"),
        Entered(ann + 1, *at, 6, now, "some"),
    ]
    (undone,) = shop.world.profile(TABLET).noted().undone
    assert (undone.by, undone.why) == ("ann", done.said)


def test_the_same_evidence_joins_nobody_again_and_other_evidence_does() -> None:
    """An event with both is its first identifier's; one that ties each to a third joins all."""
    shop = joined()
    shop.undo(Link("user_id:ann", TABLET))
    shop.world.send(track("A", user="ann", anonymous="tablet", message="m4"))
    shop.world.fold()
    assert [e.rule for e in shop.world.effects() if isinstance(e, LinkRefused)] == ["unmerged"]
    assert shop.world.person("user_id:ann").computed["n"] == 3
    mail = {"email": "ann@example.com"}
    shop.world.send(
        identify(user="ann", message="m5", traits=mail), identify(anonymous="tablet", message="m6", traits=mail)
    )
    shop.world.fold()
    assert shop.world.person(TABLET).computed["n"] == 4
    assert shop.ids(TABLET) == shop.ids("user_id:ann")


def test_late_events_go_to_the_right_person() -> None:
    """What happened before the undo and arrives after it counts with whoever it is of."""
    shop = joined()
    shop.world.now_ms += DAY_MS
    shop.undo(Link("user_id:ann", TABLET))
    shop.world.send(
        track("A", START_MS, anonymous="tablet", message="late"), track("A", START_MS, user="ann", message="l2")
    )
    shop.world.fold()
    assert (shop.world.person(TABLET).computed["n"], shop.world.person("user_id:ann").computed["n"]) == (2, 3)


def test_what_an_event_has_joined_is_undone_by_its_message_id_or_its_place() -> None:
    """Both name the same; an event that joined nothing, and one that nobody knows, are refused."""
    for name in ("m3", f"00-{3 << 16:x}"):
        shop = joined()
        assert shop.undo(Event(name)).said == f"unmerge event {name}: a mistake"
        assert shop.ids(TABLET) != shop.ids("user_id:ann")
    shop = joined()
    with pytest.raises(InvalidRequest, match=r"one identifier, user_id:ann: it has joined nothing"):
        shop.undo(Event("m1"))
    with pytest.raises(NotFoundError, match=r"history has no event m9"):
        shop.undo(Event("m9"))


def test_an_identifier_joins_nobody_and_stays_with_whom_its_first_event_names() -> None:
    """A kiosk's device that has joined three people: they are three, and the next one is one of their own."""
    shop = Shop()
    for n, user in enumerate(("ann", "bob", "cid")):
        mail = {"email": "team@example.com"}
        shop.world.send(
            identify(anonymous=user, message=f"m{n}", traits=mail), track("A", anonymous=user, message=f"a{n}")
        )
    shop.world.fold()
    assert len(shop.world.people()) == 1
    shop.undo(Identifier("email:team@example.com"))
    assert [person.computed["n"] for person in shop.world.people()] == [1, 1, 1]
    assert shop.ids("email:team@example.com") == shop.ids("anonymous_id:ann")
    shop.world.send(identify(anonymous="dan", message="m9", traits={"email": "team@example.com"}))
    shop.world.fold()
    assert len(shop.world.people()) == 4


def test_everything_after_an_instant_is_undone_also_what_people_said() -> None:
    """Links that were there before stay; those that came after never were."""
    shop = Shop()
    shop.world.send(track("A", user="ann", anonymous="laptop", message="m0"), track("A", user="bob", message="m1"))
    shop.world.fold()
    then_ms = shop.world.now_ms
    shop.world.pass_time(DAY_MS)
    shop.world.send(
        track("A", user="ann", anonymous="tablet", message="m2"), track("A", anonymous="tablet", message="m3")
    )
    shop.world.link("user_id:ann", "user_id:bob")
    shop.world.fold()
    assert shop.world.person("user_id:ann").computed["n"] == 4
    shop.undo(After("user_id:bob", then_ms))
    assert shop.world.person("user_id:ann").identifiers == ("anonymous_id:laptop", "user_id:ann")
    assert (shop.world.person(TABLET).computed["n"], shop.world.person("user_id:bob").computed["n"]) == (1, 1)
    with pytest.raises(InvalidRequest, match="was joined by nothing after"):
        shop.undo(After("user_id:ann", then_ms))


def test_a_word_counts_for_more_than_what_was_undone() -> None:
    """Who says that both are one person after all has them joined, and later events go on joining them."""
    shop = joined()
    shop.undo(Link("user_id:ann", TABLET))
    shop.world.link("user_id:ann", TABLET)
    shop.world.send(track("A", user="ann", anonymous="tablet", message="m4"))
    shop.world.fold()
    assert shop.world.person(TABLET).computed["n"] == 4
    assert shop.world.profile(TABLET).noted().apart == {}
    shop.undo(Link("user_id:ann", TABLET))
    assert (shop.world.person(TABLET).computed["n"], shop.world.person("user_id:ann").computed["n"]) == (1, 3)


def test_an_event_in_between_makes_it_stale_and_it_is_done_again() -> None:
    """Nothing is lost and nothing counts twice; that the first attempt came to nothing is told."""
    shop = joined()
    late = lambda: shop.world.send(track("A", user="ann", message="between"))  # noqa: E731 (what comes just before)
    done = shop.undo(Link("user_id:ann", TABLET), before=[late])
    assert [each.applied for each in shop.world.effects() if isinstance(each, Recast)] == [False, True]
    assert (shop.world.person(TABLET).computed["n"], shop.world.person("user_id:ann").computed["n"]) == (1, 3)
    assert done.prepared.events == 5
    assert shop.world.state.counts()["recasts_stale"] == 1


def test_people_whom_a_rule_kept_out_come_to_what_is_free_now() -> None:
    """Bob's events had the tablet, too, which was Ann's; without her link it is Bob's, as his are the next with it."""
    shop = joined()
    shop.world.send(track("A", user="bob", anonymous="tablet", message="m8"))
    shop.world.fold()
    assert shop.ids(TABLET) != shop.ids("user_id:bob")
    done = shop.undo(Link("user_id:ann", TABLET))
    assert shop.ids(TABLET) == shop.ids("user_id:bob")
    assert shop.world.person("user_id:bob").computed["n"] == 2
    assert len(done.prepared.before) == 2
    merged = [each for each in since(shop.world, done.offset) if isinstance(each, Merged)]
    assert [each.rule for each in merged] == ["recast"]


@pytest.mark.parametrize("tablet", ["it's", "' OR 1=1 --", 'say "it"', "back\\slash", "nul\x00byte", "%_?"])
def test_whoever_is_looked_for_strangers_words_are_values(tablet: str) -> None:
    """What stands in an identifier is nothing but itself, where others who had it are sought in history."""
    shop = Shop()
    for n, (user, device) in enumerate((("ann", ""), ("bob", ""), ("ann", tablet), ("bob", tablet))):
        shop.world.send(track("A", user=user, anonymous=device or None, message=f"m{n}"))
    done = shop.undo(Link("user_id:ann", f"anonymous_id:{tablet}"))
    assert len(done.prepared.before) == 2
    assert shop.ids(f"anonymous_id:{tablet}") == shop.ids("user_id:bob")


_CARRIED = {"externalIds": [{"id": "tablet", "type": "anonymous_id", "collection": "users", "encoding": "none"}]}


@pytest.mark.parametrize("fields", [{"context": _CARRIED}, {"anonymous": " tablet "}, {"anonymous": "\u2003tablet\n"}])
def test_whoever_is_looked_for_ids_may_come_otherwise(fields: dict[str, Any]) -> None:
    """A plain id that somebody's event brings in `externalIds`, or with blanks, makes them one of those concerned."""
    shop = Shop()
    shop.world.send(track("A", user="ann", message="m0"), track("A", user="bob", message="m1"))
    shop.world.send(track("A", user="ann", anonymous="tablet", message="m2"))
    shop.world.send(track("A", user="bob", message="m3", **fields))
    done = shop.undo(Link("user_id:ann", "anonymous_id:tablet"))
    assert len(done.prepared.before) == 2
    assert shop.ids("anonymous_id:tablet") == shop.ids("user_id:bob")


def test_what_cannot_be_undone_is_refused_with_the_reason() -> None:
    """Nothing to undo, other evidence, and history that lacks what it takes."""
    shop = joined()
    shop.world.send(identify(user="ann", message="m4", traits={"email": "a@b.cd"}))
    shop.world.send(identify(anonymous="tablet", message="m5", traits={"email": "a@b.cd"}))
    shop.world.send(track("A", user="bob", message="m6"))
    with pytest.raises(NotFoundError, match="nobody has user_id:zoe"):
        shop.undo(Link("user_id:ann", "user_id:zoe"))
    with pytest.raises(InvalidRequest, match="are not one person: there is nothing to undo"):
        shop.undo(Link("user_id:ann", "user_id:bob"))
    with pytest.raises(InvalidRequest, match=r"stay one person by other evidence: .*email:a@b\.cd"):
        shop.undo(Link("user_id:ann", TABLET))
    with pytest.raises(InvalidRequest, match="is no identifier"):
        shop.undo(Identifier("tablet"))
    with pytest.raises(NotInHistory, match="history = true"):
        planned(shop.sources._replace(history=None), Link("user_id:ann", TABLET))
    assert not [each for each in shop.world.effects() if isinstance(each, Recast)]


def test_nothing_is_guessed_where_history_was_trimmed() -> None:
    """Of a person some of whose events are no longer kept nobody is made."""
    shop = joined()
    shop.follow()
    kept = [past for some in shop.history.scan() for past in some if past.name != "identify"]
    for n in range(30):
        shop.world.send(track("A", user="ann", message=f"more{n}"))
    shop.follow()
    trimmed = MemoryHistory(kept, shop.history.merges(), shop.history.cursor())
    with pytest.raises(NotInHistory, match=r"has had 34 events, of which \d+ are kept"):
        planned(shop.sources._replace(history=trimmed), Link("user_id:ann", TABLET))


def test_history_follows_and_the_past_is_told_as_it_was_told() -> None:
    """Events of the past are the parted people's, merges that were undone end, and before it all is as it was."""
    shop = joined()
    then_ms = shop.world.now_ms
    shop.world.pass_time(DAY_MS)
    shop.undo(Link("user_id:ann", TABLET))
    tablet, ann = shop.ids(TABLET, "user_id:ann")
    for following in (False, True):
        if following:
            shop.follow()
            owners = survivors(shop.history.merges())
            rows = [past for some in shop.history.scan() for past in some]
            assert {each.position >> 16: owners.get(each.profile, each.profile) for each in rows} == {
                1: tablet, 2: ann, 3: ann,
            }  # fmt: skip
        events = PersonEvents(shop.history, shop.world.reader, shop.world.state, lambda _: shop.world.state.rules(0))
        assert len(events.of(shop.world.profile(TABLET))) == 1
        assert len(events.of(shop.world.profile("user_id:ann"))) == 3
        read = Then(
            shop.history, shop.world.reader, shop.world.state, shop.sources.definitions,
            lambda _: shop.world.state.rules(0),
        )  # fmt: skip
        for name in (TABLET, "user_id:ann"):
            now = shop.world.profile(name)
            then = profile_then(read, now, name, then_ms).profile
            assert (then.id, then.computed["n"], sorted(then.audiences)) == (tablet, 3, ["lately", "many", "some"])
            later = profile_then(read, now, name, shop.world.now_ms).profile
            assert (later.id, later.computed["n"]) == (now.id, now.computed["n"])


def test_a_policy_of_the_workspace_holds_for_who_is_folded_again() -> None:
    """With an `identity` section the same is undone, and stays so."""
    shop = Shop(Identity(hot=9))
    shop.world.send(
        track("A", anonymous="tablet", message="m0"), track("A", user="ann", anonymous="tablet", message="m1")
    )
    shop.undo(Link("user_id:ann", TABLET))
    shop.world.send(track("A", user="ann", anonymous="tablet", message="m2"))
    shop.world.fold()
    assert (shop.world.person(TABLET).computed["n"], shop.world.person("user_id:ann").computed["n"]) == (1, 2)


def test_too_much_at_once_is_refused() -> None:
    """A device that more people have come with than one recast takes: which of them would be concerned is not tried."""
    shop = Shop()
    for n in range(RECAST_MAX_PROFILES + 2):
        shop.world.send(track("A", user=f"u{n}", anonymous="kiosk", message=f"m{n}"))
    with pytest.raises(Overloaded, match="more than 1,000 people would be concerned"):
        shop.undo(Link("user_id:u0", "anonymous_id:kiosk"))


def test_whoever_was_resolved_anew_is_undone_under_the_rules_that_made_them_so() -> None:
    """Under rules of then two users were never one; by those in force they were made one, and are undone so."""
    shop = Shop()
    shop.world.send(track("A", user="ann", anonymous="tablet", message="m0"))
    shop.world.send(track("A", user="bob", anonymous="tablet", message="m1"))
    shop.world.pass_time(DAY_MS)
    many = Identity(types=(IdentifierType("user_id", unique=False),))
    catalog = Catalog(DEFINITIONS)
    shop.world.define(catalog.save(structs.replace(DEFINITIONS, identity=many), shop.world.now_ms))
    shop.world.fold()
    shop.sources = shop.sources._replace(catalog=catalog, definitions=PastDefinitions(catalog))
    shop.follow()
    people = set(shop.ids("user_id:ann", "user_id:bob"))
    always = [
        Segment(0, shop.sources.definitions.of(2).program, shop.world.state.rules(shop.world.state.cursor(0).rules))
    ]
    shop.world.recast(prepare(shop.sources, people, Wanted(segments=always)).body, why=reresolve_under(2))
    shop.world.fold()
    assert len(set(shop.ids("user_id:ann", "user_id:bob"))) == 1
    shop.undo(Link("user_id:bob", TABLET))
    assert len(set(shop.ids("user_id:ann", "user_id:bob"))) == 2
    assert shop.ids(TABLET) == shop.ids("user_id:ann")


def test_an_event_that_history_does_not_have_yet_is_found_by_its_place() -> None:
    """In the log; what is no event there, or lies beyond its end, is not found."""
    shop = joined()
    for name in ("00-0", "00-10000", "00-90000", "07-10000", "00-zz", "00-10005"):
        with pytest.raises((NotFoundError, InvalidRequest)):
            planned(shop.sources, Event(name))
    undoing, found = planned(shop.sources, Event(f"00-{3 << 16:x}"))
    assert (undoing.said, len(found.after)) == ("unmerge event 00-30000", 2)
