"""What the levels of each comparison mean, and that comparing has no sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.matching.blocking import keys, sound
from onefold.matching.comparing import COMPARISONS, agree, compare, differ, is_anothers
from onefold.matching.record import Known, Record, known_by

ANN = Record(
    "elizabeth", "lindgren", "19800203", "5 long street", "springfield", "12345",
    ("+12125550100",), ("liz.lindgren@mail.example",), ("123456789",),
)  # fmt: skip


def levels(other: Record, one: Record = ANN) -> dict[str, str]:
    """The names of the levels that two records come to, without what is unknown."""
    found = zip(COMPARISONS, compare(one, other), strict=True)
    return {each.name: each.levels[level] for each, level in found if level}


def test_a_record_is_the_same_as_itself() -> None:
    """Everything that is known is the same."""
    assert set(levels(ANN).values()) == {"same"}
    assert levels(ANN).keys() == {each.name for each in COMPARISONS} - {"handle"}


def test_what_is_unknown_says_nothing() -> None:
    """An empty record has no level but 0 in anything."""
    assert levels(Record()) == {}
    assert levels(Record(given="elizabeth")) == {"given": "same"}


@pytest.mark.parametrize(
    ("changed", "comparison", "level"),
    [
        (Record("liz", "lindgren"), "given", "nickname"),
        (Record("elisabeth", "lindgren"), "given", "close"),
        (Record("elizabeth anne", "lindgren"), "given", "close"),
        (Record("e", "lindgren"), "given", "initial"),
        (Record("robert", "lindgren"), "given", "differs"),
        (Record("lindgren", "elizabeth"), "given", "swapped"),
        (Record("lindgren", "elizabet"), "given", "swapped"),
        (Record("elizabeth", "lindgern"), "family", "close"),
        (Record("elizabeth", "lindgren smith"), "family", "close"),
        (Record("elizabeth", "smith lindgren"), "family", "part"),
        (Record("elizabeth", "underwood"), "family", "differs"),
        (Record(born="19800208"), "born", "one digit"),
        (Record(born="19800302"), "born", "day and month swapped"),
        (Record(born="19800217"), "born", "two parts"),
        (Record(born="19910911"), "born", "differs"),
        (Record(street="5 long st", place="springfield"), "address", "close"),
        (Record(street="5 long street", postcode="99999", place="elsewhere"), "address", "street"),
        (Record(street="71 oak avenue", postcode="12345"), "address", "area"),
        (Record(street="71 oak avenue", postcode="99999"), "address", "differs"),
        (Record(phones=("+12125550110",)), "phone", "close"),
        (Record(phones=("+13335557777", "+12125550100")), "phone", "same"),
        (Record(emails=("liz.lindgren@mial.example",)), "email", "close"),
        (Record(emails=("liz.lindgren@home.example",)), "email", "name"),
        (Record(emails=("liz.lindgren@mail.exampel",)), "email", "close"),
        (Record(emails=("liz.lindgrem@mail.example",)), "email", "close"),
        (Record(emails=("lizz.lindgrem@mail.example",)), "email", "similar"),
        (Record(emails=("bob@home.example",)), "email", "differs"),
        (Record(emails=("elizabeth.lindgren@home.example",)), "handle", "whole name"),
        (Record(emails=("lindgren.elizabeth80@home.example",)), "handle", "whole name"),
        (Record(emails=("elindgren@home.example",)), "handle", "part"),
        (Record(emails=("bob@home.example",)), "handle", "differs"),
        (Record(numbers=("123456798",)), "number", "close"),
        (Record(numbers=("987654321",)), "number", "differs"),
    ],
)
def test_levels(changed: Record, comparison: str, level: str) -> None:
    """Each kind of difference has its level."""
    assert levels(changed)[comparison] == level


_words = st.text(st.sampled_from("abe lo1"), max_size=8).map(lambda text: " ".join(text.split()))
_records = st.builds(
    Record, given=_words, family=_words, born=st.text(st.sampled_from("0129"), max_size=8), street=_words, place=_words,
    postcode=_words, phones=st.tuples(_words), emails=st.lists(_words.map("{}@x.y".format), max_size=2).map(tuple),
)  # fmt: skip


@given(_records, _records)
def test_comparing_has_no_sides(a: Record, b: Record) -> None:
    """Whatever is in them, two records come to the same levels either way, and nothing raises."""
    assert compare(a, b) == compare(b, a)


@given(_records)
def test_keys_are_each_once(record: Record) -> None:
    """A record's keys are distinct and always the same."""
    found = keys(record)
    assert len(set(found)) == len(found)
    assert found == keys(record)


@pytest.mark.parametrize(
    ("name", "code"),
    [("robert", "r163"), ("rupert", "r163"), ("ashcraft", "a261"), ("tymczak", "t522"), ("pfister", "p236"), ("", "")],
)
def test_sound_is_soundex(name: str, code: str) -> None:
    """The examples that the algorithm is known by, without padding and in lower case."""
    assert sound(name) == code


def test_a_slip_leaves_a_key_in_common() -> None:
    """Whatever one field is wrong, another finds the record."""
    for wrong in (
        Record("elzabeth", "lindgren", "19800203"),
        Record("lindgren", "elizabeth", "19800230", street="5 long street", postcode="12345"),
        Record("liz", "lindgren", "", street="5 long st", postcode="12345"),
        Record(emails=("liz.lindgren@other.example",)),
    ):
        assert set(keys(wrong)) & set(keys(ANN)), wrong


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (("ann", "lind", ""), ("bob", "lind", ""), (True, False)),
        (("ann", "lind", "19800203"), ("bob", "lind", "19800203"), (False, False)),
        (("robert", "lind", ""), ("bob", "lind", ""), (False, False)),
        (("lind", "ann", ""), ("ann", "lind", ""), (False, False)),
        (("a", "lind", ""), ("ann", "lind", ""), (False, False)),
        (("", "lind", ""), ("ann", "olsen", ""), (False, False)),
        (("ann", "lind", "19800203"), ("ann", "olsen", "20051122"), (False, True)),
        (("ann", "lind", "19800203"), ("ann", "lind", "19800101"), (False, False)),
        (("ann", "lind", "19800203"), ("ann", "lind", "19800302"), (False, False)),
    ],
)
def test_two_are_told_apart_by_what_is_surely_another(
    one: tuple[str, str, str], other: tuple[str, str, str], apart: tuple[bool, bool]
) -> None:
    """Another given name or birthday tells two apart; a nickname, a slip or what is not known does not."""
    assert differ(Known(*one), Known(*other)) == differ(Known(*other), Known(*one)) == apart


def test_what_traits_say_of_a_name_is_read_in_the_usual_spellings() -> None:
    """`first_name`, `name` and `date_of_birth` are what `firstName` and `birthday` are."""
    assert known_by({"first_name": "Ann", "last-name": "Lind", "dob": "1980-02-03"}) == ("ann", "lind", "19800203")
    assert known_by({"name": "Ann Lind", "plan": "pro"}) == ("ann", "lind", "")
    assert known_by({"plan": "pro"}) == ("", "", "")


def test_an_email_made_of_the_name_says_no_more_than_the_name() -> None:
    """Two of one name have the same letters before the @ at two providers, whoever they are."""
    one = Record("heather", "young", emails=("hyoung@icloud.example",))
    assert "email" not in levels(Record("heather", "young", emails=("hyoung@mail.example",)), one)
    assert levels(Record("heather", "young", emails=("snoopy7@mail.example",)), one)["email"] == "differs"


@pytest.mark.parametrize(
    ("email", "first", "family", "anothers"),
    [
        ("cynthia.goodman@acme.com", "daniel", "goodman", True),
        ("goodmancynthia@acme.com", "daniel", "goodman", True),
        ("ashley78@acme.com", "joshua", "schroeder", True),
        ("daniel.goodman@acme.com", "daniel", "goodman", False),
        ("dan.goodman@acme.com", "daniel", "goodman", False),
        ("dgoodman@acme.com", "daniel", "goodman", False),
        ("goodman@acme.com", "daniel", "goodman", False),
        ("info@acme.com", "daniel", "goodman", False),
        ("cynthia.goodman@acme.com", "", "goodman", False),
        ("cynthia.goodman@acme.com", "c", "goodman", False),
        ("anna.lind@acme.com", "anna maria", "lind", False),
        ("cynthia.smith@acme.com", "cynthia", "goodman", False),
    ],
)
def test_an_address_may_say_another_name(email: str, first: str, family: str, anothers: bool) -> None:  # noqa: FBT001
    """A given name from the list that is neither the person's, nor short for it, nor their family's."""
    assert is_anothers(email, Known(first, family, "")) is anothers


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        (Known("ann", "", ""), Known("annie", "", ""), True),
        (Known("ann", "", ""), Known("a", "", ""), False),
        (Known("", "", "19800203"), Known("bob", "", "19800203"), True),
        (Known("ann", "lind", ""), Known("", "lind", ""), False),
        (Known("", "", ""), Known("", "", ""), False),
    ],
)
def test_two_agree_by_what_is_known_of_both(one: Known, other: Known, shown: bool) -> None:  # noqa: FBT001
    """What is not known shows nobody, nor does an initial or a family name."""
    assert agree(one, other) is agree(other, one) is shown
