"""What is read of a profile to compare it by, and in which spelling."""

import pytest

from onefold.matching.record import Record, date, fold, of_profile
from onefold.model.profile import Declared, Profile


def profile(*identifiers: str, **traits: object) -> Profile:
    """A profile that has been told these traits."""
    found = Profile(1, 0, 0, 0, 0)
    found.identifiers = dict.fromkeys(identifiers, 0)
    found.declared = {name: Declared(value, 0, b"") for name, value in traits.items()}
    return found


def test_reserved_traits_become_a_record() -> None:
    """The Segment spec's reserved traits and the identifiers are read, each in one spelling."""
    address = {"street": "5 Rue de l'Été", "city": "Zürich", "postalCode": "8001 "}
    found = of_profile(
        profile("email:a@b.example", "phone:+41440000000", "user_id:7", "anonymous_id:x",
                firstName="José", lastName="O'Neill", birthday="1980-02-03T00:00:00Z", address=address)
    )  # fmt: skip
    assert found == Record(
        "jose", "oneill", "19800203", "5 rue de lete", "zurich", "8001",
        phones=("+41440000000",), emails=("a@b.example",), accounts=("user_id:7",),
    )  # fmt: skip


def test_other_spellings_of_traits_are_read() -> None:
    """Snake case, flat addresses and a whole name do as well."""
    found = of_profile(profile(name="Ann Marie Lind", date_of_birth="19800203", postal_code=12345, street="1 Oak St"))
    assert (found.given, found.family, found.born) == ("ann marie", "lind", "19800203")
    assert (found.street, found.postcode) == ("1 oak st", "12345")


@pytest.mark.parametrize("value", [None, True, 3.5, [], {"a": 1}, "", "   ", "?!"])
def test_what_is_no_text_is_not_known(value: object) -> None:
    """Anything may be in a trait; what cannot be read is not known, and nothing raises."""
    found = of_profile(profile(firstName=value, lastName=value, birthday=value, address=value, city=value))
    assert found == Record()
    assert not found.tells()


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1980-02-03", "19800203"), ("3.2.1980", "19800203"), ("2/3/1980", "19800203"), ("23/2/1980", "19800223"),
        ("1980-13-03", ""), ("19800203", "19800203"), ("198002031", ""), ("soon", ""), (19800203, "19800203"),
    ],
)  # fmt: skip
def test_dates_have_one_spelling(text: object, day: str) -> None:
    """ISO, eight digits, and what people write; anything else is not known."""
    assert date(text) == day


def test_folding_is_idempotent_and_bounded() -> None:
    """A folded text stays as it is, and is never longer than may be compared."""
    for text in ("Müller-Lüdenscheidt", "ÆØÅ þorn", "O\u2019Brien", "a" * 10_000, "李 小龙"):
        assert fold(fold(text)) == fold(text)
        assert 0 < len(fold(text)) <= 400
