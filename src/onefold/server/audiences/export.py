"""Who is in an audience, as a file: CSV, NDJSON or Parquet, a page at a time, while people come and go.

A row is one person as they were at one instant during the export. Whoever is a member from its beginning to its end is
in it, once; whoever enters, leaves or is merged meanwhile may be in it or not, and nobody is in it twice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from onefold.errors import InvalidRequest
from onefold.language.reading.check import checked
from onefold.language.values import milliseconds
from onefold.model import position
from onefold.model import profile as profiles
from onefold.model.definitions import Definitions, is_shadow
from onefold.model.profile import Profile
from onefold.ports import State
from onefold.runtime.past.told import Audiences
from onefold.server.people.projection import Projection, projection
from onefold.server.route import hint

PAGE = 1_000
"""Members that are read at once: some megabytes at the most that anybody has of a person."""
PARTS = ("identifiers", "traits", "computed")
"""What a row may have besides the profile's id and when it entered."""
INCLUDE = "identifiers"
DESCRIPTION = (
    f"Comma-separated parts of: {', '.join(PARTS)}; or names in them, as in `identifiers.email,traits.plan,"
    "computed.revenue`, each a column of its own where there are columns."
)


class Column(NamedTuple):
    """One column: its name as `include` has it, its type, and what it takes of a profile; None: nothing there."""

    name: str
    type: str
    """`text`, `texts`, `number`, `boolean`, `instant` (in ms), or `any`."""
    of: Callable[[Profile], Any]


class Counted:
    """Pages, and how many rows they have had so far."""

    def __init__(self, pages: Iterator[list[list[Any]]]) -> None:
        self._pages = pages
        self.rows = 0

    def __iter__(self) -> Iterator[list[list[Any]]]:
        for page in self._pages:
            self.rows += len(page)
            yield page


def columns(definitions: Definitions, audience: str, include: str) -> list[Column]:
    """The columns of an export. Raises `InvalidRequest` for what is not there to be shown."""
    wanted = projection(include or INCLUDE)
    for part in sorted(wanted.parts):
        if part not in PARTS:
            raise InvalidRequest(f"include: {part} are not exported{hint(part, PARTS)}")
    found = [
        Column("id", "text", lambda profile: position.show(profile.id)),
        Column("entered_at", "instant", lambda profile: profile.audiences[audience]),
    ]
    if "identifiers" in wanted:
        found += _identifiers(wanted)
    if "traits" in wanted:
        found += _traits(wanted)
    if "computed" in wanted:
        found += _computed(wanted, checked(definitions, stored=True).types)
    return found


def rows(state: State, audience: str, wanted: list[Column]) -> Iterator[list[list[Any]]]:
    """Pages of rows, in the order of profile ids; a page may be empty."""
    after = -1
    while members := state.members(audience, after, PAGE):
        ids = [profile for profile, _ in members]
        stored = state.survivors(ids)
        yield list(_rows(((one, stored[one]) for one in ids if one in stored), audience, wanted))
        after = ids[-1]


def columns_then(include: str) -> list[Column]:
    """The columns of an export as of an instant. Raises `InvalidRequest` where more is asked for."""
    if include not in {"", INCLUDE}:
        raise InvalidRequest("include: as of an instant only ids are exported; profiles of then are shown one by one")
    return [Column("id", "text", _unread), Column("entered_at", "instant", _unread)]


def rows_then(then: Audiences, audience: str) -> Iterator[list[list[Any]]]:
    """Pages of rows, in the order of the ids that people had then."""
    after = -1
    while members := then.members(audience, after, PAGE):
        yield [[position.show(profile), entered_ms] for profile, entered_ms in members]
        after = members[-1][0]


def _unread(_person: Profile) -> None:
    """Rows of the past are made of moves, not of people."""


def _rows(stored: Iterable[tuple[int, bytes]], audience: str, wanted: list[Column]) -> Iterator[list[Any]]:
    """One person at a time: the collector of cycles would go through a page of decoded people again and again."""
    for asked, data in stored:
        person = profiles.decode(data)
        # Who was absorbed since the page was read is now somebody who has a place of their own.
        if person.id == asked and audience in person.audiences:
            yield [column.of(person) for column in wanted]


def _identifiers(wanted: Projection) -> Iterator[Column]:
    if "identifiers" not in wanted.names:
        yield Column("identifiers", "any", _by_namespace)
    for namespace in sorted(wanted.names.get("identifiers", ())):
        yield Column(f"identifiers.{namespace}", "texts", partial(_values_of, namespace))


def _traits(wanted: Projection) -> Iterator[Column]:
    if "traits" not in wanted.names:
        yield Column("traits", "any", lambda person: {name: said.value for name, said in person.declared.items()})
    for name in sorted(wanted.names.get("traits", ())):
        yield Column(f"traits.{name}", "any", partial(_declared, name))


def _computed(wanted: Projection, types: Mapping[str, str]) -> Iterator[Column]:
    if "computed" not in wanted.names:
        yield Column(
            "computed", "any", lambda person: {n: value for n, value in person.computed.items() if not is_shadow(n)}
        )
    for name in sorted(wanted.names.get("computed", ())):
        if name not in types:
            raise InvalidRequest(f"include: there is no trait {name!r}{hint(name, types)}")
        yield Column(f"computed.{name}", _TYPES.get(types[name], "any"), partial(_value, name))


_TYPES = {"number": "number", "boolean": "boolean", "string": "text", "instant": "instant"}
"""Types of the language → of columns."""


def _by_namespace(person: Profile) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for identifier in person.identifiers:
        namespace, _, value = identifier.partition(":")
        grouped.setdefault(namespace, []).append(value)
    return grouped


def _values_of(namespace: str, person: Profile) -> list[str]:
    return _by_namespace(person).get(namespace, [])


def _value(name: str, person: Profile) -> Any:
    value = person.computed.get(name)
    return milliseconds(value) if isinstance(value, datetime) else value


def _declared(name: str, person: Profile) -> Any:
    said = person.declared.get(name)
    return None if said is None else said.value
