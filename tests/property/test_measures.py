"""The measures of clusterings, against counting every pair, every record and every person."""

from collections.abc import Iterator
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.matching.measures import measure, pairs

Clusterings = tuple[dict[int, int], dict[int, int]]


@st.composite
def clusterings(draw: st.DrawFn) -> Clusterings:
    """The truth and a result over the same few records."""
    records = draw(st.integers(1, 12))
    few = st.integers(0, 4)
    return {n: draw(few) for n in range(records)}, {n: draw(few) for n in range(records)}


def _together(of: dict[int, int]) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in combinations(of, 2) if of[pair[0]] == of[pair[1]]}


def _groups(of: dict[int, int]) -> Iterator[frozenset[int]]:
    for one in set(of.values()):
        yield frozenset(record for record, its in of.items() if its == one)


@given(clusterings())
def test_pairwise_counts_pairs(both: Clusterings) -> None:
    """Pairwise precision and recall are what one gets from the list of all pairs."""
    truth, found = both
    right, joined, belong = _together(truth) & _together(found), _together(found), _together(truth)
    score = measure(truth, found).pairwise
    assert score.precision == (len(right) / len(joined) if joined else 1)
    assert score.recall == (len(right) / len(belong) if belong else 1)
    assert pairs(list(belong), list(joined)) == score


@given(clusterings())
def test_bcubed_averages_over_records(both: Clusterings) -> None:
    """B-cubed is the average over records of what each one's cluster and person have in common."""
    truth, found = both
    precisions, recalls = [], []
    for record in truth:
        cluster = {other for other in found if found[other] == found[record]}
        person = {other for other in truth if truth[other] == truth[record]}
        precisions.append(len(cluster & person) / len(cluster))
        recalls.append(len(cluster & person) / len(person))
    score = measure(truth, found).bcubed
    assert score.precision == pytest.approx(sum(precisions) / len(truth))
    assert score.recall == pytest.approx(sum(recalls) / len(truth))


@given(clusterings())
def test_people_and_clusters_are_held_against_each_other(both: Clusterings) -> None:
    """Unified, exact and over-merged are what one gets by looking at each person and each cluster."""
    truth, found = both
    people, clusters = list(_groups(truth)), list(_groups(found))
    several = [person for person in people if len(person) > 1]
    unified = [person for person in several if any(person <= cluster for cluster in clusters)]
    impure = [cluster for cluster in clusters if not any(cluster <= person for person in people)]
    measured = measure(truth, found)
    assert measured.unified == (len(unified) / len(several) if several else 1)
    assert measured.exact == len(set(people) & set(clusters)) / len(people)
    assert measured.over_merged == len(impure) / len(clusters)
    assert measured.over_merged_mass == pytest.approx(sum(map(len, impure)) / len(truth))


@given(clusterings())
def test_the_truth_itself_is_perfect(both: Clusterings) -> None:
    """Held against itself, a clustering has every share but those of mistakes; f1 is 1."""
    truth, _ = both
    measured = measure(truth, truth)
    assert measured.pairwise.f1 == measured.bcubed.f1 == measured.unified == measured.exact == 1
    assert measured.over_merged == measured.over_merged_mass == 0


def test_shuffled_truth_fails_visibly() -> None:
    """The negative control: the same clusters under other people's names have next to no precision."""
    truth = {record: record // 3 for record in range(3_000)}
    shuffled = {record: truth[record * 1_009 % 3_000] for record in truth}
    measured = measure(truth, shuffled)
    assert measured.pairwise.precision < 0.01
    assert measured.unified < 0.01


def test_weights_are_of_clusters() -> None:
    """Mass is what the clusters weigh, those without records too, not how many records are in them."""
    measured = measure({"a": 1, "b": 2, "c": 3}, {"a": 10, "b": 10, "c": 11}, {10: 5, 11: 10, 12: 5})
    assert measured.over_merged_mass == 5 / 20
