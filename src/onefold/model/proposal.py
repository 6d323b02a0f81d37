"""Proposed links: two profiles that seem to be one person though no identifier says so, and what became of that."""

from typing import Literal, NamedTuple, get_args

from msgspec import Struct

Judgement = Literal["sure", "asked", "accepted", "refused"]
"""`sure`: the score alone is enough; `asked`: it waits for somebody; the others: somebody has decided."""

JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)
DECIDED: tuple[Judgement, ...] = ("accepted", "refused")


class Proposal(NamedTuple):
    """Two profiles that may be one person."""

    a: int
    b: int
    """The larger id."""
    score: float
    """How probable it is that they are, 0 to 1."""
    household: float
    """How probable it is that they are two of one household."""
    ask: bool
    """Whether somebody is to be asked first: not sure enough, or both have an account of their own."""


class KeptProposal(Struct, frozen=True):
    """A proposal as it is kept."""

    a: int
    b: int
    score: float
    household: float
    standing: Judgement
    at_ms: int
    """When it was proposed last, or decided."""
    by: str = ""
    """Who has decided; empty: nobody."""
