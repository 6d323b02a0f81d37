"""Lists, and what is there at all."""

from typing import Any

from onefold.language.scalars.text import place
from onefold.language.values import same


def coalesce(*values: Any) -> Any:
    """The first that is not missing."""
    return next((value for value in values if value is not None), None)


def contains(whole: Any, part: Any) -> bool:
    """A string has this part, or a list this item."""
    if type(whole) is str:
        return type(part) is str and part in whole
    return type(whole) is list and any(same(item, part) for item in whole)


def contains_any(whole: Any, *parts: Any) -> bool:
    """The string or list contains one of these."""
    return any(contains(whole, part) for part in parts)


def element(items: Any, number: Any) -> Any:
    """The item at this place of a list, from 0; missing past its end."""
    at = place(number)
    return items[at] if type(items) is list and at is not None and at < len(items) else None
