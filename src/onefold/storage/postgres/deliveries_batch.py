"""What several progresses of destinations come to, and its writing into a PostgreSQL server with few statements."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from onefold.model import delivery as deliveries
from onefold.model.delivery import Delivery, Progress, Standing
from onefold.storage.postgres.driver import Connection

_PUT_STANDINGS = """
INSERT INTO delivery_standings
SELECT destination, true, data FROM unnest(%b::bytea[], %b::bytea[]) AS new (destination, data)
ON CONFLICT (destination) DO UPDATE SET data = excluded.data
"""
_PUT_ROWS = """
INSERT INTO delivery_rows
SELECT * FROM unnest(%b::bytea[], %s::boolean[], %s::bigint[], %b::bytea[], %s::bigint[], %b::bytea[])
ON CONFLICT (destination, parked, seq)
DO UPDATE SET key = excluded.key, parked_at_ms = excluded.parked_at_ms, data = excluded.data
"""
_DROP_ROWS = """
DELETE FROM delivery_rows AS row
USING unnest(%b::bytea[], %s::boolean[], %s::bigint[]) AS gone (destination, parked, seq)
WHERE row.destination = gone.destination AND row.parked = gone.parked AND row.seq = gone.seq
"""
_PUT_PAYLOADS = """
INSERT INTO delivery_payloads SELECT * FROM unnest(%b::bytea[], %s::bigint[], %b::bytea[])
ON CONFLICT (destination, seq) DO UPDATE SET data = excluded.data
"""
_DROP_PAYLOADS = """
DELETE FROM delivery_payloads AS payload
USING unnest(%b::bytea[], %s::bigint[]) AS gone (destination, seq)
WHERE payload.destination = gone.destination AND payload.seq = gone.seq
"""

encode_standing = msgspec.msgpack.Encoder().encode
"""Where a destination stands, as bytes; whether it is followed is a column of its own."""
decode_standing = msgspec.msgpack.Decoder(Standing).decode
"""The standing in these bytes."""


class Batch(NamedTuple):
    """For each standing, row and payload what it is in the end; None: it goes."""

    standings: dict[bytes, bytes]
    rows: dict[tuple[bytes, bool, int], Delivery | None]
    payloads: dict[tuple[bytes, int], bytes | None]

    @classmethod
    def of(cls, changes: Iterable[Progress]) -> "Batch":
        """All of these, the later ones having the last word."""
        batch = cls({}, {}, {})
        for progress in changes:
            batch.add(progress)
        return batch

    def add(self, progress: Progress) -> None:
        """What has changed after that; a payload goes with the last row that it is for."""
        name = as_bytes(progress.destination)
        for parked, rows in ((False, progress.pending), (True, progress.parked)):
            for seq, row in rows.items():
                self.rows[name, parked, seq] = row
                if row is not None and row.payload:
                    self.payloads[name, seq] = row.payload
        for seq in {*progress.pending, *progress.parked}:
            if not progress.pending.get(seq) and not progress.parked.get(seq):
                self.payloads[name, seq] = None
        self.standings[name] = encode_standing(Standing(progress.low_water, progress.counts, progress.off))

    def write(self, connection: Connection) -> None:
        """Write all of it, in the transaction that has begun; once more changes nothing."""
        _many(connection, _DROP_ROWS, [at for at, row in self.rows.items() if row is None])
        _many(connection, _PUT_ROWS, [(*at, *_columns(row)) for at, row in self.rows.items() if row is not None])
        _many(connection, _DROP_PAYLOADS, [at for at, data in self.payloads.items() if data is None])
        _many(connection, _PUT_PAYLOADS, [(*at, data) for at, data in self.payloads.items() if data is not None])
        _many(connection, _PUT_STANDINGS, [*self.standings.items()])


def as_bytes(text: str) -> bytes:
    """A name or key as columns hold it: bytes take any text."""
    return text.encode("utf-8", "surrogatepass")


def as_text(data: bytes) -> str:
    """The name or key in these bytes."""
    return data.decode("utf-8", "surrogatepass")


def _columns(row: Delivery) -> tuple[bytes, int, bytes]:
    return as_bytes(row.key), row.parked_at_ms, deliveries.encode(replace(row, payload=b""))


def _many(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """One statement for all rows, which it takes column by column."""
    if rows:
        connection.execute(statement.encode(), [list(column) for column in zip(*rows, strict=True)])
