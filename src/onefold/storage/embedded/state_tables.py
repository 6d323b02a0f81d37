"""How the LMDB state lies on disk: its tables, their keys, the head that every commit moves, its format version.

What all states keep alike is in `state_bytes`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import lmdb
import msgspec
from msgspec import Struct

from onefold.errors import NotFoundError, StorageError, TooNew
from onefold.storage.embedded.lmdb_env import Txn
from onefold.storage.state_bytes import GENERATIONS_MAX, U64, encode

FORMAT = 3
"""The layout that this code reads and writes."""
SLICES = 256
"""Slices of the space of fingerprints, by their first byte; messages are moved into generations slice by slice."""
ROUND = 1 << 32
"""A whole way round these slices, as commits count it; `Head.place` is below."""


class Tables(NamedTuple):
    """Handles of the named databases."""

    meta: Any
    profiles: Any
    redirects: Any
    identifiers: Any
    timers: Any
    members: Any
    sizes: Any
    effects: Any
    touched: Any
    recent: Any
    filters: Any
    quarantine: Any
    counts: Any
    cursors: Any


NAMES = tuple(name.encode() for name in Tables._fields) + tuple(
    b"messages%02d" % slot for slot in range(GENERATIONS_MAX)
)


class Head(Struct, array_like=True):
    """What each commit reads first and writes last."""

    generation_ms: int
    """Log time that one generation of messages spans; fixed when the state is made."""
    number: int = 0
    """The newest commit."""
    moved: int = 0
    """Messages of commits up to this one lie in their generations: a whole round was made since."""
    began: int = 0
    """The commit in which the present round began: with it done, messages up to this commit have been moved."""
    place: int = 0
    """How far the present round has come."""
    generations: list[int] = []
    """Generations that hold messages, ascending; generation g lies in slot g % GENERATIONS_MAX."""
    times: dict[int, int] = {}
    """Partition → its time."""
    forgotten: dict[int, int] = {}
    """Partition → the time before which it has forgotten messages."""

    def forgotten_ms(self) -> int:
        """Messages before it are forgotten by every partition."""
        return min((self.forgotten.get(partition, 0) for partition in self.times), default=0)


class Arrived(Struct, array_like=True):
    """What a commit did to the messages that wait: these came, and the slices between two places of the round went."""

    before: int
    after: int
    """Not below `before`, and at most a whole round from it."""
    oldest: int
    """Messages of generations before this one were forgotten."""
    messages: dict[bytes, int]


decode_head = msgspec.msgpack.Decoder(Head).decode
decode_arrived = msgspec.msgpack.Decoder(Arrived).decode

_HEAD = b"head"
_FORMAT = b"format"
_RULES = b"rules"
"""What the keys of rules begin with; their fingerprint follows."""
Migration = Callable[[Txn, Tables, Sequence[Any]], None]
"""Turns one format into the next, within the transaction that opens the state; takes tables and generations' slots."""


def read_head(txn: Txn, tables: Tables) -> Head:
    """The head as of this transaction."""
    head = txn.get(_HEAD, db=tables.meta)
    assert head is not None
    return decode_head(head)


def write_head(txn: Txn, tables: Tables, head: Head) -> None:
    """Put the head of the commit that this transaction makes."""
    txn.put(_HEAD, encode(head), db=tables.meta)


def rules_key(fingerprint: int) -> bytes:
    """Where the rules of this fingerprint lie in `meta`."""
    return _RULES + U64.pack(fingerprint)


def read_rules(txn: Txn, tables: Tables) -> Iterator[tuple[bytes, bytes]]:
    """(fingerprint, rules) of all that were ever in force, in order."""
    cursor = txn.cursor(tables.meta)
    if cursor.set_range(_RULES):
        for key, value in cursor.iternext():
            if not key.startswith(_RULES):
                break
            yield key[len(_RULES) :], value


def refuse_newer(env: lmdb.Environment) -> None:
    """Raise `TooNew` where a newer Onefold made this environment. Writes nothing."""
    try:
        meta = env.open_db(b"meta", create=False)
    except (lmdb.NotFoundError, lmdb.ReadonlyError):
        return
    with env.begin() as txn:
        found = int(txn.get(_FORMAT, b"0", db=meta))
    if found > FORMAT:
        raise TooNew(f"{env.path()} has state format {found}; this Onefold knows up to {FORMAT}: please upgrade it")


def prepare(
    txn: Txn, picture: tuple[Tables, Sequence[Any]], generation_ms: int, migrations: Mapping[int, Migration]
) -> None:
    """Make a new state, or bring an older one up to the present format."""
    tables, slots = picture
    found = txn.get(_FORMAT, db=tables.meta)
    if found is None:
        write_head(txn, tables, Head(generation_ms))
    else:
        for version in range(int(found), FORMAT):
            if version not in migrations:
                raise StorageError(
                    f"the state has format {version}, of a version before the first release, which cannot be carried "
                    "over: move the data directory away and begin with a new one"
                )
            migrations[version](txn, tables, slots)
    txn.put(_FORMAT, b"%d" % FORMAT, db=tables.meta)


def is_current(txn: Txn, tables: Tables) -> bool:
    """Whether nothing has to be made or migrated."""
    return bool(txn.get(_FORMAT, db=tables.meta) == b"%d" % FORMAT)


def require_current(txn: Txn, tables: Tables) -> None:
    """Raise `StorageError` to a reader who finds an older format, which only a writer may migrate.

    Raise `NotFoundError` where the tables are there and their first commit is not: a writer is about to make it.
    """
    if txn.get(_FORMAT, db=tables.meta) is None:
        raise NotFoundError("there is no state yet; it is being made")
    if not is_current(txn, tables):
        raise StorageError("the state has an older format; start the platform once to migrate it")


def member_prefix(audience: str) -> bytes:
    """What the keys of this audience's members begin with; the profile id follows."""
    assert "\0" not in audience
    return audience.encode() + b"\0"
