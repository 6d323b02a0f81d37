"""What every keeper of proposed links must do: each clause of `ports.Proposals`, as a test.

Subclass `ProposalsConformance` in a test module and give it a fixture `open_proposals`: each call of it returns another
handle on one and the same proposals, as another process would have it, with the clock that it is to go by.
"""

from collections.abc import Callable

import pytest

from onefold.clock import Clock
from onefold.errors import NotFoundError, PreconditionFailed
from onefold.model.proposal import KeptProposal, Proposal, Tie
from onefold.ports import Proposals
from onefold.testing.clock import ManualClock

OpenProposals = Callable[[Clock], Proposals]

_HIGH = (1 << 64) - 1
"""The largest profile id."""


def sure(a: int, b: int, score: float = 0.999) -> Proposal:
    """A proposal that needs no asking."""
    return Proposal(a, b, score, 0.0, ask=False)


def asked(a: int, b: int, score: float = 0.7) -> Proposal:
    """A proposal that does."""
    return Proposal(a, b, score, 0.25, ask=True)


def pairs(found: list[KeptProposal]) -> list[tuple[int, int]]:
    """Their ids, in order."""
    return [(each.a, each.b) for each in found]


class ProposalsConformance:
    """The port's promises."""

    @pytest.fixture
    def proposals(self, open_proposals: OpenProposals) -> Proposals:
        """Without any proposals yet."""
        return open_proposals(ManualClock(1_000))

    def test_empty(self, proposals: Proposals) -> None:
        """At first nothing was scored, nothing is proposed, and there are no weights."""
        assert proposals.cursor() == -1
        assert proposals.weights() is None
        assert proposals.counts() == {}
        assert proposals.page("asked", None, 10) == []

    def test_proposals_are_kept_with_the_cursor(self, proposals: Proposals, open_proposals: OpenProposals) -> None:
        """What was put is there for everybody, as it was put, with its time; ids may be as large as they come."""
        proposals.put([sure(1, 2), asked(3, _HIGH)], {1, 2, 3}, 7)
        other = open_proposals(ManualClock(0))
        assert other.cursor() == 7
        assert other.page("asked", None, 10) == [KeptProposal(3, _HIGH, 0.7, 0.25, "asked", 1_000)]
        assert pairs(other.page("sure", None, 10)) == [(1, 2)]
        assert other.counts() == {"sure": 1, "asked": 1}

    def test_weights_are_replaced(self, proposals: Proposals, open_proposals: OpenProposals) -> None:
        """The last weights are those that are there; the cursor stays."""
        proposals.put([], (), 3)
        proposals.keep_weights(b"one")
        proposals.keep_weights(b"two")
        other = open_proposals(ManualClock(0))
        assert other.weights() == b"two"
        assert other.cursor() == 3

    def test_scored_anew_replaces_what_was_proposed(self, proposals: Proposals) -> None:
        """Of profiles that are scored again only the new proposals are left; those of others stay."""
        proposals.put([asked(1, 2), asked(1, 3), asked(4, 5), sure(2, 9)], {1, 4, 2}, 1)
        proposals.put([sure(1, 3)], {1}, 2)
        assert pairs(proposals.page("sure", None, 10)) == [(1, 3), (2, 9)]
        assert pairs(proposals.page("asked", None, 10)) == [(4, 5)]
        proposals.put([asked(4, 5, 0.8), asked(4, 5, 0.9)], (), 3)
        assert [each.score for each in proposals.page("asked", None, 10)] == [0.9]

    def test_decisions_stay(self, proposals: Proposals, open_proposals: OpenProposals) -> None:
        """What somebody has decided stays, with who and when, whatever it scores later; it can be decided anew."""
        proposals.put([asked(1, 2), asked(3, 4)], {1, 3}, 1)
        later = open_proposals(ManualClock(5_000))
        assert later.decide(2, 1, "refused", "ann") == KeptProposal(1, 2, 0.7, 0.25, "refused", 5_000, "ann")
        later.put([sure(1, 2)], {1, 2, 3}, 2)
        assert later.counts() == {"refused": 1}
        assert later.decide(1, 2, "accepted", "bob").by == "bob"
        assert pairs(later.page("accepted", None, 10)) == [(1, 2)]

    def test_only_what_is_proposed_can_be_decided(self, proposals: Proposals) -> None:
        """A pair that nobody has proposed is not found."""
        with pytest.raises(NotFoundError, match="not proposed"):
            proposals.decide(1, 2, "accepted", "ann")

    def test_pages_follow_each_other(self, proposals: Proposals) -> None:
        """The highest score comes first, equal ones by ids; pages of any size give each once."""
        given = [asked(a, b, 0.5 + (a * 7 % 5) / 20) for a in range(1, 12) for b in range(a + 1, 12)]
        proposals.put(given, range(12), 1)
        expected = [(each.a, each.b) for each in sorted(given, key=lambda each: (-each.score, each.a, each.b))]
        found: list[tuple[int, int]] = []
        after = None
        while page := proposals.page("asked", after, 7):
            found += pairs(page)
            after = (page[-1].score, page[-1].a, page[-1].b)
        assert found == expected

    def test_many_at_once(self, proposals: Proposals) -> None:
        """Thousands of proposals and profiles are one call."""
        given = [asked(n, n + 1) for n in range(1, 4_000, 2)]
        proposals.put(given, range(1, 4_001), 1)
        proposals.decide(1, 2, "refused", "ann")
        proposals.put(given, range(1, 4_001), 2)
        assert proposals.counts() == {"asked": 1_999, "refused": 1}
        proposals.put([], range(1, 4_001), 3)
        assert proposals.counts() == {"refused": 1}

    def test_a_decision_is_made_from_what_was_read(self, proposals: Proposals, open_proposals: OpenProposals) -> None:
        """Who decides from a proposal that is another by now is refused, and told how it stands."""
        proposals.put([asked(1, 2)], {1}, 1)
        read = proposals.find(2, 1)
        assert read == KeptProposal(1, 2, 0.7, 0.25, "asked", 1_000)
        assert proposals.find(1, 3) is None
        later = open_proposals(ManualClock(2_000))
        later.put([asked(1, 2)], {1}, 2)
        assert later.decide(1, 2, "refused", "ann", read.tag).by == "ann"
        with pytest.raises(PreconditionFailed, match="refused by ann"):
            later.decide(1, 2, "accepted", "bob", read.tag)
        with pytest.raises(NotFoundError):
            later.decide(1, 3, "accepted", "bob", read.tag)
        again = later.find(1, 2)
        assert again is not None
        assert later.decide(1, 2, "accepted", "bob", again.tag).standing == "accepted"

    def test_what_is_linked_is_decided(self, proposals: Proposals) -> None:
        """What is sure can be marked as linked, once, and is not proposed again by itself; what is decided stays so."""
        proposals.put([sure(1, 2), sure(3, 4), asked(5, 6)], {1, 3, 5}, 1)
        proposals.decide(3, 4, "refused", "ann")
        proposals.mark([(1, 2), (3, 4), (5, 6), (7, 8)], "matching")
        assert proposals.counts() == {"linked": 1, "refused": 1, "asked": 1}
        proposals.put([sure(1, 2), sure(3, 4)], {1, 3}, 2)
        assert proposals.counts() == {"linked": 1, "refused": 1, "asked": 1}
        kept = proposals.find(1, 2)
        assert kept is not None
        assert (kept.standing, kept.by) == ("linked", "matching")

    def test_ties_are_kept_with_those_that_were_scored(self, proposals: Proposals) -> None:
        """Who lives together: found from either side, the surest first, replaced as profiles are scored anew."""
        proposals.put([], {1, 2, 5}, 1, [Tie(1, 2, 0.95), Tie(2, 3, 0.99), Tie(5, _HIGH, 0.9)])
        assert proposals.ties([3]) == [Tie(2, 3, 0.99)]
        assert proposals.ties([2, 1]) == [Tie(2, 3, 0.99), Tie(1, 2, 0.95)]
        assert proposals.tie_page((0, 0), 2) == [Tie(1, 2, 0.95), Tie(2, 3, 0.99)]
        assert proposals.tie_page((2, 3), 2) == [Tie(5, _HIGH, 0.9)]
        proposals.put([], {2}, 2, [Tie(1, 2, 0.92), Tie(1, 2, 0.93)])
        assert proposals.tie_page((0, 0), 9) == [Tie(1, 2, 0.93), Tie(5, _HIGH, 0.9)]
        proposals.put([], range(2_000), 3, [Tie(n, n + 1, 0.9) for n in range(1_500)])
        assert len(proposals.ties(range(2_000))) == 1_500
