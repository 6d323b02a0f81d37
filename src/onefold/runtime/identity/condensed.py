"""Somebody's very many events, condensed to the few that show who they are: most say nothing that others have not said.

Events of the same ids and the same parts that carry identifiers name the same people, so of each such group the first
and the last are read, and the others counted. What began profiles, linked and merged them, and what came lately, is
read one by one. So the answer is the same as if every event had been read, and costs a scan of the person's columns.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from onefold.limits import HISTORY_LAG_MAX_BYTES
from onefold.model import position
from onefold.model.past import Past
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.model.sighting import Place
from onefold.ports import Connection, HistoryReader, LogReader, State
from onefold.runtime.history.recasts import since
from onefold.runtime.past.person_events import PersonEvents, admitted_in
from onefold.storage.history import layout, recast_events, views
from onefold.storage.history.asking import bounded

_MEMORY = "1GB"
_THREADS = 2
_PLACE = {"partition": "SMALLINT", "position": "BIGINT"}
_CONTACTS = ("email", "phone")
"""Traits that are identifiers without anybody saying so."""


class Some(NamedTuple):
    """An event that stands for more than itself."""

    past: Past
    times: int
    until_ms: int
    """When the latest of them happened."""


class Sources(NamedTuple):
    """What is read."""

    history: HistoryReader
    log: LogReader
    state: State
    events: PersonEvents


def condensed(sources: Sources, profile: Profile, rules: Collection[Rules]) -> list[Some] | None:
    """What these events come to, in no order; None: they are to be read one by one, as some were made others' just now.

    `rules`: all that are in force. Raises `Damaged`, `StorageError` and its kin.
    """
    cursor = sources.history.cursor()
    if since(sources.state, sources.log, cursor):
        return None
    people = {profile.id, *(merge.absorbed for merge in profile.merges)}
    late = {place for place, _ in admitted_in(sources.state.commits(cursor, HISTORY_LAG_MAX_BYTES), people)}
    late |= {position.place(each) for each in profile.recent}
    with bounded(sources.history, _MEMORY, _THREADS) as connection:
        found = _in_history(connection, people, late | set(_telling(profile, people)), _keys(rules))
    known = {(some.past.partition, some.past.position) for some in found}
    found += [Some(past, 1, past.at_ms) for past in sources.events.of_log(late - known)]
    return found


def _telling(profile: Profile, people: Iterable[int]) -> Iterable[Place]:
    """Where events are by which something became of the person."""
    yield from (position.place(one - 1) for one in people)
    yield from ((link.partition, link.position) for link in profile.links)
    yield from ((merge.partition, merge.position) for merge in profile.merges)


def _in_history(connection: Connection, people: Collection[int], alone: Collection[Place], keys: str) -> list[Some]:
    events = recast_events.owned_by(connection, people)
    _declare(connection, "alone", alone)
    groups = connection.execute(
        "SELECT count(*), max(at_ms), min(struct_pack(r := received_ms, p := partition, q := position)),"  # noqa: S608
        f" max(struct_pack(r := received_ms, p := partition, q := position)) FROM {events} AS e"
        " WHERE NOT EXISTS (SELECT 1 FROM alone AS a WHERE a.partition = e.partition AND a.position = e.position)"
        f" GROUP BY {keys}"
    ).fetchall()
    times = {(first["p"], first["q"]): (count - (first != last), until) for count, until, first, last in groups}
    lasts = {(last["p"], last["q"]) for _, _, _, last in groups}
    _declare(connection, "shown", {*alone, *times, *lasts})
    columns = ", ".join(f'e."{name}"' for name in layout.EVENTS)
    rows = connection.execute(
        f"SELECT {columns} FROM {events} AS e"  # noqa: S608 (names and numbers of ours)
        " SEMI JOIN shown AS s ON s.partition = e.partition AND s.position = e.position"
    ).fetchall()
    pasts = [layout.past(row) for row in rows]
    return [Some(past, *times.get((past.partition, past.position), (1, past.at_ms))) for past in pasts]


def _declare(connection: Connection, relation: str, places: Collection[Place]) -> None:
    columns = [list(column) for column in zip(*sorted(places), strict=True)] if places else ()
    views.declare(connection, relation, _PLACE, columns)


# --- what makes events name the same -----------------------------------------------------------------------------


def _keys(rules: Collection[Rules]) -> str:
    """SQL: what an event names depends on these alone. Aliases stand each for itself, as they tell of more."""
    paths = {path for each in rules for kind in each.identity.types for path in kind.fields}
    steps = [path.split(".") for path in sorted(paths)]
    traits = sorted({*_CONTACTS, *(each[1] for each in steps if each[0] == "traits")})
    properties = sorted({each[1] for each in steps if each[0] == "properties"})
    context = sorted({"externalIds", *(each[1] for each in steps if each[0] == "context")} - {"traits"})
    of_context = [*([each] for each in context), ["device", "id"], *(["traits", each] for each in traits)]
    if any(each[:2] == ["context", "traits"] for each in steps):
        of_context.append(["traits"])
    groups = ["group_id"] if any(each[0] == "groupId" for each in steps) else []
    return ", ".join(
        [
            "user_id",
            "anonymous_id",
            *groups,
            "CASE WHEN type = 'alias' THEN partition END",
            "CASE WHEN type = 'alias' THEN position END",
            f"CASE WHEN type = 'identify' THEN {_parts('traits', [[each] for each in traits])} END",
            _parts("context", of_context),
            *([_parts("properties", [[each] for each in properties])] if properties else []),
        ]
    )


def _parts(column: str, paths: Iterable[list[str]]) -> str:
    """These parts of a column of JSON, as one value; all of it, where a name is one that a path cannot say."""
    paths = list(paths)
    if any(set('"\\') & set(name) for path in paths for name in path):
        return column
    spelled = ", ".join(views.quoted("$" + "".join(f'."{name}"' for name in path)) for path in paths)
    return f"json_extract({column}, [{spelled}])"
