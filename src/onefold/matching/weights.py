"""What the levels of a comparison are worth: learnt probabilities, as data, and the score that they give a pair.

Fellegi and Sunter ("A Theory for Record Linkage", 1969) tell pairs of one person from all others by how likely each
level is among the ones and among the others. Onefold knows a third kind, since it is the one that goes wrong: people of
one *household*, who share name, address, phone and often an e-mail, and are two. Taken for strangers, everything that
they share would speak for one person; here it speaks for the household, and the birthday and the given name decide.

A pair is of one of three kinds, with a share of all pairs each; within a kind, comparisons are independent.
"""

import math
from typing import NamedTuple

import msgspec
import xxhash
from msgspec import Struct

from onefold.matching.comparing import COMPARISONS, Pattern, compare
from onefold.matching.record import Record

SAME, HOUSEHOLD, STRANGER = range(3)
KINDS = ("same", "household", "stranger")
LEAST = 1e-9
"""No level is impossible."""

_HANDLE = [each.name for each in COMPARISONS].index("handle")

Levels = tuple[tuple[float, float, float], ...]
"""For each level of a comparison its probability among pairs of each kind; that of level 0 is 1: it says nothing."""


class Weights(Struct, frozen=True):
    """A model: what `learning.learn` found in some records, or what is known from elsewhere."""

    shares: tuple[float, float, float]
    """Of all pairs of records: those of one person, of one household, of strangers."""
    levels: dict[str, Levels]
    """Comparison → its levels."""
    given: dict[str, float] = {}
    """Given names that are frequent → their share of all."""
    family: dict[str, float] = {}
    records: int = 0
    """Of how many records it was learnt; 0: of none."""


class Scored(NamedTuple):
    """What a pair comes to."""

    same: float
    """How probable it is that both are one person, 0 to 1."""
    household: float
    """That they are two of one household."""


class Reason(NamedTuple):
    """What one comparison contributed, for people to read."""

    comparison: str
    level: str
    bits: float
    """log2 of how much oftener this level is in pairs of one person than in pairs of strangers."""


class Scorer:
    """Scores pairs by a model."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._tables = [
            [tuple(math.log(max(p, LEAST)) for p in level) for level in weights.levels[each.name]]
            for each in COMPARISONS
        ]
        self._shares = tuple(math.log(max(share, 1e-15)) for share in weights.shares)
        self._given, self._family = _rarity(weights, "given"), _rarity(weights, "family")

    def score(self, a: Record, b: Record) -> Scored:
        """How probable it is that two records are one person's, or one household's."""
        named = a if a.family else b
        return self.of_pattern(compare(a, b), named.given, named.family)

    def of_pattern(self, pattern: Pattern, given: str = "", family: str = "") -> Scored:
        """The same of a pattern; `given`, `family`: the names where they are the same, since rare ones say more.

        Or where they are the e-mail's, of one of whom nothing else is known.
        """
        same, household, stranger = self._shares
        for level, table in zip(pattern, self._tables, strict=True):
            if level:
                one, two, three = table[level]
                same += one
                household += two
                stranger += three
        if pattern[0] == 1 or pattern[_HANDLE] == 1:
            stranger += self._given.get(given, self._given[""])
        if pattern[1] == 1 or pattern[_HANDLE] == 1:
            stranger += self._family.get(family, self._family[""])
        most = max(same, household, stranger)
        one, two, three = math.exp(same - most), math.exp(household - most), math.exp(stranger - most)
        return Scored(one / (one + two + three), two / (one + two + three))

    def reasons(self, a: Record, b: Record) -> list[Reason]:
        """What each comparison that knows something contributed."""
        pattern = compare(a, b)
        found = []
        for each, level, table in zip(COMPARISONS, pattern, self._tables, strict=True):
            if level:
                nats = table[level][SAME] - table[level][STRANGER]
                if each.name in ("given", "family") and level == 1:
                    rare = self._given if each.name == "given" else self._family
                    nats -= rare.get(getattr(a, each.name), rare[""])
                found.append(Reason(each.name, each.levels[level], nats / math.log(2)))
        return found


encode = msgspec.json.encode
"""A model as JSON, to keep."""


def version_of(weights: Weights) -> str:
    """A short name that is another for other weights."""
    return xxhash.xxh3_64_hexdigest(encode(weights))[:8]


def decode(data: bytes) -> Weights:
    """The model in these bytes. Raises `msgspec.MsgspecError` where they are none, or of other comparisons."""
    found = msgspec.json.decode(data, type=Weights)
    for each in COMPARISONS:
        if len(found.levels.get(each.name, ())) != len(each.levels):
            raise msgspec.ValidationError(f"the model does not know the comparison {each.name!r} as it is now")
    return found


def _rarity(weights: Weights, name: str) -> dict[str, float]:
    """Name → by how much (log) likelier strangers share it than any; "": for names that are not frequent."""
    frequent: dict[str, float] = getattr(weights, name)
    any_ = max(weights.levels[name][1][STRANGER], LEAST)
    rest = min(frequent.values(), default=any_)
    return {each: math.log(max(share, LEAST) / any_) for each, share in frequent.items()} | {"": math.log(rest / any_)}
