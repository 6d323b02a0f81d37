"""Which records are compared at all: those that share a key.

Comparing each with each would be the square of them. A key is something that two records of one person very likely
have in common, however badly one of them was typed, so each record has several, of different parts of what is known:
who is mistyped in one is found by another. A key that very many share (a birthday in a table of defaults, the phone
of the shop) finds nobody any more; that is counted (`index`), and the other keys remain.
"""

from collections.abc import Iterator

from onefold.matching.comparing import LOCAL_MIN_CHARS, handle
from onefold.matching.record import Record


def keys(record: Record) -> list[str]:
    """The record's keys, each once; the letter says of what."""
    return list(dict.fromkeys(_keys(record)))


def _keys(record: Record) -> Iterator[str]:
    given, family = sound(record.given), sound(record.family)
    if record.born:
        yield f"b{record.born}"
    if given and family:
        names = "".join(sorted((given, family)))  # in one order, since they may have changed places
        yield f"n{names}{record.born[:4]}"
        yield f"m{names}{record.postcode or record.place}"
    if record.postcode and family:
        yield f"f{family}{record.postcode}"
    if record.postcode and given:
        yield f"g{given}{record.postcode}{record.born[:4]}"
    if record.street:
        yield f"a{_bones(record.street)}{record.postcode[:3]}"
        if family:
            yield f"s{_bones(record.street)}{family}"
    if record.given and record.family:
        yield f"w{record.given} {record.family}"
        yield f"h{record.given}{record.family}".replace(" ", "")
    for number in record.numbers:
        yield f"i{number}"
    for phone in record.phones:
        yield f"p{phone}"
    yield from _of_emails(record)


def _of_emails(record: Record) -> Iterator[str]:
    for email in record.emails:
        yield f"e{email}"
        local = email.partition("@")[0]
        if len(local) >= LOCAL_MIN_CHARS:
            yield f"l{local}"
        if not record.family:
            yield f"h{handle(email)}"


def sound(name: str) -> str:
    """How a name sounds: American Soundex (Russell and Odell, 1918) of its first word; "" of none.

    Letters outside a to z, which have no code there, stand for themselves.
    """
    word = name.partition(" ")[0]
    if not word:
        return ""
    coded, last = word[0], _CODES.get(word[0], "")
    for letter in word[1:]:
        code = _CODES.get(letter, letter)
        if code.isalnum() and code != last:
            coded += code
            if len(coded) == 4:
                break
        if letter not in "hw":
            last = code
    return coded


_CODES = {
    letter: code
    for letters, code in (("bfpv", "1"), ("cgjkqsxz", "2"), ("dt", "3"), ("l", "4"), ("mn", "5"), ("r", "6"))
    for letter in letters
} | dict.fromkeys("aeiouyhw", "-")


def _bones(street: str) -> str:
    """The number of the house and the sound of the street's first longer word: what abbreviations and typos leave."""
    words = street.split()
    number = next((word for word in words if word[0].isdigit()), "")
    return number + sound(next((word for word in words if len(word) > 3 and word.isalpha()), ""))
