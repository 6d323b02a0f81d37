"""Which messages were admitted, and when, as rows of a table: exact, whoever writes it.

A message is forgotten once every partition has forgotten the whole span of log time that it came in (a generation),
as in the LMDB state; from then on nobody finds it, and commits remove it, so many at once that they keep up.
"""

from typing import NamedTuple

from onefold.storage.postgres import Connection
from onefold.storage.state_postgres_rows import Bigints, Number, Uuids, bigints, uuids
from onefold.storage.state_tables import GENERATIONS_MAX

REMOVED_MIN = 1_000
"""Forgotten messages that a commit removes at the most, or twice as many as it adds."""

SEEN = """SELECT fingerprint, at_ms FROM messages
WHERE fingerprint = ANY(%b) AND at_ms >= (SELECT forgotten_ms FROM head)"""
ADD = "INSERT INTO messages (fingerprint, at_ms) SELECT * FROM unnest(%b, %b) ON CONFLICT DO NOTHING"
KEEP_LATEST = """INSERT INTO messages AS m (fingerprint, at_ms) SELECT * FROM unnest(%b, %b)
ON CONFLICT (fingerprint) DO UPDATE SET at_ms = greatest(m.at_ms, excluded.at_ms)"""
REMOVE = """DELETE FROM messages WHERE fingerprint = ANY(ARRAY(
SELECT fingerprint FROM messages WHERE at_ms < %b ORDER BY at_ms LIMIT %b))"""


class Messages(NamedTuple):
    """A commit's messages as it sends them: those that are thought to be new, and all."""

    many: int
    fingerprints: Uuids
    times: Bigints

    @classmethod
    def of(cls, messages: dict[bytes, int]) -> "Messages":
        """Sorted, so that neighbours share pages of the index, and so that nobody waits crosswise."""
        order = sorted(messages)
        return cls(len(order), uuids(order), bigints([messages[message] for message in order]))


def seen(connection: Connection, fingerprints: Uuids) -> dict[bytes, int]:
    """Fingerprint → log time of those that were admitted."""
    return dict(connection.cursor(binary=True).execute(SEEN, [fingerprints], prepare=True).fetchall())


def forgotten_ms(generation_ms: int, times: dict[int, tuple[int, int]]) -> int:
    """The log time before which nobody finds a message. `times`: partition → (its time, its `forgotten_ms`)."""
    reached = min((forgotten for _, forgotten in times.values()), default=0) // generation_ms
    newest = max((now_ms for now_ms, _ in times.values()), default=0) // generation_ms
    return max(0, reached, newest - GENERATIONS_MAX + 1) * generation_ms


def removal(before_ms: int, added: int) -> list[Number]:
    """The parameters of REMOVE in a commit that adds so many messages."""
    return [Number(before_ms), Number(max(REMOVED_MIN, 2 * added))]
