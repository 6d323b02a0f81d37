"""Columns as a table of Arrow, which both DuckDB and the table library take as it is: a microsecond a row."""

from collections.abc import Mapping, Sequence
from typing import Any

from arro3.core import Array, DataType, Table

_TYPES = {
    "SMALLINT": DataType.int16(),
    "INTEGER": DataType.int32(),
    "BIGINT": DataType.int64(),
    "BLOB": DataType.binary(),
    "VARCHAR": DataType.utf8(),
    "JSON": DataType.utf8(),
    "DATE": DataType.int32(),
}


def table(types: Mapping[str, str], columns: Sequence[Sequence[Any]]) -> Table:
    """These columns under their names (name → SQL type); a DATE is a number of days since 1970."""
    arrays = [_array(kind, values) for kind, values in zip(types.values(), columns, strict=True)]
    return Table.from_arrays(arrays, names=list(types))


def _array(kind: str, values: Sequence[Any]) -> Array:
    array = Array(values, type=_TYPES[kind])
    return array.cast(DataType.date32()) if kind == "DATE" else array
