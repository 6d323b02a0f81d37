"""The match role: who changes is scored at once, and whatever happens in between, the same is proposed in the end."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest

from onefold.core.run import Parted
from onefold.errors import StorageError
from onefold.matching import weights as models
from onefold.matching.index import Thresholds
from onefold.matching.learning import PRIOR
from onefold.model.definitions import Definitions
from onefold.model.effect import LinkRefused, Merged
from onefold.model.identity import IdentifierType, Identity, Matching
from onefold.model.proposal import KeptProposal, Proposal, Tie
from onefold.runtime.identity import matching
from onefold.runtime.identity.matching import Matcher
from onefold.runtime.identity.recasting import Wanted, prepare
from onefold.runtime.identity.sure_links import SureLinks
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.memory.proposals import MemoryProposals
from onefold.testing.world import World, identify, track
from tests.property.test_unmerge import Catalog, followed, sources

ANN: dict[str, Any] = {
    "firstName": "Ann", "lastName": "Lindgren", "birthday": "1980-02-03",
    "address": {"street": "5 Long Street", "city": "Springfield", "postalCode": "12345"},
}  # fmt: skip


class Mortal(MemoryProposals):
    """Proposals whose role can be made to die just before it marks what it has linked, and that can be away."""

    dies = False
    away: StorageError | None = None

    def put(
        self, proposals: Iterable[Proposal], scored: Collection[int], cursor: int, ties: Iterable[Tie] = ()
    ) -> None:
        if self.away is not None:
            raise self.away
        super().put(proposals, scored, cursor, ties)

    def mark(self, pairs: Collection[tuple[int, int]], by: str) -> None:
        if self.dies:
            raise SystemExit
        super().mark(pairs, by)


class Roles:
    """A platform with a match role that can be started anew."""

    def __init__(self, definitions: Definitions | None = None) -> None:
        self.world = World(definitions, partitions=2)
        self.proposals = Mortal(ManualClock(1_000))
        self.start()

    def start(self) -> None:
        """Another process takes over."""
        world = self.world
        links = SureLinks(world.state, self.proposals, world.writer, ManualClock(world.now_ms))
        self.matcher = Matcher(world.state, self.proposals, 2, Thresholds(), links)

    def settle(self) -> None:
        """Fold and match all that there is."""
        self.world.fold()
        while self.matcher.turn():
            self.world.fold()

    def tell(self, anonymous: str, traits: dict[str, Any], user: str | None = None, partition: int = 0) -> None:
        """Somebody says who they are."""
        given: dict[str, Any] = {"user": user} if user else {}
        self.world.now_ms += 1_000
        self.world.send(identify(anonymous=anonymous, traits=traits, **given), partition=partition)

    def found(self, standing: Any = "sure") -> list[KeptProposal]:
        """What stands so."""
        return self.proposals.page(standing, None, 100)

    def ids(self, *anonymous: str) -> tuple[int, ...]:
        """The profiles of these browsers, ascending."""
        return tuple(sorted(self.world.profile(f"anonymous_id:{each}").id for each in anonymous))


@pytest.fixture
def roles() -> Roles:
    """A platform without people."""
    return Roles()


def test_a_second_profile_of_a_person_is_proposed(roles: Roles) -> None:
    """Two browsers that were told the same name, birthday and address are proposed as one, across partitions too."""
    roles.tell("a", ANN)
    roles.tell("b", ANN | {"firstName": "Anne"}, partition=1)
    roles.tell("c", {"firstName": "Bob", "lastName": "Underwood", "birthday": "1970-01-01"})
    roles.settle()
    (found,) = roles.found()
    assert (found.a, found.b) == roles.ids("a", "b")
    assert found.score > 0.99


def test_a_change_is_scored_anew(roles: Roles) -> None:
    """Who turns out to be another is not proposed any more; other events cost no look."""
    roles.tell("a", ANN)
    roles.tell("b", ANN)
    roles.settle()
    assert len(roles.found()) == 1
    roles.world.send(track("Product Viewed", anonymous="a"))
    roles.settle()
    assert len(roles.found()) == 1
    roles.tell("b", {"firstName": "Zoe", "birthday": "1999-09-09"})
    roles.settle()
    assert roles.found() == roles.found("asked") == []


def test_a_merge_ends_a_proposal(roles: Roles) -> None:
    """Profiles that an identifier joins meanwhile are proposed no longer, and the survivor is matched on."""
    for each in "abc":
        roles.tell(each, ANN)
    roles.settle()
    assert len(roles.found()) == 3
    for each in "ab":
        roles.world.send(identify(anonymous=each, traits={"email": "ann@mail.example"}))
    roles.settle()
    (found,) = roles.found()
    assert (found.a, found.b) == roles.ids("a", "c")


def test_two_accounts_wait_for_somebody_and_a_decision_stays(roles: Roles) -> None:
    """A pair with an account each is asked about; refused once, it stays refused when they change."""
    roles.tell("a", ANN, user="1")
    roles.tell("b", ANN, user="2")
    roles.settle()
    (found,) = roles.found("asked")
    roles.proposals.decide(found.a, found.b, "refused", "ann")
    roles.tell("a", {"phone": "+12125550100"}, user="1")
    roles.settle()
    assert roles.found("asked") == roles.found() == []
    assert len(roles.found("refused")) == 1


def test_a_role_that_starts_anew_goes_on(roles: Roles) -> None:
    """What changed while nobody matched is scored after the start, by whoever starts."""
    roles.tell("a", ANN)
    roles.settle()
    roles.tell("b", ANN)
    roles.world.fold()
    roles.start()
    roles.settle()
    assert len(roles.found()) == 1
    before = roles.proposals.cursor()
    roles.start()
    roles.settle()
    assert roles.proposals.cursor() == before


def test_who_comes_after_the_effects_are_gone_scores_everybody(roles: Roles) -> None:
    """Where effects were forgotten that tell of changes, nobody is missed."""
    roles.tell("a", ANN)
    roles.settle()
    roles.tell("b", ANN)
    roles.world.fold()
    roles.world.send(track("Product Viewed", anonymous="z"))
    roles.world.fold()
    newest = roles.world.state.newest()
    roles.world.state.trim_effects(newest)
    roles.start()
    roles.settle()
    assert len(roles.found()) == 1


def test_who_comes_after_all_effects_are_gone_scores_everybody(roles: Roles) -> None:
    """Where not one is left it is the number of the newest commit that says that some were missed."""
    roles.tell("a", ANN)
    roles.settle()
    roles.tell("b", ANN)
    roles.world.fold()
    roles.world.state.trim_effects(roles.world.state.newest() + 1)
    roles.start()
    roles.settle()
    assert len(roles.found()) == 1
    assert roles.proposals.cursor() == roles.world.state.newest()


def test_weights_are_learnt_once_there_are_enough_people(roles: Roles) -> None:
    """Before that what is known beforehand serves; afterwards the weights are kept with the proposals."""
    for n in range(matching.LEARN_FROM):
        roles.tell(f"x{n}", {"firstName": f"x{n % 37}", "lastName": f"y{n % 101}", "email": f"m{n}@mail.example"})
    roles.settle()
    kept = roles.proposals.weights()
    assert kept is not None
    learnt = models.decode(kept)
    assert learnt.records == matching.LEARN_FROM
    assert learnt != PRIOR


def test_weights_are_kept_only_once_everybody_is_scored_by_them(roles: Roles) -> None:
    """Whoever finds weights takes everybody for scored: so a role that fails in between learns again."""
    for n in range(matching.LEARN_FROM):
        roles.tell(f"x{n}", {"firstName": f"x{n % 37}", "lastName": f"y{n % 101}", "email": f"m{n}@mail.example"})
    roles.world.fold()
    assert roles.matcher.turn()
    roles.proposals.away = StorageError("no space left")
    with pytest.raises(StorageError):
        roles.matcher.turn()
    roles.proposals.away = None
    assert roles.proposals.weights() is None
    roles.settle()
    assert roles.proposals.weights() is not None


def test_incremental_equals_all_at_once(roles: Roles) -> None:
    """In whatever steps profiles came and changed, the proposals are those of a role that sees them the first time."""
    steps = [("a", ANN), ("b", ANN | {"lastName": "Lindgern"}), ("c", ANN | {"birthday": "1980-03-02"}),
             ("b", {"phone": "+12125550100"}), ("d", {"phone": "+12125550100", "lastName": "Lindgren"}),
             ("a", {"firstName": "Annie"})]  # fmt: skip
    for anonymous, traits in steps:
        roles.tell(anonymous, traits)
        roles.settle()
    afresh = MemoryProposals(ManualClock(1_000))
    Matcher(roles.world.state, afresh, 2, Thresholds())
    for standing in ("sure", "asked"):
        assert roles.found(standing) == afresh.page(standing, None, 100)


LINKING = Definitions(version=1, identity=Identity(types=(IdentifierType("user_id"),), matching=Matching(0.97, 0.7)))

STRICT = Definitions(version=1, identity=Identity(types=(IdentifierType("user_id"),), matching=Matching(1.0, 1.0)))


@pytest.fixture
def linking() -> Roles:
    """A platform whose rules have pairs linked that are sure."""
    return Roles(LINKING)


def test_a_pair_that_is_sure_is_linked_with_its_evidence(linking: Roles) -> None:
    """Two profiles become one by an entry of the log that says how sure it was, and by which weights."""
    linking.tell("a", ANN | {"email": "ann@mail.example"})
    linking.tell("b", ANN, partition=1)
    linking.settle()
    person = linking.world.profile("anonymous_id:a")
    assert person.id == linking.world.profile("anonymous_id:b").id
    (link,) = [link for link in person.links if link.rule.startswith("matched")]
    rule, score, model = link.rule.split(":")
    assert (rule, len(model)) == ("matched", 8)
    assert float(score) > 0.97
    assert [each.rule for each in linking.world.effects() if isinstance(each, Merged)] == [link.rule]
    assert linking.world.state.counts()["links_matched"] == 1
    (kept,) = linking.found("linked")
    assert kept.by == "matching"


def test_it_is_off_unless_the_rules_say_it(roles: Roles) -> None:
    """Without `matching: {link: …}` what is sure stands as sure, and waits."""
    roles.tell("a", ANN)
    roles.tell("b", ANN)
    roles.settle()
    assert len(roles.found()) == 1
    assert len(set(roles.ids("a", "b"))) == 2


def test_several_of_one_person_become_one(linking: Roles) -> None:
    """A chain of pairs ends in one profile, whichever were linked first."""
    for each in "abcd":
        linking.tell(each, ANN)
    linking.settle()
    assert len(set(linking.ids(*"abcd"))) == 1
    assert linking.found("sure") == linking.found("asked") == []


def test_a_refused_pair_never_comes_back_by_itself(linking: Roles) -> None:
    """Who was said never to be one person is not linked, whatever is written: the fold has the last word."""
    linking.tell("a", ANN)
    linking.tell("b", ANN | {"firstName": "Zed"})
    linking.world.fold()
    linking.world.link("anonymous_id:a", "anonymous_id:b", never=True)
    linking.tell("b", ANN)
    linking.settle()
    assert len(set(linking.ids("a", "b"))) == 2
    assert "never_link" in [each.rule for each in linking.world.effects() if isinstance(each, LinkRefused)]
    linking.tell("b", {"phone": "+12125550100"})
    linking.start()
    linking.settle()
    assert len(set(linking.ids("a", "b"))) == 2
    assert len(linking.found("linked")) == 1


def test_two_accounts_are_asked_about_however_sure(linking: Roles) -> None:
    """What the rules keep apart is not linked by itself."""
    linking.tell("a", ANN, user="1")
    linking.tell("b", ANN, user="2")
    linking.settle()
    assert len(set(linking.ids("a", "b"))) == 2
    assert len(linking.found("asked")) == 1


def test_a_crash_between_writing_and_marking_links_once(linking: Roles) -> None:
    """What was written and not marked is written again, which changes nothing."""
    linking.tell("a", ANN)
    linking.tell("b", ANN)
    linking.world.fold()
    linking.proposals.dies = True
    with pytest.raises(SystemExit):
        linking.settle()
    linking.proposals.dies = False
    linking.start()
    while linking.matcher.turn():
        pass
    linking.settle()
    assert len(set(linking.ids("a", "b"))) == 1
    assert linking.world.state.counts()["links_matched"] == 1
    assert len([each for each in linking.world.effects() if isinstance(each, Merged)]) == 1


def test_other_thresholds_hold_as_soon_as_they_are_applied(roles: Roles) -> None:
    """New rules score everybody anew, and what is sure by them is linked."""
    roles.tell("a", ANN)
    roles.tell("b", ANN)
    roles.settle()
    assert len(set(roles.ids("a", "b"))) == 2
    roles.world.define(LINKING)
    roles.settle()
    assert len(set(roles.ids("a", "b"))) == 1


def test_other_thresholds_hold_once_everybody_could_be_scored_by_them(roles: Roles) -> None:
    """Where what is proposed cannot be written when new rules come, everybody is scored by them later."""
    roles.tell("a", ANN)
    roles.tell("b", ANN)
    roles.settle()
    roles.world.define(STRICT)
    roles.world.fold()
    roles.proposals.away = StorageError("no space left")
    with pytest.raises(StorageError):
        roles.matcher.turn()
    roles.proposals.away = None
    assert len(roles.found()) == 1
    roles.settle()
    assert roles.found() == roles.found("asked") == []


def test_who_lives_together_is_kept() -> None:
    """A couple with one phone is tied, and no proposal; a stranger is neither."""
    types = (IdentifierType("phone", unless=("name",)),)
    roles = Roles(Definitions(version=1, identity=Identity(types=types)))
    roles.tell("a", ANN | {"phone": "+12125550100"})
    roles.tell("b", ANN | {"firstName": "Bob", "birthday": "1978-11-12", "phone": "+12125550100"})
    roles.tell("c", {"firstName": "Zoe", "lastName": "Quist", "birthday": "1999-09-09"})
    roles.settle()
    (tie,) = roles.proposals.tie_page((0, 0), 9)
    assert (tie.a, tie.b) == roles.ids("a", "b")
    assert roles.found() == []


def test_a_link_by_matching_is_undone_and_does_not_come_back(linking: Roles) -> None:
    """Whoever takes the two apart has the last word, though they go on being alike; other links stay."""
    linking.tell("a", ANN)
    linking.tell("a", ANN, user="1")
    linking.tell("b", ANN)
    linking.settle()
    world = linking.world
    (link,) = [link for link in world.profile("user_id:1").links if link.rule.startswith("matched")]
    undone = Parted(frozenset({(link.a, link.b), (link.b, link.a)}))
    read = sources(world, Catalog(LINKING), followed(world, MemoryHistory()))
    world.recast(prepare(read, {world.profile("user_id:1").id}, Wanted(undone)).body)
    linking.settle()
    assert len(set(linking.ids("a", "b"))) == 2
    assert world.profile("user_id:1").id == world.profile("anonymous_id:a").id
    linking.tell("b", {"phone": "+12125550100"})
    linking.start()
    linking.settle()
    linking.tell("b", ANN | {"city": "Springfield"})
    linking.settle()
    assert len(set(linking.ids("a", "b"))) == 2
    assert not [each for each in world.profile("anonymous_id:b").links if each.rule.startswith("matched")]


def test_other_links_by_matching_outlive_an_undo(linking: Roles) -> None:
    """Of three that were linked one is taken out: the two others are folded again as they were, with their evidence."""
    for each in "abc":
        linking.tell(each, ANN)
    linking.settle()
    world = linking.world
    links = [link for link in world.profile("anonymous_id:a").links if link.rule.startswith("matched")]
    out = links[-1]
    undone = Parted(frozenset({(out.a, out.b), (out.b, out.a)}))
    read = sources(world, Catalog(LINKING), followed(world, MemoryHistory()))
    world.recast(prepare(read, {world.profile("anonymous_id:a").id}, Wanted(undone)).body)
    world.fold()
    left = [world.profile_of(one) for one in set(linking.ids(*"abc"))]
    assert len(left) == 2
    kept = [link for profile in left for link in profile.links if link.rule.startswith("matched")]
    assert [each.rule for each in kept] == [links[0].rule]
