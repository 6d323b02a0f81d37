"""What the platform made of a small world is measured as one would by hand."""

from collections import Counter, defaultdict
from functools import cache
from itertools import islice

import msgspec

from bench.attribution import Attribution, Outcome, quality, run
from bench.identity_worlds import shuffled
from bench.world.parameters import load
from bench.world.simulator import World
from bench.world.truth import NOBODY, Happening
from onefold.model.rules import Rules

RULES = Rules(phone_region="US")
FIGURES = msgspec.structs.replace(load("retail"), people=150, days=30)


@cache
def happenings() -> tuple[Happening, ...]:
    """A world of a few thousand events."""
    return tuple(World(FIGURES, 5).happenings())


@cache
def outcome() -> Outcome:
    """What came of it."""
    return run(happenings(), RULES)


def test_every_event_is_in_a_profile() -> None:
    """Nothing is lost on the way: each event has a profile, and each who did it."""
    assert [person for _, person in outcome().done] == [each.truth.person for each in happenings()]
    assert outcome().events == Counter(profile for profile, _ in outcome().done)


def test_records_belong_to_who_alone_used_them() -> None:
    """A browser that two have used has no owner, an account is its holder's; who is named is told by an event."""
    users: defaultdict[str, set[int]] = defaultdict(set)
    for each in happenings():
        users[each.truth.record].add(each.truth.person)
    for record, owner in outcome().owners.items():
        if not record.startswith("user_id:"):
            assert users[record] == {owner}
    assert {record for record, those in users.items() if len(those) > 1}.isdisjoint(outcome().owners)
    said = {(each.truth.record, each.truth.says) for each in happenings()}
    named = outcome().naming
    assert all((r, outcome().owners[r]) in said for r in named if not r.startswith("user_id:"))


def test_shares_are_shares() -> None:
    """Right, unknown and wrong are all there is, at each time and at the end; with time more people are known."""
    at_the_end = quality(outcome()).attribution
    for shares in (*outcome().in_time, at_the_end):
        assert abs(sum(shares) - 1) < 1e-9
    assert outcome().in_time[-1].right > outcome().in_time[0].right
    right = 0
    known = {profile: names.most_common(1)[0][0] for profile, names in outcome().known.items() if names}
    for profile, person in outcome().done:
        right += known.get(profile, NOBODY) == person
    assert abs(at_the_end.right - right / len(outcome().done)) < 0.01


def test_links_besides_are_taken_into_account() -> None:
    """Profiles that are linked besides count as one, in every measure; everybody in one profile is as bad as can be."""
    one = quality(outcome(), dict.fromkeys(outcome().events, 1))
    assert one.named.unified == 1
    assert one.everything.over_merged_mass == 1
    assert one.everything.pairwise.precision < 0.05
    assert isinstance(one.attribution, Attribution)


def test_the_negative_control_fails_visibly() -> None:
    """With identifiers dealt out anew hardly a pair of records is right, and nearly all is merged over."""
    its = quality(run(shuffled(happenings(), 1), RULES)).everything
    assert its.pairwise.precision < 0.1
    assert its.over_merged_mass > 0.5
    assert quality(outcome()).everything.pairwise.precision > 0.9


def test_the_same_world_gives_the_same_outcome() -> None:
    """Whatever is measured, is measured again."""
    some = list(islice(happenings(), 500))
    assert run(some, RULES) == run(some, RULES)
