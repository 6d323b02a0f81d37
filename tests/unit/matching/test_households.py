"""Households: who lives together is found, whoever is one person or two, and nobody is put with strangers."""

from random import Random

from onefold.matching.households import HOUSEHOLD_MAX, households
from onefold.matching.index import Index
from onefold.matching.learning import PRIOR, learn
from onefold.matching.measures import measure
from onefold.matching.record import Record
from onefold.matching.weights import Scorer
from tests.unit.matching.test_learning import town


def indexed(records: list[Record], order: list[int]) -> Index:
    """These records, put in this order."""
    index = Index()
    for n in order:
        index.put(n, records[n])
    return index


def test_couples_are_households() -> None:
    """Couples and second records of one of them are together, and couples stay apart; in whatever order they came."""
    records, people = town(400)
    scorer, order = Scorer(learn(records)), list(range(len(records)))
    found = households(indexed(records, order), scorer)
    measured = measure({n: person // 2 for n, person in enumerate(people)}, found)
    assert measured.pairwise.precision > 0.99
    assert measured.pairwise.recall > 0.8
    Random(1).shuffle(order)
    assert households(indexed(records, order), scorer) == found


def test_a_household_has_an_end() -> None:
    """Very many of one name and address are no household."""
    records = [Record(f"x{n}", "lind", f"19{n + 10}0101", "1 long street", "town", "12345") for n in range(60)]
    found = households(indexed(records, list(range(60))), Scorer(PRIOR))
    sizes = [list(found.values()).count(home) for home in set(found.values())]
    assert max(sizes) <= HOUSEHOLD_MAX
