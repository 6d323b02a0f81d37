"""Relatives: whose events have certain identifiers, though somebody else has these.

A rule kept them apart. Where an identifier comes to somebody else, such people may be concerned: they are looked for in
history, and for what it does not have yet in the effects that told of it.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from onefold.core.explaining.retrace import read
from onefold.core.identity.identifiers import Finder, finder_of
from onefold.core.identity.naming import hashed, plain_kinds, reading
from onefold.core.identity.rulebook import namespace
from onefold.errors import NotInHistory, Overloaded
from onefold.language.stream.program import Program
from onefold.limits import HISTORY_LAG_MAX_BYTES
from onefold.model import effect
from onefold.model.effect import LinkRefused
from onefold.model.past import NAMES_COMPLETE, unsigned
from onefold.model.rules import Rules
from onefold.ports import Connection, HistoryReader, State
from onefold.storage.history import layout, name_pairs, recast_events, views
from onefold.storage.history.asking import bounded

_MEMORY = "1GB"
_THREADS = 2
_ROWS_MAX = 20_000
"""Events that are looked at more closely, of those that seem to have an identifier."""
_NAMED_MAX = 10_000
"""People whose events are looked at one by one; of more, everybody's are."""
_PHONE_DIGITS = 7
"""The last digits of a number, which are there however it is spelled."""

_decode = effect.decoder(frozenset((LinkRefused,)))


class Sought(NamedTuple):
    """What is sought, and how events are read."""

    names: frozenset[str]
    rules: Rules
    program: Program


def relatives(history: HistoryReader, state: State, sought: Sought, *, quick: bool = True) -> set[int]:
    """Profiles, as they were when their events came, that have had events with one of these identifiers.

    Cost: that of these people's events, once history knows what events name, else of all; not `quick`: of all.

    Raises `Overloaded` where too many events seem to, `NotInHistory` where history is too far behind, `StorageError`.
    """
    if not sought.names:
        return set()
    found = _since(state, history.cursor(), sought.names)
    exact, roughly = _conditions(sought)
    with bounded(history, _MEMORY, _THREADS) as connection:
        if exact:
            query = f"SELECT DISTINCT profile FROM events WHERE {_any_of(exact)}"  # noqa: S608
            rows = connection.execute(query, [each.value for each in exact]).fetchall()
            found |= {unsigned(profile) for (profile,) in rows}
        events = _where_named(connection, sought) if roughly and quick else "events"
        if roughly and events:
            columns = ", ".join(layout.EVENTS)
            query = f"SELECT {columns} FROM {events} WHERE {_any_of(roughly)} LIMIT {_ROWS_MAX + 1}"  # noqa: S608
            rows = connection.execute(query, [each.value for each in roughly]).fetchall()
            found |= set(_read(rows, sought))
    return found


def _where_named(connection: Connection, sought: Sought) -> str:
    """SQL: where the events are that may name these identifiers beside their plain ids; empty: there are none.

    All of them, where history does not know (any more, or yet) what they name, or very many do.
    """
    if name_pairs.complete_to(connection, reading(sought.rules)) != NAMES_COMPLETE:
        return "events"
    people = name_pairs.profiles(connection, {hashed(name) for name in sought.names}, _NAMED_MAX)
    if len(people) > _NAMED_MAX:
        return "events"
    return recast_events.written_as(connection, people) if people else ""


def _read(rows: Collection[Any], sought: Sought) -> Iterator[int]:
    """Of events that seem to have one of the identifiers those that do."""
    if len(rows) > _ROWS_MAX:
        raise Overloaded(f"more than {_ROWS_MAX:,} events seem to have one of these identifiers: too many to tell")
    pasts = {(past.position, past.tie): past for past in map(layout.past, rows)}
    finder = finder_of(sought.rules)
    for incoming in read(sought.program, pasts.values()):
        if not sought.names.isdisjoint(finder.find(incoming.event).identifiers):
            yield pasts[incoming.position, incoming.fingerprint].profile


def _since(state: State, cursor: int, names: Collection[str]) -> set[int]:
    """Who was refused one of them since a commit."""
    found: set[int] = set()
    size = 0
    for commit in state.commits(cursor, HISTORY_LAG_MAX_BYTES):
        size += len(commit.effects)
        refused = (each for each in _decode(commit.effects) if isinstance(each, LinkRefused))
        found |= {each.profile for each in refused if each.a in names or each.b in names}
    if size >= HISTORY_LAG_MAX_BYTES:
        raise NotInHistory("history is too far behind to tell who is concerned: `onefold doctor` says why")
    return found


# --- SQL -----------------------------------------------------------------------------------------------------


class _Condition(NamedTuple):
    """SQL with one question mark, and what stands there, as the words are strangers'."""

    sql: str
    value: str | list[str]


def _any_of(conditions: Iterable[_Condition]) -> str:
    return " OR ".join(each.sql for each in conditions)


def _conditions(sought: Sought) -> tuple[list[_Condition], list[_Condition]]:
    """(what tells by columns alone, what tells roughly)."""
    types = {each.name: each for each in sought.rules.identity.types}
    plain = plain_kinds(sought.rules)
    exact: dict[str, list[str]] = {}
    rough: list[_Condition] = []
    for name in sorted(sought.names):
        kind, value = namespace(name), name.partition(":")[2]
        said = types.get(kind)
        if kind in plain:
            exact.setdefault(kind, []).append(value)
            if kind == "anonymous_id":
                rough.append(_Condition("(type = 'alias' AND contains(rest, ?))", _run(value)))
            rough.append(_Condition("(contains(context, 'externalIds') AND contains(context, ?))", _run(value)))
            bare = f"trim({kind}, {_BLANKS})"
            rough.append(_Condition(f"({kind} <> {bare} AND {bare} = ?)", value))
            continue
        rough.append(_roughly(kind, value, "" if said is None else said.normalise, custom=bool(said and said.fields)))
    return [_Condition(f"{kind} IN (SELECT unnest(?::VARCHAR[]))", values) for kind, values in exact.items()], rough


def _roughly(kind: str, value: str, normalise: str, *, custom: bool) -> _Condition:
    """Where this value may stand in an event, as it may be spelled."""
    text = "concat_ws(' ', context, traits, properties, rest, user_id, anonymous_id, group_id)"
    if kind in ("email", "phone") and not custom:
        text = "concat_ws(' ', context, CASE WHEN type = 'identify' THEN traits END)"
    elif kind == "device_id" and not custom:
        text = "context"
    spelling = normalise or kind
    if spelling in ("email", "lower", "idfa", "gaid"):
        return _Condition(f"contains(lower({text}), ?)", _run(value.lower()))
    if spelling not in ("phone", "digits", "alphanumeric", "mailbox"):
        return _Condition(f"contains({text}, ?)", _run(value))
    kept = value.partition("@")[0] if spelling == "mailbox" else value
    needle = re.sub("[^a-z0-9]", "", kept.lower())
    needle = needle[-_PHONE_DIGITS:] if spelling == "phone" else needle
    return _Condition(f"contains(regexp_replace(lower({text}), '[^a-z0-9]', '', 'g'), ?)", needle)


_BLANKS = views.quoted("".join(filter(str.isspace, map(chr, range(0x3001)))))
"""What `str.strip` takes from both ends."""


def _run(value: str) -> str:
    """The longest part of a value that JSON spells as it is."""
    return max(re.split(r'["\\\x00-\x1f]', value), key=len)


def naming(events: Iterable[Any], finder: Finder) -> set[str]:
    """The identifiers of events that the step has read."""
    return {name for each in events for name in finder.find(each.event).identifiers}
