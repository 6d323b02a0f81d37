"""Reviewing: what is proposed, with what speaks for it, and what somebody decides of it."""

from collections.abc import Iterator
from typing import NamedTuple

from onefold.clock import Clock
from onefold.errors import NotFoundError
from onefold.matching import weights as models
from onefold.matching.learning import PRIOR
from onefold.matching.record import Record, of_profile
from onefold.matching.weights import Reason, Scorer
from onefold.model import profile as profiles
from onefold.model.entry import Linked
from onefold.model.position import show
from onefold.model.profile import Profile
from onefold.model.proposal import Judgement, KeptProposal, Tie
from onefold.ports import LogWriter, Proposals, State
from onefold.runtime.identity.saying import say
from onefold.runtime.identity.sure_links import name_of


class Review(NamedTuple):
    """A proposal with what is known of both, as they are now."""

    proposal: KeptProposal
    a: Record
    b: Record
    why: list[Reason]
    """What each comparison contributes by the weights as they are now."""
    apart: bool
    """Both are profiles of their own."""


class Verdict(NamedTuple):
    """What somebody decides of a pair."""

    a: int
    b: int
    judgement: Judgement
    by: str
    tag: str = ""
    """Of the proposal that was read (`KeptProposal.tag`); empty: whatever it is by now."""


def scorer_of(proposals: Proposals) -> Scorer:
    """By the weights that are kept, or what is known before anything was learnt."""
    data = proposals.weights()
    return Scorer(PRIOR if data is None else models.decode(data))


def reviewed(state: State, scorer: Scorer, proposal: KeptProposal) -> Review:
    """A proposal, to be judged."""
    a, b = (_profile(state, one) for one in (proposal.a, proposal.b))
    one, other = (Record() if each is None else of_profile(each) for each in (a, b))
    apart = a is not None and b is not None and (a.id, b.id) == (proposal.a, proposal.b)
    return Review(proposal, one, other, scorer.reasons(one, other), apart)


def decide(
    proposals: Proposals, state: State, writer: LogWriter, clock: Clock, verdict: Verdict
) -> tuple[KeptProposal, tuple[int, int]]:
    """Keep the decision, then write it into the log; done again, it is written again. Also where: partition, offset.

    Raises `NotFoundError` where the pair is not proposed, or one of them is no more; `PreconditionFailed` where the
    proposal is another by now; `InvalidRequest` where both are one person already.
    """
    decided = proposals.decide(verdict.a, verdict.b, verdict.judgement, verdict.by, verdict.tag)
    one, other = (_name(state, each) for each in (decided.a, decided.b))
    said = Linked(0, one, other, verdict.by, verdict.judgement == "refused")
    return decided, say(state, writer, state.rules(state.cursor(0).rules), clock, said)


def all_ties(proposals: Proposals) -> Iterator[Tie]:
    """Every tie there is, by ids."""
    after = (0, 0)
    while page := proposals.tie_page(after, _TIES):
        yield from page
        after = page[-1].a, page[-1].b


_TIES = 10_000
"""Read at once."""


def _profile(state: State, number: int) -> Profile | None:
    data = state.profile(number)
    return None if data is None else profiles.decode(data)


def _name(state: State, number: int) -> str:
    found = _profile(state, number)
    if found is None or not found.identifiers:
        raise NotFoundError(f"there is no profile {show(number)} any more")
    return name_of(found)
