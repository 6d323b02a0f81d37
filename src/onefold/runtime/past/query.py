"""SQL over everything that a workspace knows: history's events, merges and moves, and who people are now.

It reads and does nothing else: one SELECT, no file but history's own, no settings. People of the state are copied into
DuckDB's memory, and only where a query names them: some seconds for a million.

| relation | columns |
|---|---|
| `events` | `profile` (who has the event now), `time`, `received`, `source`, `type`, `name`, …, JSON parts |
| `merges` | `absorbed`, `survivor`, `time` |
| `moves` | `profile` (who that is now), `profile_then`, `audience`, `entered`, `time`, `reason`, … |
| `profiles` | `profile`, `created`, `first_seen`, `last_seen`, `events`, `declared` and `computed` (JSON) |
| `accounts` | `account`, `created`, `first_seen`, `last_seen`, `events`, `members`, `declared` and `computed` (JSON) |
| `identifiers` | `profile`, `namespace`, `value`, `first_seen` |
| `memberships` | `profile`, `audience`, `entered` |

`main.events`, `main.merges` and `main.moves` are the same as history keeps them: ids as numbers, times in milliseconds.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from onefold.core.identity.notes import HOT_MEMBERS
from onefold.errors import InvalidRequest
from onefold.model import position as positions
from onefold.model import profile as profiles
from onefold.model.account import group_of, members_of
from onefold.model.past import signed, survivors
from onefold.model.profile import Profile
from onefold.ports import Connection, HistoryReader, State
from onefold.storage.history import views

_AT_ONCE = 5_000
_ROWS = 1_000
_SHOWN = "'prf_' || lpad(lower(hex({})), 16, '0')"
_JSON = ("properties", "context", "traits", "rest")
_PLAIN = ("source", "type", "name", "message_id", "user_id", "anonymous_id", "group_id")

_encode = msgspec.json.Encoder(enc_hook=str).encode


Listed = Callable[[int, int, int], list[int]]
"""(partition, after, limit) → ids, as `State.profile_ids`."""


class Answer(NamedTuple):
    """What a query gives; the rows are fetched as they are taken."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]


class Sources(NamedTuple):
    """What is asked."""

    history: HistoryReader
    state: State
    partitions: int


@contextmanager
def ask(sources: Sources, sql: str) -> Iterator[Answer]:
    """The answer to one SELECT, to be read within the `with`.

    Raises `InvalidRequest` where the query is wrong, or does more than read.
    """
    import duckdb  # optional where nobody asks: it is loaded only here

    connection = sources.history.connect()
    try:
        _check(connection, sql)
        _prepare(connection, sources, sql)
        connection.execute("SET lock_configuration = true")
        connection.execute(sql)
        yield Answer([column[0] for column in connection.description or ()], _rows(connection))
    except duckdb.Error as error:
        raise InvalidRequest(str(error)) from error
    finally:
        connection.close()


def _check(connection: Any, sql: str) -> None:
    """One statement, which reads."""
    statements = connection.extract_statements(sql)
    kinds = [statement.type.name for statement in statements]
    if kinds != ["SELECT"]:
        # EXPLAIN is refused, too: of EXPLAIN ANALYZE DuckDB runs whatever is to be explained.
        found = ", ".join(kinds) or "nothing"
        raise InvalidRequest(f"a query is one SELECT, and reads; this is {found}")


def _prepare(connection: Connection, sources: Sources, sql: str) -> None:
    """Make every relation whose name is a word of the query; one too many is no harm."""
    connection.execute("CREATE SCHEMA shown")
    words = frozenset(re.findall(r"\w+", sql.lower()))
    if not words.isdisjoint(("events", "moves")):
        _survivors(connection, sources)
    for name, show in _RELATIONS.items():
        if name in words:
            show(connection, sources)
    connection.execute("SET search_path = 'shown,main'")


def _rows(connection: Connection) -> Iterator[tuple[Any, ...]]:
    while rows := connection.fetchmany(_ROWS):
        yield from rows


def _survivors(connection: Connection, sources: Sources) -> None:
    """Who has become of everybody who was absorbed."""
    taken = survivors(sources.history.merges())
    columns = [[signed(profile) for profile in side] for side in (taken.keys(), taken.values())]
    views.declare(connection, "survivors", {"absorbed": "BIGINT", "survivor": "BIGINT"}, columns)


def _events(connection: Connection, _sources: Sources) -> None:
    plain = ", ".join(_PLAIN)
    parsed = ", ".join(f"{name}::JSON AS {name}" for name in _JSON)
    connection.execute(
        f"CREATE VIEW shown.events AS SELECT {_SHOWN.format('COALESCE(survivor, profile)')} AS profile,"  # noqa: S608
        f" epoch_ms(at_ms) AS time, epoch_ms(received_ms) AS received, {plain}, {parsed}, partition, position"
        " FROM main.events LEFT JOIN main.survivors ON absorbed = profile"
    )


def _merges(connection: Connection, _sources: Sources) -> None:
    connection.execute(
        f"CREATE VIEW shown.merges AS SELECT {_SHOWN.format('absorbed')} AS absorbed,"  # noqa: S608
        f" {_SHOWN.format('survivor')} AS survivor, epoch_ms(at_ms) AS time, partition, position FROM main.merges"
    )


def _moves(connection: Connection, _sources: Sources) -> None:
    connection.execute(
        f"CREATE VIEW shown.moves AS SELECT {_SHOWN.format('COALESCE(survivor, profile)')} AS profile,"  # noqa: S608
        f" {_SHOWN.format('profile')} AS profile_then, audience, entered, epoch_ms(at_ms) AS time,"
        " nullif(reason, '') AS reason, told, nullif(version, 0) AS version, partition, position, seq"
        " FROM main.moves LEFT JOIN main.survivors ON absorbed = profile WHERE audience <> ''"
    )


def _profiles(connection: Connection, sources: Sources) -> None:
    columns = {"profile": "VARCHAR", "created": "BIGINT", "first_seen": "BIGINT", "last_seen": "BIGINT"}
    columns |= {"events": "BIGINT", "declared": "JSON", "computed": "JSON"}
    _copy(connection, sources, ("profiles", columns), _profile_rows)


def _accounts(connection: Connection, sources: Sources) -> None:
    columns = {"account": "VARCHAR", "created": "BIGINT", "first_seen": "BIGINT", "last_seen": "BIGINT"}
    columns |= {"events": "BIGINT", "declared": "JSON", "computed": "JSON", "members": "BIGINT"}
    size, ids = sources.state.size, sources.state.account_ids

    def rows(account: Profile) -> list[tuple[Any, ...]]:
        ((_, *known),) = _profile_rows(account)
        return [(group_of(account), *known, size(members_of(account.id)))]

    _copy(connection, sources, ("accounts", columns), rows, ids)


def _identifiers(connection: Connection, sources: Sources) -> None:
    columns = {"profile": "VARCHAR", "namespace": "VARCHAR", "value": "VARCHAR", "first_seen": "BIGINT"}
    _copy(connection, sources, ("identifiers", columns), _identifier_rows)


def _memberships(connection: Connection, sources: Sources) -> None:
    columns = {"profile": "VARCHAR", "audience": "VARCHAR", "entered": "BIGINT"}
    views.declare(connection, "memberships", columns)
    for audience in sources.state.sizes().keys() - {HOT_MEMBERS}:
        after = 0
        while members := sources.state.members(audience, after, _AT_ONCE):
            after = members[-1][0]
            who, since = [positions.show(profile) for profile, _ in members], [at_ms for _, at_ms in members]
            views.fill(connection, "memberships", columns, [who, [audience] * len(members), since])
    _show(connection, "memberships", columns)


_RELATIONS: dict[str, Callable[[Connection, Sources], None]] = {
    "events": _events,
    "merges": _merges,
    "moves": _moves,
    "profiles": _profiles,
    "accounts": _accounts,
    "identifiers": _identifiers,
    "memberships": _memberships,
}


def _copy(
    connection: Connection,
    sources: Sources,
    table: tuple[str, dict[str, str]],
    rows_of: Callable[[Profile], list[tuple[Any, ...]]],
    listed: Listed | None = None,
) -> None:
    """Copy something of every profile: of people, or of those that are `listed`."""
    name, columns = table
    views.declare(connection, name, columns)
    for found in _everybody(sources, listed or sources.state.profile_ids):
        if rows := [row for profile in found for row in rows_of(profile)]:
            views.fill(connection, name, columns, list(zip(*rows, strict=True)))
    _show(connection, name, columns)


def _everybody(sources: Sources, listed: Listed) -> Iterator[list[Profile]]:
    for partition in range(sources.partitions):
        after = 0
        while ids := listed(partition, after, _AT_ONCE):
            after = ids[-1]
            yield [profiles.decode(data) for data in sources.state.survivors(ids).values()]


def _profile_rows(profile: Profile) -> list[tuple[Any, ...]]:
    declared = {name: one.value for name, one in profile.declared.items()}
    seen = (profile.created_at_ms, profile.first_seen_ms, profile.last_seen_ms)
    parts = (_encode(declared).decode(), _encode(profile.computed).decode())
    return [(positions.show(profile.id), *seen, profile.events, *parts)]


def _identifier_rows(profile: Profile) -> list[tuple[Any, ...]]:
    shown = positions.show(profile.id)
    parted = [(identifier.partition(":"), at_ms) for identifier, at_ms in profile.identifiers.items()]
    return [(shown, namespace, value, at_ms) for (namespace, _, value), at_ms in parted]


def _show(connection: Connection, name: str, columns: dict[str, str]) -> None:
    """Instants as times."""
    parts = [f"epoch_ms({column}) AS {column}" if column in _INSTANTS else column for column in columns]
    connection.execute(f"CREATE VIEW shown.{name} AS SELECT {', '.join(parts)} FROM main.{name}")  # noqa: S608


_INSTANTS = {"created", "first_seen", "last_seen", "entered"}
