"""What is compared of a person: names, birthday, address, phones, e-mails, each in one spelling."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct, structs

from onefold.model.profile import Profile

TEXT_MAX_CHARS = 200
"""Longer values are cut before they are compared: no name or street is longer, and comparing costs their product."""
CONTACTS_MAX = 10
"""Phones, and e-mails, that are compared of one person; a profile with more is no one person's."""


class Record(Struct, frozen=True, gc=False):
    """One record of a person. An empty text or tuple: not known, which speaks neither for nor against anything."""

    given: str = ""
    family: str = ""
    born: str = ""
    """YYYYMMDD."""
    street: str = ""
    """With the number of the house."""
    place: str = ""
    postcode: str = ""
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    """Numbers that a person has one of, such as a social security number."""
    accounts: tuple[str, ...] = ()
    """Identifiers of which a person has one by the rules: two records with different ones are never linked unasked."""

    def tells(self) -> bool:
        """Whether there is anything to compare by: a name with something else, or a contact."""
        about = bool(self.born or self.street or self.postcode)
        return bool(self.phones or self.emails or self.numbers or ((self.given or self.family) and about))


class Known(NamedTuple):
    """What tells two people apart who share a phone, an address of mail, or a browser. Empty: not known."""

    given: str
    family: str
    born: str


NOTHING_KNOWN = Known("", "", "")


def known_by(traits: Mapping[str, Any]) -> Known:
    """What traits (name → value) say of who somebody is."""
    said = {plain: value for name, value in traits.items() if (plain := _plain(name)) in _TELLING}
    return Known(*_names(said), _first(said, _BORN, date)) if said else NOTHING_KNOWN


def tells_apart(name: str) -> bool:
    """Whether a trait of this name says who somebody is."""
    return _plain(name) in _TELLING


def of_profile(profile: Profile) -> Record:
    """The record of a profile: its traits (`of_traits`), and the e-mails and phones that came with its events."""
    return structs.replace(
        of_traits({name: declared.value for name, declared in profile.declared.items()}),
        phones=_contacts(profile, "phone:"),
        emails=_contacts(profile, "email:"),
        accounts=tuple(sorted(one for one in profile.identifiers if one.startswith("user_id:"))),
    )


def of_traits(traits: Mapping[str, Any]) -> Record:
    """The record of what was said of a person: the Segment spec's reserved traits.

    Also read are the usual other spellings (`first_name`, `birth_date`, `postal_code`, …), and addresses that are
    not nested.
    """
    said = {_plain(name): value for name, value in traits.items()}
    nested = said.get("address")
    address = {_plain(k): v for k, v in nested.items()} if isinstance(nested, dict) else said
    given, family = _names(said)
    return Record(
        given=given,
        family=family,
        born=_first(said, _BORN, date),
        street=_first(address, _STREET, fold),
        place=_first(address, _PLACE, fold),
        postcode=_first(address, _POSTCODE, fold).replace(" ", ""),
    )


_GIVEN = ("firstname", "givenname", "forename")
_FAMILY = ("lastname", "familyname", "surname")
_BORN = ("birthday", "birthdate", "dateofbirth", "dob")
_TELLING = frozenset((*_GIVEN, *_FAMILY, *_BORN, "name"))
_STREET = ("street", "streetaddress", "line1", "address1")
_PLACE = ("city", "town", "suburb", "locality")
_POSTCODE = ("postalcode", "postcode", "zip", "zipcode")


def fold(value: Any) -> str:
    """Text in one spelling: lower case, without accents and marks, words parted by one space."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    text = str(value)[:TEXT_MAX_CHARS]
    if not text.isascii():
        text = text.casefold().translate(_LETTERS)
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(_MARKS.sub(" ", text.lower().replace("'", "")).split())


_LETTERS = str.maketrans(
    {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i", "\u2019": ""}
)
_MARKS = re.compile(r"[^\w]|_")


def date(value: Any) -> str:
    """A day as YYYYMMDD; empty where the value is none.

    Read are ISO dates and instants, eight digits, and `D.M.Y`; `A/B/Y` is month first unless that cannot be (who
    meant the other is found by the comparison, which knows days and months that changed places).
    """
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if found := _ISO.match(text):
        year, month, day = found.groups()
    elif found := _WRITTEN.match(text):
        first, mark, second, year = found.groups()
        month, day = (second, first) if mark == "." or int(first) > 12 else (first, second)
    else:
        return ""
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return ""
    return f"{year}{int(month):02}{int(day):02}"


_ISO = re.compile(r"([12][0-9]{3})-?([0-9]{2})-?([0-9]{2})(?![0-9])")
_WRITTEN = re.compile(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([12][0-9]{3})\Z")


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(" ", "").lower()


def _names(said: dict[str, Any]) -> tuple[str, str]:
    given, family = _first(said, _GIVEN, fold), _first(said, _FAMILY, fold)
    if not given and not family:
        whole = fold(said.get("name"))
        given, _, family = whole.rpartition(" ")
    return given, family


def _first(said: dict[str, Any], names: tuple[str, ...], read: Any) -> str:
    return next((text for name in names if name in said and (text := read(said[name]))), "")


def _contacts(profile: Profile, prefix: str) -> tuple[str, ...]:
    """Also those that came with the person's events and lead to somebody else, such as the landline of both."""
    seen = () if profile.notes is None else profile.notes.seen
    found = {one.removeprefix(prefix) for one in (*profile.identifiers, *seen) if one.startswith(prefix)}
    return tuple(sorted(found)[:CONTACTS_MAX])
