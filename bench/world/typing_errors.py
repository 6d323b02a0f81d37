"""What becomes of names, dates and addresses when people type them."""

from collections.abc import Callable
from random import Random
from typing import Any

from bench.world.parameters import Errors

Details = dict[str, Any]
"""The Segment spec's reserved traits: firstName, lastName, birthday, phone, email, address."""

_NEIGHBOURS = {
    letter: row[max(0, n - 1) : n] + row[n + 1 : n + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890")
    for n, letter in enumerate(row)
}
NICKNAMES = {
    "james": "jim", "robert": "bob", "john": "jack", "michael": "mike", "david": "dave", "william": "bill",
    "richard": "rick", "joseph": "joe", "thomas": "tom", "christopher": "chris", "charles": "charlie", "daniel": "dan",
    "matthew": "matt", "anthony": "tony", "steven": "steve", "kenneth": "ken", "joshua": "josh", "edward": "ed",
    "timothy": "tim", "ronald": "ron", "gregory": "greg", "benjamin": "ben", "samuel": "sam", "patrick": "pat",
    "alexander": "alex", "nicholas": "nick", "jonathan": "jon", "zachary": "zach", "andrew": "andy", "stephen": "steve",
    "patricia": "trish", "jennifer": "jen", "elizabeth": "liz", "susan": "sue", "jessica": "jess", "margaret": "maggie",
    "kimberly": "kim", "deborah": "debbie", "rebecca": "becky", "kathleen": "kathy", "christine": "chris",
    "samantha": "sam", "katherine": "kate", "catherine": "cathy", "victoria": "vicky", "jacqueline": "jackie",
    "abigail": "abby", "pamela": "pam", "amanda": "mandy", "barbara": "barb", "theresa": "terry", "judith": "judy",
}  # fmt: skip
"""What people call themselves; a list of its own, so that no matcher is measured by the list that it uses."""


def typed(details: Details, errors: Errors, rate: float, chance: Random) -> Details:
    """The details as somebody typed them who makes `rate` times the usual errors."""
    found = dict(details)
    if "firstName" in found:
        _type_given(found, errors, rate, chance)
    for field, among in (("lastName", _is_letter), ("phone", _is_digit), ("email", _is_letter)):
        if field in found and chance.random() < errors.typo * rate:
            found[field] = slip(found[field], chance, among)
    if "birthday" in found and chance.random() < errors.date * rate:
        found["birthday"] = misdate(found["birthday"], chance)
    if "address" in found:
        found["address"] = _type_address(found["address"], errors, rate, chance)
    if "lastName" in found and "firstName" in found and chance.random() < errors.swapped_names * rate:
        found["firstName"], found["lastName"] = found["lastName"], found["firstName"]
    for field in ("birthday", "phone", "address"):
        if field in found and chance.random() < errors.missing * rate:
            del found[field]
    return found


def slip(text: str, chance: Random, among: Callable[[str], bool] = str.isalpha) -> str:
    """One wrong, doubled, missing or transposed character, of those that are `among` what can go wrong."""
    places = [n for n, letter in enumerate(text) if among(letter)]
    if len(places) < 2:
        return text
    at = chance.choice(places[1:] if len(places) > 2 else places)
    kind = chance.randrange(4)
    if kind == 0:
        wrong = chance.choice(_NEIGHBOURS.get(text[at].lower(), text[at]) or text[at])
        return text[:at] + wrong + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at] + text[at:]
    if kind == 2:
        return text[:at] + text[at + 1 :]
    return text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :] if at else text


def misdate(day: str, chance: Random) -> str:
    """A wrong YYYY-MM-DD: day and month swapped, a wrong digit of the day or the year, or the first of the year."""
    year, month, number = day.split("-")
    kind = chance.randrange(4)
    if kind == 0 and int(number) <= 12:
        return f"{year}-{number}-{month}"
    if kind <= 1:
        return f"{year}-{month}-{1 + (int(number) + chance.randrange(1, 9)) % 28:02}"
    if kind == 2:
        return f"{int(year) + chance.choice((-10, -1, 1, 10))}-{month}-{number}"
    return f"{year}-01-01"


def _type_given(found: Details, errors: Errors, rate: float, chance: Random) -> None:
    given = found["firstName"]
    called = NICKNAMES.get(given.lower())
    if called is not None and chance.random() < errors.nickname * rate:
        found["firstName"] = called.capitalize()
    elif chance.random() < errors.initial * rate:
        found["firstName"] = given[0]
    elif chance.random() < errors.typo * rate:
        found["firstName"] = slip(given, chance)


def _type_address(address: Details, errors: Errors, rate: float, chance: Random) -> Details:
    found = dict(address)
    if chance.random() < errors.typo * rate:
        found["street"] = slip(found["street"], chance, str.isalnum)
    if chance.random() < 4 * errors.typo * rate:  # abbreviated oftener than wrong
        found["street"] = found["street"].replace(" Street", " St").replace(" Avenue", " Ave").replace(" Road", " Rd")
    if chance.random() < errors.typo * rate:
        found["postalCode"] = slip(found["postalCode"], chance, _is_digit)
    if chance.random() < errors.typo * rate:
        found["city"] = slip(found["city"], chance)
    return found


def _is_letter(letter: str) -> bool:
    return letter.isalpha()


def _is_digit(letter: str) -> bool:
    return letter.isdigit()
