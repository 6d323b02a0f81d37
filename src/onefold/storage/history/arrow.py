"""Columns as a table of Arrow, which both DuckDB and the table library take as it is: a microsecond a row."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arro3.core import Array, DataType, Field, RecordBatch, Schema, Table

_TYPES = {
    "SMALLINT": DataType.int16(),
    "INTEGER": DataType.int32(),
    "BIGINT": DataType.int64(),
    "BLOB": DataType.binary(),
    "VARCHAR": DataType.utf8(),
    "JSON": DataType.utf8(),
    "DATE": DataType.int32(),
    "BOOLEAN": DataType.bool(),
}


Columns = Sequence[Sequence[Any]]
"""One sequence of values for each column."""


def table(types: Mapping[str, str], *runs: Columns) -> Table:
    """These runs of columns under their names (name → SQL type); a DATE is a number of days since 1970."""
    return joined(types, runs)


def joined(types: Mapping[str, str], runs: Iterable[Columns]) -> Table:
    """The same of many runs, each of which is taken when the one before it is done."""
    batches = [_batch(types, columns) for columns in runs] or [_batch(types, [()] * len(types))]
    return Table.from_batches(batches)


def _batch(types: Mapping[str, str], columns: Columns) -> RecordBatch:
    arrays = [_array(kind, values) for kind, values in zip(types.values(), columns, strict=True)]
    fields = [Field(name, array.type, nullable=True) for name, array in zip(types, arrays, strict=True)]
    return RecordBatch.from_arrays(arrays, schema=Schema(fields))


def _array(kind: str, values: Sequence[Any]) -> Array:
    array = Array(values, type=_TYPES[kind])
    return array.cast(DataType.date32()) if kind == "DATE" else array
