"""Strings. Characters are code points, and places count from 0."""

import re
from typing import Any

from onefold.language.values import number
from onefold.limits import TEXT_MAX_CHARS

_BLANK = " \t\r\n"
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?")


def lower(value: Any) -> str | None:
    """The string in small letters."""
    return value.lower() if type(value) is str else None


def upper(value: Any) -> str | None:
    """The string in capital letters."""
    return value.upper() if type(value) is str else None


def trim(value: Any) -> str | None:
    """The string without spaces, tabs and line breaks around it."""
    return value.strip(_BLANK) if type(value) is str else None


def length(value: Any) -> int | None:
    """Characters of a string, items of a list."""
    return len(value) if type(value) is str or type(value) is list else None


def starts_with(whole: Any, part: Any) -> bool:
    """The string begins so."""
    return type(whole) is str and type(part) is str and whole.startswith(part)


def ends_with(whole: Any, part: Any) -> bool:
    """The string ends so."""
    return type(whole) is str and type(part) is str and whole.endswith(part)


def matches(value: Any, search: Any) -> bool:
    """The search (`patterns`) finds something in the string."""
    return type(value) is str and search(value)


def replace(value: Any, old: Any, new: Any) -> str | None:
    """The string with every `old` as `new`, from left to right; of an empty `old` as it is."""
    if type(value) is not str or type(old) is not str or type(new) is not str:
        return None
    if not old:
        return value
    if len(new) > len(old) and len(value) + value.count(old) * (len(new) - len(old)) > TEXT_MAX_CHARS:
        return None
    return value.replace(old, new)


def concat(*parts: Any) -> str | None:
    """The strings one after the other; missing where one is, or where that is longer than TEXT_MAX_CHARS."""
    if any(type(part) is not str for part in parts) or sum(map(len, parts)) > TEXT_MAX_CHARS:
        return None
    return "".join(parts)


def substring(value: Any, start: Any, size: Any = 1 << 53) -> str | None:
    """At most `size` characters from place `start` on."""
    first, many = place(start), place(size)
    return None if type(value) is not str or first is None or many is None else value[first : first + many]


def left(value: Any, size: Any) -> str | None:
    """The first characters, at most `size`."""
    return substring(value, 0, size)


def right(value: Any, size: Any) -> str | None:
    """The last characters, at most `size`."""
    many = place(size)
    return None if type(value) is not str or many is None else value[max(0, len(value) - many) :]


def split(value: Any, separator: Any) -> list[str] | None:
    """The parts between the separators, as a list; missing where the separator is empty."""
    return value.split(separator) if type(value) is str and type(separator) is str and separator else None


def to_number(value: Any) -> Any:
    """The number that a string says (`-12.5`, `1e3`, with blanks around), and a number itself."""
    if type(value) is not str:
        return number(value)
    text = value.strip(_BLANK)
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None:
        return None
    if match[1] is None and match[2] is None:
        return number(int(text))
    found = float(text)
    return None if found in (float("inf"), float("-inf")) else found


_LONGEST_NUMBER = 700


def to_string(value: Any) -> str | None:
    """A number in its shortest form (whole ones without a point), `true`, `false`, or a string itself."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is float and value.is_integer() and abs(value) <= 1 << 53:
        value = int(value)
    return repr(value) if kind is int or kind is float else None


def place(value: Any) -> int | None:
    """A number that counts something: whole and not negative."""
    if type(value) is int or (type(value) is float and value.is_integer()):
        return int(value) if value >= 0 else None
    return None
