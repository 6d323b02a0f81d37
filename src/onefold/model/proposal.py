"""Proposed links: two profiles that seem to be one person though no identifier says so, and what became of that.

Beside them ties: two profiles that are of one household, or even one person. Nobody is asked about those.
"""

from typing import Literal, NamedTuple, get_args

from msgspec import Struct

Judgement = Literal["sure", "asked", "linked", "accepted", "refused"]
"""`sure`: the score alone is enough; `asked`: it waits for somebody; `linked`: the match role has linked it by itself;
the others: somebody has decided. Where the two of one that is linked or accepted are two profiles, the rules have kept
them apart, or somebody has taken them apart since."""

JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)
DECIDED: tuple[Judgement, ...] = ("linked", "accepted", "refused")
"""What stands so is not proposed again by itself, whatever it scores."""


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


class Tie(NamedTuple):
    """Two profiles that live together."""

    a: int
    b: int
    """The larger id."""
    together: float
    """How probable it is that they are of one household, or one person."""


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

    @property
    def tag(self) -> str:
        """Another one where something has changed that whoever decides should know; not where it was scored again."""
        when = f"-{self.at_ms:x}" if self.standing in DECIDED else ""
        return f"{self.standing}-{self.score:.4f}{when}"

    @property
    def said(self) -> str:
        """How it stands, for people to read."""
        return f"{self.standing} by {self.by}" if self.by else f"{self.standing}, with a score of {self.score:.3f}"
