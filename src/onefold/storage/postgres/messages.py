"""Which messages were admitted, and when, as rows of a table: exact, whoever writes it.

A message that was admitted again after its window has two rows, of which the later counts; so nothing has to be looked
for when a row is added. A message is forgotten once every partition has forgotten the whole span of log time that it
came in (a generation), as in the LMDB state; from then on nobody finds it, and commits remove it, so many at once that
they keep up.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from onefold.storage.postgres.state_rows import Bigints, Number, Uuids, bigints, uuids
from onefold.storage.state_bytes import GENERATIONS_MAX

REMOVED_MIN = 1_000
"""Forgotten messages that a commit removes at the most, or twice as many as it adds; and those of one instant."""

FOUND = "FROM messages WHERE fingerprint = ANY(%b) AND at_ms + 0 >= (SELECT forgotten_ms FROM head)"
"""+ 0: the index of times, which would find almost all messages, is of no use here."""
SEEN = f"SELECT fingerprint, at_ms {FOUND}"
ADD = "INSERT INTO messages (fingerprint, at_ms) SELECT * FROM unnest(%b, %b)"
REMOVE = """DELETE FROM messages WHERE at_ms < %b
AND at_ms <= coalesce((SELECT at_ms FROM messages WHERE at_ms < %b ORDER BY at_ms OFFSET %b LIMIT 1), %b)"""
"""The first of them that stays for another commit is looked for among those to go: mostly there are none."""


class Messages(NamedTuple):
    """A commit's messages as it sends them."""

    many: int
    fingerprints: Uuids
    times: Bigints

    @classmethod
    def of(cls, messages: dict[bytes, int]) -> "Messages":
        """These messages."""
        return cls(len(messages), uuids(list(messages)), bigints(messages.values()))


def latest(rows: Iterable[tuple[bytes, int]]) -> dict[bytes, int]:
    """What rows (fingerprint, log time) say."""
    found: dict[bytes, int] = {}
    for message, at_ms in rows:
        found[message] = max(at_ms, found.get(message, 0))
    return found


def forgotten_ms(generation_ms: int, times: Mapping[int, tuple[int, int]]) -> int:
    """The log time before which nobody finds a message. `times`: partition → (its time, its `forgotten_ms`)."""
    reached = min((forgotten for _, forgotten in times.values()), default=0) // generation_ms
    newest = max((now_ms for now_ms, _ in times.values()), default=0) // generation_ms
    return max(0, reached, newest - GENERATIONS_MAX + 1) * generation_ms


def removal(before_ms: int, added: int) -> list[Number]:
    """The parameters of REMOVE in a commit that adds so many messages."""
    return [Number(before_ms), Number(before_ms), Number(max(REMOVED_MIN, 2 * added)), Number(before_ms)]
