"""How an export is written: each format a page at a time, in memory that does not depend on how many rows there are.

CSV is RFC 4180 in UTF-8 with a header. A cell is text as it is and everything else as JSON, several identifiers too,
and empty where there is no value. NDJSON keeps every type. Parquet has a column's type where the definitions say one.
"""

import csv
import importlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from onefold.errors import SettingsError
from onefold.server import instants
from onefold.server.audiences.export import Column

GROUP_ROWS = 10_000
"""Rows of a Parquet file that are compressed together, and wait in memory until then."""

Rows = list[list[Any]]
_encode = msgspec.json.Encoder().encode


class Writer(Protocol):
    """Makes the bytes of a file, in order; a part may be empty."""

    def begin(self) -> bytes:
        """What comes before all rows."""
        ...

    def page(self, rows: Rows) -> bytes:
        """Some more rows."""
        ...

    def end(self) -> bytes:
        """What comes after them."""
        ...


class Csv:
    """RFC 4180, with a header."""

    def __init__(self, columns: list[Column]) -> None:
        self._columns = columns

    def begin(self) -> bytes:
        """The header."""
        return self._lines([[column.name for column in self._columns]])

    def page(self, rows: Rows) -> bytes:
        """A line each."""
        return self._lines(
            [_cell(column, value) for column, value in zip(self._columns, row, strict=True)] for row in rows
        )

    def end(self) -> bytes:
        """Nothing."""
        return b""

    def _lines(self, rows: Iterable[list[str]]) -> bytes:
        buffer = io.StringIO(newline="")
        csv.writer(buffer).writerows(rows)
        return buffer.getvalue().encode()


class NdJson:
    """A JSON object a line, with the columns' names."""

    def __init__(self, columns: list[Column]) -> None:
        self._columns = columns

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def page(self, rows: Rows) -> bytes:
        """A line each."""
        return b"".join(_encode(self._object(row)) + b"\n" for row in rows)

    def end(self) -> bytes:
        """Nothing."""
        return b""

    def _object(self, row: list[Any]) -> dict[str, Any]:
        pairs = zip(self._columns, row, strict=True)
        return {column.name: _shown(column, value) for column, value in pairs}


class Parquet:
    """Columns, compressed with zstd, in groups of `GROUP_ROWS`. Raises `SettingsError` where pyarrow is missing."""

    def __init__(self, columns: list[Column]) -> None:
        self._arrow = _library("pyarrow")
        self._columns = columns
        self._waiting: Rows = []
        self._sink = _Sink()
        self._schema = self._arrow.schema([(column.name, self._type(column.type)) for column in columns])
        file = self._arrow.PythonFile(self._sink, mode="w")
        self._writer = _library("pyarrow.parquet").ParquetWriter(file, self._schema, compression="zstd")

    def begin(self) -> bytes:
        """The file's mark."""
        return self._sink.taken()

    def page(self, rows: Rows) -> bytes:
        """A group of rows, once there are enough for one."""
        self._waiting += rows
        if len(self._waiting) >= GROUP_ROWS:
            self._write()
        return self._sink.taken()

    def end(self) -> bytes:
        """What is left, and the footer."""
        if self._waiting:
            self._write()
        self._writer.close()
        return self._sink.taken()

    def _write(self) -> None:
        values = zip(*self._waiting, strict=True)
        arrays = [
            self._arrow.array([_typed(column.type, value) for value in each], self._type(column.type))
            for column, each in zip(self._columns, values, strict=True)
        ]
        self._writer.write_table(self._arrow.table(arrays, schema=self._schema))
        self._waiting = []

    def _type(self, name: str) -> Any:
        arrow = self._arrow
        types = {
            "number": arrow.float64(),
            "boolean": arrow.bool_(),
            "instant": arrow.timestamp("ms", tz="UTC"),
            "texts": arrow.list_(arrow.string()),
        }
        return types.get(name, arrow.string())


class Format(NamedTuple):
    """A format as users name it, by the end of a file's name."""

    name: str
    media_type: str
    writer: Callable[[list[Column]], Writer]


FORMATS = {
    form.name: form
    for form in (
        Format("csv", "text/csv", Csv),
        Format("ndjson", "application/x-ndjson", NdJson),
        Format("parquet", "application/vnd.apache.parquet", Parquet),
    )
}


def written(pages: Iterable[Rows], writer: Writer) -> Iterator[bytes]:
    """The file, in parts none of which is empty."""
    yield from filter(None, [writer.begin()])
    for rows in pages:
        if part := writer.page(rows):
            yield part
    yield from filter(None, [writer.end()])


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file that is there only once it is whole: until then it has another name, and after a failure none."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with open(unfinished, "wb", opener=_private) as file:
            file.writelines(parts)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _Sink:
    """Keeps what was written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """What was written can still be taken."""

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _cell(column: Column, value: Any) -> str:
    if column.type == "texts" and len(value) <= 1:
        return "".join(value)
    return _text(_shown(column, value))


def _shown(column: Column, value: Any) -> Any:
    """An instant as the API writes it; all else as it is. A value of another type is what older definitions left."""
    return instants.show(value) if column.type == "instant" and isinstance(value, int) else value


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else _encode(value).decode()


def _typed(kind: str, value: Any) -> Any:
    """A value as its column takes it; None where it is of another type, as older definitions may have left one."""
    if value is None or kind == "texts":
        return value
    if kind == "instant":
        return value if isinstance(value, int) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "number":
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return _text(value)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SettingsError("Parquet needs pyarrow: pip install 'onefold[parquet]'") from error
