"""Learning what levels are worth from records alone: nobody has to say which are one person.

Expectation maximisation over all pairs of the records (Dempster, Laird and Rubin, 1977; for record linkage Winkler,
"Using the EM Algorithm for Weight Computation in the Fellegi-Sunter Model", 1988). Only pairs that share a key are
looked at one by one, as patterns with their numbers; all others are strangers, and what strangers are like is known
from a sample of them. So shares are of all pairs, and no key distorts what strangers look like.

What is known beforehand counts as some pairs of each kind (a Dirichlet prior): few records learn little, many learn
what they say. What the kinds *are* is not learnt but defined, or else they would drift: one person seldom has two given
names or two birthdays, and two of a household seldom have one, or the same number; nor is the whole name of one the
e-mail of the other, nor are their addresses of mail one typing error apart (`_AT_MOST`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from onefold.matching.blocking import keys
from onefold.matching.comparing import COMPARISONS, Pattern, compare
from onefold.matching.record import Record
from onefold.matching.weights import HOUSEHOLD, KINDS, LEAST, SAME, STRANGER, Levels, Scorer, Weights

BLOCK_MAX = 100
"""A key that more records share finds nobody."""
_SAMPLE = 200_000
"""Pairs of strangers that are looked at."""
_ROUNDS = 200
_STILL = 1e-5
"""Where no share of a kind moves by more, it is learnt."""
_PRIOR_PAIRS = 20.0
_FREQUENT = 2_000
_AT_MOST = {
    ("given", SAME): ("differs", 0.04),
    ("born", SAME): ("differs", 0.04),
    ("given", HOUSEHOLD): ("same", 0.005),
    ("born", HOUSEHOLD): ("same", 0.01),
    ("number", HOUSEHOLD): ("same", 0.01),
    ("handle", HOUSEHOLD): ("whole name", 0.005),
    ("email", HOUSEHOLD): ("close", 0.005),
}
"""Comparison and kind → a level, and the largest share of the kind's pairs that may be at it."""
_AT_LEAST = {
    ("given", HOUSEHOLD): ("same", 0.004),
    ("email", HOUSEHOLD): ("same", 0.05),
}
"""The smallest: fathers and sons bear one name now and then, and where two profiles are left with one address of mail,
rules have kept them apart."""

# For each level the pairs of one person, of one household, and of strangers; level 0 first.
PRIOR = Weights(
    shares=(1e-5, 1e-5, 1 - 2e-5),
    levels={
        "given": (
            (1, 1, 1), (0.80, 0.004, 0.005), (0.03, 0.005, 0.003), (0.10, 0.02, 0.02), (0.02, 0.05, 0.04),
            (0.02, 0.001, 0.0002), (0.03, 0.92, 0.9318),
        ),
        "family": ((1, 1, 1), (0.86, 0.80, 0.002), (0.08, 0.06, 0.012), (0.02, 0.02, 0.002), (0.04, 0.12, 0.984)),
        "born": (
            (1, 1, 1), (0.90, 0.01, 0.0001), (0.05, 0.01, 0.0015), (0.01, 0.001, 0.0005), (0.02, 0.02, 0.015),
            (0.02, 0.959, 0.9829),
        ),
        "address": (
            (1, 1, 1), (0.70, 0.88, 0.0005), (0.14, 0.08, 0.0005), (0.02, 0.01, 0.002), (0.06, 0.02, 0.02),
            (0.08, 0.01, 0.977),
        ),
        "phone": ((1, 1, 1), (0.72, 0.35, 0.00001), (0.08, 0.01, 0.00005), (0.20, 0.64, 0.99994)),
        "email": (
            (1, 1, 1), (0.62, 0.15, 0.00001), (0.08, 0.005, 0.00001), (0.04, 0.01, 0.0002), (0.06, 0.015, 0.001),
            (0.20, 0.82, 0.99878),
        ),
        "handle": ((1, 1, 1), (0.45, 0.01, 0.0001), (0.35, 0.45, 0.01), (0.20, 0.54, 0.9899)),
        "number": ((1, 1, 1), (0.90, 0.001, 0.00001), (0.07, 0.001, 0.00001), (0.03, 0.998, 0.99998)),
    },
)  # fmt: skip
"""What is known before anything was learnt: assumptions, each of which counts as much as twenty pairs do."""


def candidates(records: Sequence[Record], most: int = BLOCK_MAX) -> set[tuple[int, int]]:
    """Pairs (by index, the smaller first) that share a key which no more than `most` records have."""
    blocks: defaultdict[str, list[int]] = defaultdict(list)
    for n, record in enumerate(records):
        for key in keys(record):
            blocks[key].append(n)
    return {(a, b) for block in blocks.values() if len(block) <= most for k, b in enumerate(block) for a in block[:k]}


def learn(records: Sequence[Record], pairs: Iterable[tuple[int, int]] | None = None, prior: Weights = PRIOR) -> Weights:
    """The weights by which these records are told apart; `pairs`: those to look at, by default `candidates(records)`.

    Deterministic. About 15 microseconds a pair, then seconds. Fewer than two records learn nothing: `prior`.
    """
    if len(records) < 2:
        return prior
    looked_at = candidates(records) if pairs is None else set(pairs)
    patterns = Counter(compare(records[a], records[b]) for a, b in looked_at)
    total = len(records) * (len(records) - 1) / 2
    unseen = total - len(looked_at)
    strangers = _counted(Counter(compare(records[a], records[b]) for a, b in _sample(len(records), looked_at)))
    weights = prior
    for _ in range(_ROUNDS):
        shares, kinds = _expect(Scorer(weights), patterns)
        levels = {each.name: _levels(n, prior, kinds, strangers, unseen) for n, each in enumerate(COMPARISONS)}
        levels["handle"] = _no_rarer_than_names(levels)
        found = Weights(_normal(shares[SAME] / total, shares[HOUSEHOLD] / total), levels)
        moved = max(abs(a - b) / max(a, LEAST) for a, b in zip(found.shares[:2], weights.shares[:2], strict=True))
        weights = found
        if moved < _STILL:
            break
    given, family = (_frequent(getattr(record, name) for record in records) for name in ("given", "family"))
    return Weights(weights.shares, weights.levels, given, family, len(records))


def _sample(records: int, looked_at: set[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Pairs that stand far from each other in the records, evenly; not by chance, so that learning is repeatable."""
    strides = max(1, min(records - 1, _SAMPLE // records))
    for n in range(1, strides + 1):
        stride = max(1, (n * records) // (strides + 1))
        for a in range(min(records, _SAMPLE)):
            b = (a + stride) % records
            pair = (a, b) if a < b else (b, a)
            if a != b and pair not in looked_at:
                yield pair


def _counted(patterns: Counter[Pattern]) -> list[list[float]]:
    """For each comparison: how many pairs are at each level."""
    found = [[0.0] * len(each.levels) for each in COMPARISONS]
    for pattern, n in patterns.items():
        for level, counts in zip(pattern, found, strict=True):
            counts[level] += n
    return found


def _expect(scorer: Scorer, patterns: Counter[Pattern]) -> tuple[list[float], list[list[list[float]]]]:
    """How many pairs are of each kind, and for each kind how many are at each level of each comparison."""
    shares = [0.0, 0.0, 0.0]
    kinds = [[[0.0] * len(each.levels) for each in COMPARISONS] for _ in KINDS]
    for pattern, n in patterns.items():
        scored = scorer.of_pattern(pattern)
        parts = (scored.same * n, scored.household * n, (1 - scored.same - scored.household) * n)
        for kind, part in enumerate(parts):
            shares[kind] += part
            for level, counts in zip(pattern, kinds[kind], strict=True):
                counts[level] += part
    return shares, kinds


def _levels(
    n: int, prior: Weights, kinds: list[list[list[float]]], strangers: list[list[float]], unseen: float
) -> Levels:
    """The levels of one comparison, of what was counted of each kind."""
    name = COMPARISONS[n].name
    before = prior.levels[name]
    sampled = sum(strangers[n]) or 1.0
    columns = []
    for kind in (SAME, HOUSEHOLD, STRANGER):
        counts = list(kinds[kind][n])
        if kind == STRANGER:
            counts = [seen + unseen * share / sampled for seen, share in zip(counts, strangers[n], strict=True)]
        known = [count + _PRIOR_PAIRS * level[kind] for count, level in zip(counts[1:], before[1:], strict=True)]
        column = [value / sum(known) for value in known]
        for bounds, limit in ((_AT_MOST, min), (_AT_LEAST, max)):
            if (name, kind) in bounds:
                level, share = bounds[name, kind]
                place = COMPARISONS[n].levels.index(level) - 1
                column = _held(column, place, limit(column[place], share))
        columns.append(column)
    return ((1.0, 1.0, 1.0), *zip(*columns, strict=True))


def _held(column: list[float], level: int, share: float) -> list[float]:
    """The level with this share; the others make up for it."""
    if column[level] == share:
        return column
    rest = sum(column) - column[level]
    return [share if n == level else value * (1 - share) / rest for n, value in enumerate(column)]


def _no_rarer_than_names(levels: dict[str, Levels]) -> Levels:
    """The levels of a name in an e-mail, where strangers have the whole name as often as they are called alike.

    That cannot be learnt: of whom nothing but an address of mail is known, every namesake looks like the same person.
    """
    (_, whole, *others), given, family = levels["handle"], levels["given"][1], levels["family"][1]
    least = given[STRANGER] * family[STRANGER]
    return ((1.0, 1.0, 1.0), (whole[SAME], whole[HOUSEHOLD], max(whole[STRANGER], least)), *others)


def _normal(same: float, household: float) -> tuple[float, float, float]:
    return same, household, max(0.0, 1 - same - household)


def _frequent(names: Iterable[str]) -> dict[str, float]:
    counts = Counter(name for name in names if name)
    total = counts.total()
    return {name: n / total for name, n in counts.most_common(_FREQUENT)}
