"""What every state engine must do: each clause of `ports.State`, as a test that takes a way to open the state.

Subclass `StateConformance` in a test module and give it a fixture `open_state`: each call of it returns
another handle on one and the same state, as another worker would have it.
"""

import os
import select
from collections.abc import Callable
from typing import Any

import pytest

from onefold.errors import Conflict
from onefold.limits import DAY_MS, NEVER_MS
from onefold.model.account import members_of
from onefold.model.changes import Changed, Changes, Cursor
from onefold.model.effect import Admitted, AnyEffect, Created, decode
from onefold.model.identity import IdentifierType, Identity, TraitRule
from onefold.model.position import account_id, profile_id
from onefold.model.profile import Profile
from onefold.model.quarantined import Quarantined
from onefold.model.rules import Rules, fingerprint
from onefold.ports import Loaded, State
from onefold.storage.state_digest import PARTS
from onefold.testing.memory.state import MemoryState

OpenState = Callable[[], State]

A, B, C = (profile_id(0, 1 << 16), profile_id(0, 2 << 16), profile_id(0, 3 << 16))
NOW_MS = 1_700_000_000_000


def changes(partition: int = 0, offset: int = 1, **parts: Any) -> Changes:
    """Changes with these parts, and nothing else. `profiles` may be given as ids alone."""
    empty: dict[str, Any] = {
        "cursor": Cursor(offset, NOW_MS), "profiles": {}, "identifiers": {}, "absorbed": {}, "due": {}, "members": {},
        "messages": {}, "effects": [], "quarantined": [], "counts": {},
    }  # fmt: skip
    made = Changes(partition=partition, **(empty | parts))
    made.profiles = {profile: Profile(profile, 0, 0, 0, 0) for profile in made.profiles}
    return made


def commit(state: State, loaded: Loaded | None = None, data: bytes = b"data", **parts: Any) -> int:
    """Commit these parts, each profile with `data`, on top of what is there now or of `loaded`."""
    made = changes(**parts)
    return state.commit([made], loaded or state.load((), (), ()), dict.fromkeys(made.profiles, data))


def message(n: int) -> bytes:
    """A fingerprint."""
    return n.to_bytes(16, "little")


def admitted(n: int, profile: int = A) -> AnyEffect:
    """An effect of the event at position n."""
    return Admitted(profile, n, 0, NOW_MS, "Order Completed")


IDENTITY = Identity(
    "segment",
    (IdentifierType("card", ("properties.card",), "digits", ("0",), ("^9+$",), 3, "year", unique=False, soft=True),),
    ("ä",),
    hot=9,
    traits=(TraitRule("plan", "source-order", ("crm",)),),
)
"""Rules of identity with everything in them."""


class StateConformance:
    """The port's promises."""

    def test_an_empty_state_answers_everything_with_nothing(self, open_state: OpenState) -> None:
        """Before the first commit every question has an empty answer."""
        state = open_state()
        assert state.cursor(3) == Cursor()
        loaded = state.load(["user_id:1"], [A], [message(1)])
        assert loaded == Loaded(loaded.snapshot, {}, {}, {})
        assert (state.due(0, NEVER_MS, 9), state.next_due_ms(0), state.profile_ids(0, 0, 9)) == ([], NEVER_MS, [])
        assert (state.lookup("user_id:1"), state.profile(A), state.members("vip", 0, 9)) == (None, None, [])
        assert (state.sizes(), state.counts(), state.effects(0, 9)) == ({}, {"profiles": 0}, [])
        assert (state.quarantined((0, -1), 9), state.trim_effects(9), list(state.items())) == ([], 0, [])
        assert set(state.digest()) == set(PARTS)

    def test_load_gives_identifiers_their_profiles_the_asked_ones_and_messages(self, open_state: OpenState) -> None:
        """What is known is found, with the profiles that identifiers lead to; what is unknown is left out."""
        state = open_state()
        snapshot = commit(
            state, profiles=[A, B], identifiers={"user_id:1": A, "email:ü@b.c": A}, messages={message(7): NOW_MS}
        )
        loaded = state.load(["email:ü@b.c", "user_id:9"], [B, C], [message(7), message(8)])
        assert loaded == Loaded(snapshot, {"email:ü@b.c": A}, {A: b"data", B: b"data"}, {message(7): NOW_MS})

    def test_load_takes_any_iterable_once_and_with_repetitions(self, open_state: OpenState) -> None:
        """Generators and repeated keys are as good as lists without."""
        state = open_state()
        commit(state, profiles=[A], identifiers={"x:1": A}, messages={message(1): NOW_MS})
        loaded = state.load(
            (n for n in ["x:1", "x:1", "a:0"]), (p for p in [A, A]), (m for m in [message(1), message(0), message(1)])
        )
        assert (loaded.identifiers, loaded.profiles, loaded.seen) == ({"x:1": A}, {A: b"data"}, {message(1): NOW_MS})

    def test_load_leaves_out_what_the_caller_knows(self, open_state: OpenState) -> None:
        """The profile of an identifier is not given again to a caller that has it, but one asked for by id is."""
        state = open_state()
        commit(state, profiles=[A, B], identifiers={"x:1": A, "x:2": B})
        assert state.load(["x:1", "x:2"], (), (), known={A}).profiles == {B: b"data"}
        assert state.load(["x:1"], [A], (), known={A}).profiles == {A: b"data"}

    def test_commit_conflicts_over_a_profile_that_the_caller_knew(self, open_state: OpenState) -> None:
        """A profile that was read from the caller's own cache counts as read."""
        state, other = open_state(), open_state()
        commit(state, profiles=[A], identifiers={"x:1": A})
        loaded = state.load(["x:1"], (), (), known={A})
        commit(other, partition=1, profiles=[A])
        with pytest.raises(Conflict):
            commit(state, loaded, offset=2)

    def test_commit_returns_the_snapshot_that_load_and_touched_since_then_name(self, open_state: OpenState) -> None:
        """Snapshot numbers grow with each commit and are the same wherever they are named."""
        state = open_state()
        first, second = commit(state), commit(state, offset=2)
        assert second > first
        assert state.load((), (), ()).snapshot == second == state.touched_since(second)[0]

    def test_the_cursor_lies_in_the_commit(self, open_state: OpenState) -> None:
        """Each partition has the cursor of its last commit."""
        state = open_state()
        commit(state, partition=1, cursor=Cursor(5, NOW_MS, 2))
        commit(state, partition=255, cursor=Cursor(6, NOW_MS + 1, 2))
        assert state.cursor(1) == Cursor(5, NOW_MS, 2)
        assert state.cursor(255) == Cursor(6, NOW_MS + 1, 2)
        assert state.cursor(0) == Cursor()

    def test_parts_are_committed_as_if_one_after_the_other(self, open_state: OpenState) -> None:
        """Each part has a number, effects and a cursor of its own; all of them are there, or none."""
        state = open_state()
        before = commit(state, profiles=[C], identifiers={"user_id:c": C}, due={C: (NEVER_MS, NOW_MS)})
        loaded = state.load(["user_id:c"], [C], [])
        parts = [
            changes(0, 2, identifiers={"user_id:a": A, "user_id:b": B}, messages={message(1): NOW_MS},
                    members={"vip": {A: NOW_MS, B: NOW_MS}}, due={A: (NEVER_MS, NOW_MS + 5)}, effects=[admitted(1)],
                    counts={"admitted": 1}),
            changes(1, 7, profiles=[A], identifiers={"user_id:b": A}, absorbed={B: A, C: A},
                    messages={message(2): NOW_MS},
                    members={"vip": {B: 0}}, due={A: (NOW_MS + 5, NOW_MS + 9), C: (NOW_MS, NEVER_MS)},
                    effects=[admitted(2)], counts={"admitted": 2}),
        ]  # fmt: skip
        newest = state.commit(parts, loaded, {A: b"a"})
        assert newest == before + 2 == state.newest()
        assert [(number, partition) for number, partition, _ in state.effects(0, 9)] == [(newest - 1, 0), (newest, 1)]
        assert (state.cursor(0).offset, state.cursor(1).offset) == (2, 7)
        assert (state.lookup("user_id:b"), state.profile(B), state.profile(C)) == (A, b"a", b"a")
        assert state.members("vip", 0, 9) == [(A, NOW_MS)]
        assert state.sizes() == {"vip": 1}
        assert state.due(0, NEVER_MS, 9) == [(NOW_MS + 9, A)]
        assert state.load((), (), [message(1), message(2)]).seen == {message(1): NOW_MS, message(2): NOW_MS}
        assert (state.counts()["admitted"], state.counts()["profiles"]) == (3, 1)
        assert state.touched_since(newest - 1) == (newest, Changed(set(), set()))

    def test_a_conflict_of_one_part_is_one_of_all(self, open_state: OpenState) -> None:
        """Nothing of any part is there."""
        state, other = open_state(), open_state()
        loaded = state.load((), (), ())
        commit(other, partition=1, cursor=Cursor(5, NOW_MS))
        parts = [changes(0, 1, profiles=[A]), changes(1, 1)]
        with pytest.raises(Conflict):
            state.commit(parts, loaded, {A: b"a"})
        assert (state.profile(A), state.cursor(0), state.cursor(1).offset) == (None, Cursor(), 5)
        assert state.commit([*parts[:1]], state.load((), (), ()), {A: b"a"}) == state.newest()

    def test_rules_are_kept_by_their_fingerprint(self, open_state: OpenState) -> None:
        """Rules that came into force are there for every handle, also once others are; nobody must say the defaults."""
        state = open_state()
        first, second = Rules(frozenset({"null", "", "ä"}), "DE", 5), Rules(dedupe_window_ms=0, identity=IDENTITY)
        for partition, rules in enumerate((first, second)):
            cursor = Cursor(1, NOW_MS, rules=fingerprint(rules))
            commit(state, partition=partition, cursor=cursor, rules=rules)
            assert state.cursor(partition) == cursor
        commit(state, cursor=Cursor(2, NOW_MS, rules=fingerprint(second)), rules=second)
        for handle in (state, open_state()):
            assert [handle.rules(fingerprint(rules)) for rules in (first, second, Rules())] == [first, second, Rules()]
        assert [key for part, key, _ in state.items() if part == "rules"] == sorted(
            fingerprint(rules).to_bytes(8, "big") for rules in (first, second)
        )

    def test_new_versions_replace_old_ones(self, open_state: OpenState) -> None:
        """Profiles and identifiers have the value of the last commit that wrote them."""
        state = open_state()
        commit(state, data=b"old", profiles=[A, B], identifiers={"x:1": A})
        commit(state, data=b"new" * 2_000, profiles=[A], identifiers={"x:1": B})
        assert (state.profile(A), state.profile(B), state.lookup("x:1")) == (b"new" * 2_000, b"old", B)

    def test_other_handles_see_a_commit(self, open_state: OpenState) -> None:
        """What one handle has committed, all see."""
        one, other = open_state(), open_state()
        commit(one, profiles=[A], identifiers={"x:1": A}, messages={message(1): NOW_MS})
        assert other.load(["x:1"], (), [message(1)])[1:] == ({"x:1": A}, {A: b"data"}, {message(1): NOW_MS})

    @pytest.mark.parametrize(
        "theirs",
        [
            {"profiles": [A]},
            {"absorbed": {A: C}},
            {"identifiers": {"x:1": B}},
            {"messages": {message(1): NOW_MS}},
        ],
        ids=lambda parts: next(iter(parts)),
    )
    @pytest.mark.parametrize(
        "mine",
        [{"profiles": [A], "identifiers": {"x:1": A}, "messages": {message(1): NOW_MS + 1}}, {}],
        ids=["written", "read"],
    )
    def test_commit_conflicts_with_a_later_commit_that_touched_the_same(
        self, open_state: OpenState, theirs: dict[str, Any], mine: dict[str, Any]
    ) -> None:
        """An identifier, profile or message that the batch read or writes and that was touched since: `Conflict`."""
        state, other = open_state(), open_state()
        commit(state, profiles=[A], identifiers={"x:1": A}, messages={message(1): NOW_MS - 1})
        loaded = state.load(["x:1"], (), [message(1)]) if not mine else state.load((), (), ())
        commit(other, partition=1, **theirs)
        before = state.digest()
        with pytest.raises(Conflict):
            commit(state, loaded, offset=2, counts={"received": 1}, **mine)
        assert state.digest() == before
        assert state.cursor(0).offset == 1

    def test_commit_conflicts_where_the_cursor_moved(self, open_state: OpenState) -> None:
        """Two workers on one partition never both commit the same batch, not even an empty one."""
        state, other = open_state(), open_state()
        loaded = state.load((), (), ())
        commit(other, offset=1)
        with pytest.raises(Conflict):
            commit(state, loaded, offset=1)

    def test_commits_that_touch_different_things_do_not_conflict(self, open_state: OpenState) -> None:
        """Batches of two partitions with nothing in common both commit, whatever their order."""
        state, other = open_state(), open_state()
        loaded = state.load(["x:1"], (), [message(1)])
        commit(other, partition=1, profiles=[B], identifiers={"x:2": B}, messages={message(2): NOW_MS})
        commit(state, loaded, profiles=[A], identifiers={"x:1": A}, messages={message(1): NOW_MS})
        assert state.load(["x:1", "x:2"], (), ()).profiles == {A: b"data", B: b"data"}

    def test_commit_conflicts_with_a_snapshot_that_is_too_old(self, open_state: OpenState) -> None:
        """Where the records of touched keys are gone, a commit conflicts rather than guesses."""
        state, other = open_state(), open_state()
        loaded = state.load((), (), ())
        for offset in range(1_001):
            commit(other, partition=1, offset=offset)
        assert state.touched_since(loaded.snapshot)[1] is None
        with pytest.raises(Conflict):
            commit(state, loaded)
        assert state.touched_since(loaded.snapshot + 1)[1] == (set(), set())

    def test_touched_since_names_what_others_changed(self, open_state: OpenState) -> None:
        """Profiles that others wrote or absorbed and identifiers that they moved are named, one's own are not."""
        mine, other = open_state(), open_state()
        start = commit(mine, profiles=[A, B])
        commit(mine, offset=2, profiles=[A])
        end = commit(other, partition=1, profiles=[B], absorbed={C: B}, identifiers={"email:c": B})
        assert mine.touched_since(start) == (end, ({B, C}, {"email:c"}))
        assert other.touched_since(start) == (end, ({A}, set()))
        assert mine.touched_since(end) == (end, (set(), set()))

    def test_an_absorbed_profile_is_gone_and_leads_to_its_survivor(self, open_state: OpenState) -> None:
        """`load` leaves it out, `profile` gives the survivor, also through several merges in one or more commits."""
        state = open_state()
        commit(state, profiles=[A, B, C])
        commit(state, offset=2, data=b"B", profiles=[B], absorbed={C: B})
        assert state.load((), [B, C], ()).profiles == {B: b"B"}
        assert state.profile(C) == b"B"
        commit(state, offset=3, data=b"A", profiles=[A], absorbed={B: A})
        assert [state.profile(p) for p in (A, B, C)] == [b"A"] * 3
        assert state.survivors([A, C, 1 << 60]) == {A: b"A", C: b"A"}
        assert (state.profile_ids(0, 0, 9), state.counts()) == ([A], {"profiles": 1})

    def test_merges_in_one_commit_or_in_two_give_the_same_digest(self, open_state: OpenState) -> None:
        """Redirects count as where they lead to in the end."""
        state = open_state()
        commit(state, profiles=[A], absorbed={C: B, B: A})
        expected = state.digest()["redirects"]
        commit(state, offset=2, absorbed={C: A})
        assert state.digest()["redirects"] == expected

    def test_an_absorbed_profile_may_return_and_an_identifier_may_lead_to_nobody(self, open_state: OpenState) -> None:
        """Whoever returns has their own bytes again; others may be another's from then on; all that is touched."""
        state, other = open_state(), open_state()
        commit(state, profiles=[A, B], identifiers={"x:1": A, "x:2": B, "x:3": B})
        commit(state, offset=2, profiles=[A], absorbed={B: A, C: B}, identifiers={"x:2": A, "x:3": A})
        start = commit(other, partition=1, offset=1)
        loaded = other.load(["x:3"], (), ())
        end = commit(
            state, offset=3, data=b"again", profiles=[A, B], returned=[B], absorbed={C: A}, identifiers={"x:2": B},
            freed=["x:3"],
        )  # fmt: skip
        assert [state.profile(p) for p in (A, B, C)] == [b"again"] * 3
        assert state.load((), [B, C], ()).profiles == {B: b"again"}
        assert state.owners(["x:1", "x:2", "x:3"]) == {"x:1": A, "x:2": B}
        assert (state.lookup("x:3"), state.profile_ids(0, 0, 9), state.counts()) == (None, [A, B], {"profiles": 2})
        assert other.touched_since(start) == (end, ({A, B, C}, {"x:2", "x:3"}))
        assert [key for part, key, _ in state.items() if part == "redirects"] == [C.to_bytes(8)]
        with pytest.raises(Conflict):
            commit(other, loaded, partition=1, offset=2)

    def test_owners_are_found_for_many_identifiers(self, open_state: OpenState) -> None:
        """Each identifier that somebody has, whoever asks twice; none that is unknown, or too long to be one."""
        state = open_state()
        commit(state, profiles=[A, B], identifiers={"x:1": A, "x:2": B, "ä:ß": B})
        wanted = ["x:2", "x:1", "x:2", "ä:ß", "x:9", "", "x:" + "9" * 600]
        assert state.owners(wanted) == {"x:1": A, "x:2": B, "ä:ß": B}
        assert state.owners([]) == {}

    def test_timers_wake_in_order_and_by_home(self, open_state: OpenState) -> None:
        """Due timers come earliest first, up to the limit, and only those of profiles at home in the partition."""
        state = open_state()
        away = profile_id(1, 5)
        commit(state, due={A: (NEVER_MS, 300), B: (NEVER_MS, 100), C: (NEVER_MS, 200), away: (NEVER_MS, 50)})
        assert state.due(0, 200, 9) == [(100, B), (200, C)]
        assert state.due(0, 300, 2) == [(100, B), (200, C)]
        assert state.due(0, 300, 0) == []
        assert state.due(1, 300, 9) == [(50, away)]
        assert (state.next_due_ms(0), state.next_due_ms(1), state.next_due_ms(2)) == (100, 50, NEVER_MS)

    def test_timers_are_moved_and_disarmed(self, open_state: OpenState) -> None:
        """The timer armed before gives way to the new one; NEVER_MS disarms, and absorbed profiles are not armed."""
        state = open_state()
        commit(state, due={A: (NEVER_MS, 100), B: (NEVER_MS, 200), C: (NEVER_MS, 300)})
        commit(state, offset=2, absorbed={C: A}, due={A: (100, 150), B: (200, NEVER_MS), C: (300, 400)})
        assert state.due(0, NEVER_MS, 9) == [(150, A)]

    def test_profile_ids_are_listed_by_home(self, open_state: OpenState) -> None:
        """Ids at home in a partition, after a given one, ascending, up to the limit."""
        state = open_state()
        last = profile_id(255, (1 << 56) - 1)
        commit(state, profiles=[C, A, last, B, profile_id(1, 0)])
        assert state.profile_ids(0, 0, 9) == [A, B, C]
        assert state.profile_ids(0, A, 1) == [B]
        assert state.profile_ids(0, C, 9) == []
        assert state.profile_ids(1, 0, 9) == [profile_id(1, 0)]
        assert state.profile_ids(255, 0, 9) == [last]
        assert state.profile_ids(255, last, 9) == []

    def test_accounts_are_listed_and_counted_beside_people(self, open_state: OpenState) -> None:
        """An account's profile is none of a person's: it is listed by itself, and `profiles` counts people alone."""
        state = open_state()
        acme, other, last = account_id(0, 1 << 16), account_id(0, 9), account_id(255, 7)
        commit(state, profiles=[A, acme, B, other, last], counts={"accounts": 3})
        assert (state.profile_ids(0, 0, 9), state.account_ids(0, 0, 9)) == ([A, B], [other, acme])
        assert (state.profile_ids(0, B, 9), state.account_ids(0, B, 1)) == ([], [other])
        assert (state.account_ids(0, other, 9), state.account_ids(0, acme, 9)) == ([acme], [])
        assert (state.profile_ids(255, 0, 9), state.account_ids(255, 0, 9)) == ([], [last])
        assert state.counts() == {"profiles": 2, "accounts": 3}

    def test_members_of_accounts_are_no_audience(self, open_state: OpenState) -> None:
        """They are paged and counted like an audience's, and are in no list of audiences."""
        state = open_state()
        acme = members_of(account_id(0, 1 << 16))
        commit(state, members={acme: {A: 7, B: 8}, "vip": {A: 9}})
        assert (state.members(acme, 0, 9), state.members(acme, A, 9)) == ([(A, 7), (B, 8)], [(B, 8)])
        assert (state.size(acme), state.size("vip"), state.size("none")) == (2, 1, 0)
        assert state.sizes() == {"vip": 1}
        commit(state, offset=2, members={acme: {A: 0, B: 0}})
        assert (state.members(acme, 0, 9), state.size(acme), state.sizes()) == ([], 0, {"vip": 1})

    def test_sizes_count_what_was_there(self, open_state: OpenState) -> None:
        """Who enters again, or leaves without having been in, changes no size; the later time of entering counts."""
        state = open_state()
        commit(state, members={"vip": {A: 7}, "new": {B: 0}})
        assert (state.members("vip", 0, 9), state.sizes()) == ([(A, 7)], {"vip": 1})
        commit(state, offset=2, members={"vip": {A: 7, B: 8}, "new": {B: 0, C: 0}})
        assert (state.members("vip", 0, 9), state.sizes()) == ([(A, 7), (B, 8)], {"vip": 2})
        commit(state, offset=3, members={"vip": {A: 0, B: 0}})
        assert (state.members("vip", 0, 9), state.sizes()) == ([], {})

    def test_members_are_paged_and_audiences_do_not_run_together(self, open_state: OpenState) -> None:
        """Pages go on after the last id; an audience whose name begins like another's is another."""
        state = open_state()
        commit(state, members={name: {C: 9, B: 9, A: 9} for name in ("vi", "vip", "vip2")})
        assert state.members("vip", 0, 2) == [(A, 9), (B, 9)]
        assert state.members("vip", B, 2) == [(C, 9)]
        assert state.members("vip", C, 2) == []
        assert state.members("v", 0, 9) == []

    def test_counts_are_summed(self, open_state: OpenState) -> None:
        """Counts add up over commits and partitions."""
        state = open_state()
        commit(state, counts={"received": 3, "admitted": 2})
        commit(state, offset=2, counts={"received": 1})
        commit(state, partition=1, counts={"received": 10}, profiles=[A])
        assert state.counts() == {"received": 14, "admitted": 2, "profiles": 1}

    def test_effects_are_followed_by_commit_number(self, open_state: OpenState) -> None:
        """A follower gets each commit with effects once, in order, with its partition and number."""
        state = open_state()
        first = commit(state, effects=[Created(A, 1, 0, NOW_MS), admitted(1)])
        commit(state, offset=2)
        third = commit(state, partition=1, effects=[admitted(2)])
        fourth = commit(state, offset=3, effects=[admitted(3)])
        rows = [(first, 0, [Created(A, 1, 0, NOW_MS), admitted(1)]), (third, 1, [admitted(2)])]
        assert state.effects(0, 2) == rows
        assert state.effects(third, 9) == [(fourth, 0, [admitted(3)])]
        assert state.effects(fourth, 9) == []
        assert state.effects(0, 0) == []

    def test_commits_come_as_bytes(self, open_state: OpenState) -> None:
        """A follower may have commits undecoded, as few as come to a size, at least one where there is any."""
        state = open_state()
        numbers = [commit(state, partition=n % 2, offset=n, effects=[admitted(n)] * n) for n in range(1, 4)]
        found = state.commits(0, 1 << 20)
        assert [(number, partition, decode(data)) for number, partition, data in found] == state.effects(0, 9)
        assert [number for number, _, _ in found] == numbers
        assert state.commits(0, 1) == found[:1]
        assert state.commits(0, len(found[0].effects) + 2) == found[:2]
        assert state.commits(numbers[1], 1 << 20) == found[2:]
        assert state.commits(numbers[2], 1 << 20) == state.commits(0, 0) == []

    def test_the_newest_commit_has_a_number(self, open_state: OpenState) -> None:
        """Of a commit without effects too, and on every handle."""
        state, another = open_state(), open_state()
        assert state.newest() == 0
        assert commit(state) == another.newest() == 1

    def test_a_watch_tells_of_commits(self, open_state: OpenState) -> None:
        """A watch can be read from after another handle's commit; an engine may have none."""
        state, another = open_state(), open_state()
        watch = state.watch()
        if watch is None:
            return
        commit(another)
        readable, _, _ = select.select([watch], [], [], 60)
        assert readable
        os.close(watch)

    def test_effects_can_be_forgotten(self, open_state: OpenState) -> None:
        """Trimming forgets the commits below a number, says how many had effects, and can be repeated."""
        state = open_state()
        numbers = [commit(state, offset=n, effects=[admitted(n)]) for n in range(1, 5)]
        assert state.trim_effects(numbers[2]) == 2
        assert state.trim_effects(numbers[2]) == 0
        assert [number for number, _, _ in state.effects(0, 9)] == numbers[2:]

    def test_quarantine_is_paged_by_place(self, open_state: OpenState) -> None:
        """Quarantined events come by partition and position, after a given place."""
        state = open_state()
        events = [Quarantined(p, n, "web", NOW_MS, "schema", '{"ä":')
                  for p, n in [(0, 3), (0, 9), (1, 0)]]  # fmt: skip
        commit(state, quarantined=events[:0:-1])
        commit(state, offset=2, quarantined=events[:1])
        assert state.quarantined((0, -1), 9) == events
        assert state.quarantined((0, 3), 1) == events[1:2]
        assert state.quarantined((0, 9), 9) == events[2:]
        assert state.quarantined((1, 0), 9) == []

    def test_messages_keep_their_latest_time(self, open_state: OpenState) -> None:
        """A message that was admitted again after its window is remembered by its latest log time."""
        state = open_state()
        commit(state, messages={message(1): NOW_MS - 5, message(2): NOW_MS})
        commit(state, offset=2, messages={message(1): NOW_MS, message(2): NOW_MS - 5})
        assert state.load((), (), [message(1), message(2)]).seen == {message(1): NOW_MS, message(2): NOW_MS}

    def test_messages_are_remembered_until_every_partition_forgets_them(self, open_state: OpenState) -> None:
        """A message is found until no cursor remembers it, and gone from memory in the end."""
        state = open_state()
        both = [message(1), message(2)]

        def advance(partition: int, offset: int, days: int, **parts: Any) -> set[bytes]:
            now_ms = NOW_MS + days * DAY_MS
            commit(state, partition=partition, cursor=Cursor(offset, now_ms, forgotten_ms=now_ms - DAY_MS), **parts)
            return set(state.load((), (), both).seen)

        advance(0, 1, 0, messages={message(1): NOW_MS})
        advance(1, 1, 0)
        assert advance(0, 2, 9, messages={message(2): NOW_MS + 9 * DAY_MS}) == set(both)
        assert advance(1, 2, 1) == set(both)
        assert advance(1, 3, 9) == {message(2)}

    def test_what_is_forgotten_does_not_count(self, open_state: OpenState) -> None:
        """Of messages that every partition forgets nothing is in the digest, even if an engine has them still."""
        state, other = open_state(), MemoryState(1)
        for each in (state, other):
            commit(each, messages={message(1): NOW_MS - 2, message(2): NOW_MS})
            commit(each, cursor=Cursor(2, NOW_MS + 1, forgotten_ms=NOW_MS - 1))
        assert [key for part, key, _ in state.items() if part == "messages"] == [message(2)]
        assert state.digest() == other.digest()

    def test_equal_histories_in_other_batches_have_equal_digests(self, open_state: OpenState) -> None:
        """Digests say what is there, not in how many commits it came."""
        state, reference = open_state(), MemoryState()
        for part in HISTORY:
            commit(reference, **part)
        whole: dict[str, Any] = {}
        for name in HISTORY[-1].keys() | HISTORY[0].keys():
            values = [part[name] for part in HISTORY if name in part]
            if isinstance(values[0], list):
                whole[name] = [one for value in values for one in value]
            elif isinstance(values[0], dict):
                whole[name] = {key: one for value in values for key, one in value.items()}
            else:
                whole[name] = values[-1]
        commit(state, **whole | {"due": {A: (NEVER_MS, 70)}, "counts": {"received": 3}})
        assert state.digest() == reference.digest()

    def test_digests_tell_parts_apart(self, open_state: OpenState) -> None:
        """A change in one part changes the digest of that part alone."""
        state = open_state()
        commit(state)
        for part, parts in ONE_OF_EACH.items():
            before = state.digest()
            commit(state, **parts)
            after = state.digest()
            assert {name for name in PARTS if before[name] != after[name]} == {part}

    def test_items_come_by_part_and_key(self, open_state: OpenState) -> None:
        """Items are ordered by part, then by key, without repetition."""
        state = open_state()
        for parts in ONE_OF_EACH.values():
            commit(state, **parts)
        keys = [(PARTS.index(part), key) for part, key, _ in state.items()]
        assert keys == sorted(set(keys))


HISTORY: list[dict[str, Any]] = [
    {"offset": 1, "profiles": [A], "identifiers": {"x:1": A}, "messages": {message(1): NOW_MS},
     "effects": [admitted(1)], "counts": {"received": 1}, "due": {A: (NEVER_MS, 50)}, "members": {"vip": {A: 5}}},
    {"offset": 2, "profiles": [A, B], "identifiers": {"x:2": B}, "messages": {message(2): NOW_MS, message(0): NOW_MS},
     "effects": [admitted(2), admitted(3)], "counts": {"received": 1}, "due": {A: (50, 60)}},
    {"offset": 3, "profiles": [A, B], "identifiers": {"x:1": B}, "counts": {"received": 1},
     "effects": [admitted(4)], "due": {A: (60, 70)}, "members": {"vip": {A: 6}, "new": {A: 0}},
     "quarantined": [Quarantined(0, 9, "web", NOW_MS, "schema", "{}")]},
]  # fmt: skip

ONE_OF_EACH: dict[str, dict[str, Any]] = {
    "profiles": {"profiles": [A]},
    "redirects": {"absorbed": {C: A}},
    "identifiers": {"identifiers": {"x:1": A}},
    "timers": {"due": {A: (NEVER_MS, 7)}},
    "members": {"members": {"vip": {A: 5}}},
    "effects": {"effects": [admitted(1)]},
    "messages": {"messages": {message(1): NOW_MS}},
    "quarantine": {"quarantined": [Quarantined(0, 1, "web", NOW_MS, "schema", "{}")]},
    "counts": {"counts": {"received": 1}},
    "rules": {"rules": Rules()},
}
