"""How alike two records are, as one level for each comparison.

Each comparison is a short ladder of levels, the best first; level 0 is "not known", which says nothing. What a level
is worth is learnt (`weights`); here is only what it means. A pattern is the levels of all comparisons, and pairs of the
same pattern are the same to everything behind this module.

Similarity of names is Jaro-Winkler's, of numbers and addresses of mail the optimal string alignment distance (a
changed, missing, additional or transposed character costs 1), both computed by rapidfuzz.
"""

from typing import NamedTuple

from rapidfuzz.distance import OSA, JaroWinkler

from onefold.matching.nicknames import are_nicknames, is_given_name
from onefold.matching.record import Known, Record

Pattern = tuple[int, ...]


class Comparison(NamedTuple):
    """One comparison, by name, with the names of its levels; the first is the 0."""

    name: str
    levels: tuple[str, ...]


COMPARISONS = (
    Comparison("given", ("unknown", "same", "nickname", "close", "initial", "swapped", "differs")),
    Comparison("family", ("unknown", "same", "close", "part", "differs")),
    Comparison("born", ("unknown", "same", "one digit", "day and month swapped", "two parts", "differs")),
    Comparison("address", ("unknown", "same", "close", "street", "area", "differs")),
    Comparison("phone", ("unknown", "same", "close", "differs")),
    Comparison("email", ("unknown", "same", "close", "similar", "name", "differs")),
    Comparison("handle", ("unknown", "whole name", "part", "differs")),
    Comparison("number", ("unknown", "same", "close", "differs")),
)
"""In the order of a pattern."""

_CLOSE = 0.88
_SWAPPED = 0.92
LOCAL_MIN_CHARS = 5
"""Shorter names before the @ are had by many."""
_LONG_CHARS = 9
"""One wrong character in so long a name before the @ is a slip, in a shorter one it may be another person's."""
_PART_MIN_CHARS = 3
"""A name of fewer letters is in an e-mail by chance."""
_NAME_MIN_CHARS = 4
"""Shorter names are found in many words."""


def compare(a: Record, b: Record) -> Pattern:
    """The levels of two records. Symmetric; some 5 to 15 microseconds."""
    given, family = _names(a, b)
    email = _email(a, b)
    return (
        given,
        family,
        _born(a.born, b.born),
        _address(a, b),
        _contact(a.phones, b.phones),
        email,
        0 if email in (1, 2) else _handle(a, b),  # or else it would count twice
        _contact(a.numbers, b.numbers),
    )


def differ(a: Known | Record, b: Known | Record) -> tuple[bool, bool]:
    """Whether two are surely not called alike, and surely not born on one day.

    Who is born on the same day may be called by a name that no list knows; a day or a month alone is often wrong, and
    the first of January stands for one that nobody knows. What is not known of one of them tells nobody apart.
    """
    given = _given(a.given, b.given) == len(COMPARISONS[0].levels) - 1
    swapped = given and _are_swapped(Record(a.given, a.family), Record(b.given, b.family))
    born = bool(a.born and b.born) and _born(a.born, b.born) == len(COMPARISONS[2].levels) - 1
    born = born and a.born[:4] != b.born[:4]
    return given and not swapped and not (a.born and a.born == b.born), born


def agree(a: Known, b: Known) -> bool:
    """Whether two are shown to be one: called alike by more than an initial, or born on one day.

    That nothing tells them apart (`differ`) is not enough: what is not known shows nobody.
    """
    return bool(a.born and a.born == b.born) or _given(a.given, b.given) in _CALLED_ALIKE


_CALLED_ALIKE = (1, 2, 3)
"""Levels of the given name: same, nickname, close."""


def may_be_namesakes(a: Record, b: Record) -> bool:
    """Whether two have other phones and other addresses of mail, and no birthday says that they are one.

    However alike their names and where they live: so are a father and a son.
    """
    return not (a.born and b.born) and _contact(a.phones, b.phones) == _OTHER_CONTACT and _email(a, b) == _OTHER


def is_anothers(email: str, person: Known) -> bool:
    """Whether an address of mail is made of a given name that is not the person's: cynthia.goodman@ of Daniel Goodman.

    Where the person's whole name is known, and the other one is in the list of given names.
    """
    family = person.family.replace(" ", "")
    if not person.given or not family:
        return False
    name = handle(email)
    rest = name.removeprefix(family) if name.startswith(family) else name.removesuffix(family)
    if len(rest) < _PART_MIN_CHARS or rest in family or not is_given_name(rest):
        return False
    given = person.given.replace(" ", "")
    return rest not in given and given not in rest and _given(person.given, rest) == len(COMPARISONS[0].levels) - 1


def similar(a: str, b: str, least: float = _CLOSE) -> bool:
    """Whether two texts are nearly one."""
    return a == b or bool(JaroWinkler.similarity(a, b, score_cutoff=least) >= least)


def _names(a: Record, b: Record) -> tuple[int, int]:
    given, family = _given(a.given, b.given), _family(a.family, b.family)
    if given in (0, 6) and family in (0, 4) and _are_swapped(a, b):
        return 5, 0
    return given, family


def _are_swapped(a: Record, b: Record) -> bool:
    one = bool(a.given and b.family) and similar(a.given, b.family, _SWAPPED)
    other = bool(a.family and b.given) and similar(a.family, b.given, _SWAPPED)
    return (one and other) or (one and not (a.family and b.given)) or (other and not (a.given and b.family))


def _given(a: str, b: str) -> int:
    if not a or not b:
        return 0
    if a == b:
        return 1
    if len(a) == 1 or len(b) == 1:
        return 4 if a[0] == b[0] else 6
    if are_nicknames(a, b):
        return 2
    return 3 if similar(a, b) or _is_part(a, b) else 6


def _family(a: str, b: str) -> int:
    if not a or not b:
        return 0
    if a == b:
        return 1
    if similar(a, b):
        return 2
    return 3 if _is_part(a, b) else 4


def _is_part(a: str, b: str) -> bool:
    """One of two names is a word of the other: Anna and Anna Maria, Lind and Lind Berg."""
    return (" " in a or " " in b) and not set(a.split()).isdisjoint(b.split())


def _born(a: str, b: str) -> int:
    if not a or not b:
        return 0
    if a == b:
        return 1
    if _distance(a, b, 1) <= 1:
        return 2
    if a[:4] == b[:4] and a[4:6] == b[6:] and a[6:] == b[4:6]:
        return 3
    return 4 if (a[:4] == b[:4]) + (a[4:6] == b[4:6]) + (a[6:] == b[6:]) == 2 else 5


def _address(a: Record, b: Record) -> int:
    streets = bool(a.street and b.street)
    postcodes, places = bool(a.postcode and b.postcode), bool(a.place and b.place)
    if not streets and not postcodes and not places:
        return 0
    area = (postcodes and a.postcode == b.postcode) or (places and a.place == b.place)
    if streets and a.street == b.street:
        return 1 if area else 3
    if streets and similar(a.street, b.street):
        near = (
            area or (places and similar(a.place, b.place)) or (postcodes and _distance(a.postcode, b.postcode, 1) < 2)
        )
        return 2 if near else 3
    return 4 if area else 5


def _contact(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    if not a or not b:
        return 0
    if not set(a).isdisjoint(b):
        return 1
    return 2 if any(_distance(x, y, 1) <= 1 for x in a for y in b) else _OTHER_CONTACT


_OTHER_CONTACT = 3
"""The level of phones, or numbers, that have nothing in common."""


def _email(a: Record, b: Record) -> int:
    if not a.emails or not b.emails:
        return 0
    if not set(a.emails).isdisjoint(b.emails):
        return 1
    level = min(_emails(x, y, a, b) for x in a.emails for y in b.emails)
    return 0 if level > _OTHER else level


_OTHER = 5
"""The level of two addresses that have nothing in common."""
_NO_MORE_THAN_NAMES = 6
"""No level: what two addresses have in common is what both people are called, which is compared by itself."""


def _emails(x: str, y: str, a: Record, b: Record) -> int:
    """The level of two different addresses, one of each."""
    local, _, domain = x.partition("@")
    other, _, its = y.partition("@")
    if local == other and len(local) >= LOCAL_MIN_CHARS and _distance(domain, its, 2) <= 2:
        return 2
    level = _OTHER
    if local == other and len(local) >= LOCAL_MIN_CHARS:
        level = 4
    elif (distance := _distance(x, y, 2)) <= 2:
        level = 2 if distance == 1 and min(len(local), len(other)) >= _LONG_CHARS else 3
    if level != _OTHER and _is_made_of(x, a, b) and _is_made_of(y, b, a):
        return _NO_MORE_THAN_NAMES
    return level


def _is_made_of(email: str, its: Record, other: Record) -> bool:
    """Whether the letters before the @ are a name as people make addresses of it.

    That of whose the address is, or where theirs is not known the other's.
    """
    named = its if its.given or its.family else other
    given, family = named.given.replace(" ", ""), named.family.replace(" ", "")
    ways = (given + family, family + given, given[:1] + family, family + given[:1], given + family[:1], given, family)
    return handle(email) in {way for way in ways if len(way) >= _PART_MIN_CHARS}


def _handle(a: Record, b: Record) -> int:
    """How much the name of one is in the e-mail of the other, of whom no name is known."""
    if a.emails and not a.family and not a.given and b.family:
        return min(_named(email, b) for email in a.emails)
    if b.emails and not b.family and not b.given and a.family:
        return min(_named(email, a) for email in b.emails)
    return 0


def _named(email: str, record: Record) -> int:
    name = handle(email)
    given, family = record.given.replace(" ", ""), record.family.replace(" ", "")
    if given and name in (given + family, family + given):
        return 1
    return 2 if any(len(part) >= _NAME_MIN_CHARS and part in name for part in (given, family)) else 3


def handle(email: str) -> str:
    """The letters before the @."""
    return "".join(letter for letter in email.partition("@")[0] if letter.isalpha())


def _distance(a: str, b: str, most: int) -> int:
    return int(OSA.distance(a, b, score_cutoff=most))
