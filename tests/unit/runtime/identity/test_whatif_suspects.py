"""What makes a profile look like several people, and what does not."""

import pytest

from onefold.limits import SUSPECT_CONTACTS, SUSPECT_DEVICES
from onefold.matching.record import Record
from onefold.runtime.identity.suspects import (
    MANY_CONTACTS,
    MANY_DEVICES,
    MEANING,
    TWO_BIRTHDAYS,
    TWO_NAMES,
    TWO_OF_ONE,
    OverMerge,
    Words,
    why,
)

UNIQUE = frozenset({"user_id"})
ANN = Record(given="ann", born="19800102")


@pytest.mark.parametrize(
    ("identifiers", "records", "expected"),
    [
        (["user_id:1", "email:a@b.c", "email:d@e.f"], {ANN}, []),
        (["user_id:1", "user_id:2"], set(), [TWO_OF_ONE]),
        ([], {ANN, Record(given="bob", born="19911130")}, [TWO_BIRTHDAYS, TWO_NAMES]),
        ([], {ANN, Record(given="anne", born="19800103")}, []),
        ([], {ANN, Record(born="19800102"), Record(given="ann")}, []),
        ([f"anonymous_id:{n}" for n in range(SUSPECT_DEVICES + 1)], set(), [MANY_DEVICES]),
        ([f"anonymous_id:{n}" for n in range(SUSPECT_DEVICES)], set(), []),
        ([f"email:{n}@b.c" for n in range(SUSPECT_CONTACTS + 1)], set(), [MANY_CONTACTS]),
    ],
)
def test_only_what_nobody_is_two_of_counts(identifiers: list[str], records: set[Record], expected: list[str]) -> None:
    """Two values of a unique type, two birthdays or given names past a slip, and very many devices or contacts."""
    assert why(identifiers, UNIQUE, records) == expected
    assert set(expected) <= MEANING.keys()


def test_profiles_their_events_and_reasons_are_counted() -> None:
    """One may be suspect for several reasons, and counts once; who is not counts nowhere."""
    found = OverMerge()
    found.look(["user_id:1", "user_id:2"], UNIQUE, {ANN, Record(given="bob")}, 7)
    found.look(["user_id:1"], UNIQUE, {ANN}, 5)
    assert (found.people, found.events, found.reasons) == (1, 7, {TWO_OF_ONE: 1, TWO_NAMES: 1})


def test_what_was_said_is_gathered_by_who_was_and_by_who_would_be() -> None:
    """Words come by pairs of profiles, and are put together by either side; who has become another is found by that."""
    words = Words()
    words.hear((1, 10), {"firstName": "Ann", "birthday": "1980-01-02"})
    words.hear((2, 10), {"first_name": "Bob"})
    words.hear((2, 11), {"plan": "pro"})
    assert words.by(1, {}) == {10: {ANN, Record(given="bob")}}
    assert words.by(0, {2: 1}) == {1: {ANN, Record(given="bob")}}
