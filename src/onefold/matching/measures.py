"""How well records were put together, held against the truth of whose each record is.

`truth` says for each record whose it is, `found` in which cluster (profile) it ended; both name the same records.
All figures come from one table: how many records of this person are in that cluster. Where there is nothing to get
wrong (no pair was joined, no person has two records) a share is 1, as is usual.

Sources: pairwise precision and recall as in Christen, "Data Matching" (2012), 7.2; B-cubed as in Bagga and Baldwin,
"Algorithms for Scoring Coreference Chains" (1998), over records.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping
from typing import NamedTuple, TypeVar

Rec = TypeVar("Rec", bound=Hashable)
Who = TypeVar("Who", bound=Hashable)
Group = TypeVar("Group", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)


class Score(NamedTuple):
    """Precision: of what was joined, the share that belongs together. Recall: of what belongs together, that joined."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


class Clustering(NamedTuple):
    """Everything that is measured of one clustering; each but the first two is a share of 1."""

    pairwise: Score
    """Over pairs of records."""
    bcubed: Score
    """Over records: each one's cluster against its person, averaged."""
    unified: float
    """Of the people with two records or more: those whose records are all in one cluster, whoever else is in it."""
    exact: float
    """Of all people: those whose records make up one cluster, with nobody else's in it."""
    over_merged: float
    """Of the clusters: those with records of two people or more."""
    over_merged_mass: float
    """Of all weight (see `measure`): what lies in such clusters."""


def measure(
    truth: Mapping[Rec, Who], found: Mapping[Rec, Group], weights: Mapping[Group, float] | None = None
) -> Clustering:
    """Measure `found` against `truth`; `weights`: cluster → what it weighs (its events), by default its records.

    Clusters with a weight that hold none of the records count as wholly right. Time and space grow with the records.
    """
    table = _table(truth, found)
    people: defaultdict[Who, set[Group]] = defaultdict(set)
    clusters: defaultdict[Group, set[Who]] = defaultdict(set)
    for person, cluster in table:
        people[person].add(cluster)
        clusters[cluster].add(person)
    sizes = Counter(truth.values())
    several = [person for person, size in sizes.items() if size > 1]
    impure = {cluster for cluster, inside in clusters.items() if len(inside) > 1}
    weigh: Mapping[Group, float] = Counter(found.values()) if weights is None else weights
    return Clustering(
        pairwise=_pairwise(table),
        bcubed=_bcubed(table),
        unified=_share(sum(len(people[person]) == 1 for person in several), len(several)),
        exact=_share(sum(len(people[p]) == 1 and people[p].isdisjoint(impure) for p in people), len(people)),
        over_merged=_share(len(impure), len(clusters), nothing=0.0),
        over_merged_mass=_share(sum(weigh.get(one, 0) for one in impure), sum(weigh.values()), nothing=0.0),
    )


def pairs(truth: Collection[frozenset[Rec]], found: Collection[frozenset[Rec]]) -> Score:
    """The same for bare pairs: of those found, which are true; of the true ones, which were found."""
    right = len(set(truth) & set(found))
    return Score(_share(right, len(set(found))), _share(right, len(set(truth))))


def _table(truth: Mapping[Rec, Who], found: Mapping[Rec, Group]) -> Counter[tuple[Who, Group]]:
    assert truth.keys() == found.keys(), "truth and result speak of different records"
    return Counter((person, found[record]) for record, person in truth.items())


def _margins(table: Counter[tuple[Who, Group]]) -> tuple[Counter[Who], Counter[Group]]:
    people: Counter[Who] = Counter()
    clusters: Counter[Group] = Counter()
    for (person, cluster), n in table.items():
        people[person] += n
        clusters[cluster] += n
    return people, clusters


def _pairwise(table: Counter[tuple[Who, Group]]) -> Score:
    people, clusters = _margins(table)
    right = _pairs_within(table)
    return Score(_share(right, _pairs_within(clusters)), _share(right, _pairs_within(people)))


def _pairs_within(sizes: Mapping[Key, int]) -> int:
    return sum(n * (n - 1) // 2 for n in sizes.values())


def _bcubed(table: Counter[tuple[Who, Group]]) -> Score:
    people, clusters = _margins(table)
    records = sum(table.values())
    precision = sum(n * n / clusters[cluster] for (_, cluster), n in table.items())
    recall = sum(n * n / people[person] for (person, _), n in table.items())
    return Score(_share(precision, records), _share(recall, records))


def _share(part: float, whole: float, *, nothing: float = 1.0) -> float:
    return part / whole if whole else nothing
