"""How values travel between a state and PostgreSQL: ids as signed numbers, whole columns as one array.

An id has 64 bits without a sign and PostgreSQL's bigint has one: ids are kept with their first bit turned, which keeps
their order. Columns go as arrays in PostgreSQL's binary form, made here: a tenth of what it costs to have each element
adapted by itself.
"""

import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from onefold.storage.postgres.driver import BINARY, Connection, Dumper, Loader

_TURNED = 1 << 63
_BIGINT, _BYTEA, _TEXT, _UUID, _SMALLINT = 20, 17, 25, 2950, 21
"""Types by their numbers, which are the same in every server of the protocol."""
_ARRAYS = {_BIGINT: 1016, _BYTEA: 1001, _TEXT: 1009, _UUID: 2951, _SMALLINT: 1005}
_HEAD = struct.Struct(">iiIii")
"""Dimensions, whether there are NULLs, the type, elements, the first one's number."""
_EMPTY = struct.Struct(">iiI")
_SIZE = struct.Struct(">i").pack
_UNSIGNED = struct.Struct(">Q").pack
_SIGNED = struct.Struct(">q").pack
_SHORT = struct.Struct(">h").pack


class _Column:
    """An array, as the server takes it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Bigints(_Column):
    """bigint[]."""

    __slots__ = ()


class Byteas(_Column):
    """bytea[]."""

    __slots__ = ()


class Texts(_Column):
    """text[]."""

    __slots__ = ()


class Uuids(_Column):
    """uuid[]."""

    __slots__ = ()


class Smallints(_Column):
    """smallint[]."""

    __slots__ = ()


class Number:
    """bigint, whatever its value: psycopg gives small numbers smaller types, and each plans the statement anew."""

    __slots__ = ("data",)

    def __init__(self, value: int) -> None:
        self.data = _SIGNED(value)


def ids(numbers: Iterable[int]) -> Bigints:
    """Ids as they are kept."""
    return Bigints(_fixed(_BIGINT, [_UNSIGNED(number ^ _TURNED) for number in numbers]))


def bigints(numbers: Iterable[int]) -> Bigints:
    """Signed numbers: times, amounts, positions."""
    return Bigints(_fixed(_BIGINT, [_SIGNED(number) for number in numbers]))


def smallints(numbers: Iterable[int]) -> Smallints:
    """Partitions."""
    return Smallints(_fixed(_SMALLINT, [_SHORT(number) for number in numbers]))


def uuids(fingerprints: Sequence[bytes]) -> Uuids:
    """Fingerprints of 16 bytes."""
    return Uuids(_fixed(_UUID, fingerprints))


def byteas(values: Sequence[bytes]) -> Byteas:
    """Any bytes."""
    return Byteas(_array(_BYTEA, len(values), chain.from_iterable((_SIZE(len(value)), value) for value in values)))


def texts(values: Sequence[bytes]) -> Texts:
    """Texts, as UTF-8."""
    return Texts(_array(_TEXT, len(values), chain.from_iterable((_SIZE(len(value)), value) for value in values)))


def kept(number: int) -> Number:
    """An id as it is kept."""
    return Number(number - _TURNED)


def given(number: int) -> int:
    """The id that is kept so."""
    return number + _TURNED


def adapt(connection: Connection) -> None:
    """Teach a connection these types; uuids come as bytes."""
    adapters = connection.adapters
    for kind, dumper in _DUMPERS.items():
        adapters.register_dumper(kind, dumper)
    adapters.register_loader("uuid", _Plain)


def _fixed(type_: int, elements: Sequence[bytes]) -> bytes:
    """An array of elements of one size."""
    if not elements:
        return _EMPTY.pack(0, 0, type_)
    size = _SIZE(len(elements[0]))
    return _HEAD.pack(1, 0, type_, len(elements), 1) + size + size.join(elements)


def _array(type_: int, count: int, parts: Iterable[bytes]) -> bytes:
    if not count:
        return _EMPTY.pack(0, 0, type_)
    return b"".join(chain((_HEAD.pack(1, 0, type_, count, 1),), parts))


class _Ready(Dumper):
    """Passes on what is in the server's form already."""

    format = BINARY

    def dump(self, obj: Any) -> bytes:
        """The bytes."""
        data: bytes = obj.data
        return data


class _Plain(Loader):
    """Gives the bytes as they came."""

    format = BINARY

    def load(self, data: Any) -> bytes:
        """The bytes."""
        return bytes(data)


_DUMPERS: dict[type, type[_Ready]] = {
    kind: type(f"_{kind.__name__}", (_Ready,), {"oid": oid})
    for kind, oid in (
        (Bigints, _ARRAYS[_BIGINT]),
        (Byteas, _ARRAYS[_BYTEA]),
        (Texts, _ARRAYS[_TEXT]),
        (Uuids, _ARRAYS[_UUID]),
        (Smallints, _ARRAYS[_SMALLINT]),
        (Number, _BIGINT),
    )
}
