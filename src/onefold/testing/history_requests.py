"""Requests as a history has to keep them: people who meet, repeated messages, late events, events of nobody."""

import random
from collections.abc import Iterator
from typing import Any

from onefold.limits import DAY_MS
from onefold.testing.world import START_MS, identify, track

PARTITIONS = 2


def requests(chance: random.Random, count: int) -> Iterator[tuple[int, int, list[dict[str, Any]]]]:
    """So many of people who come and go over two partitions, sign in, repeat messages, and whose events come late.

    Gives partition, time and events of each request.
    """
    now_ms = START_MS
    for n in range(count):
        now_ms += chance.randrange(DAY_MS // 4)
        yield chance.randrange(PARTITIONS), now_ms, list(_events(chance, now_ms, n))


def _events(chance: random.Random, now_ms: int, n: int) -> Iterator[dict[str, Any]]:
    for i in range(chance.randrange(1, 6)):
        who, at_ms = chance.randrange(6), now_ms - chance.choice((0, 0, 5, DAY_MS))
        message = f"m{chance.randrange(n * 6 + i + 1)}"
        if chance.random() < 0.2:
            yield identify(at_ms, message=message, user=f"u{who}", anonymous=f"a{chance.randrange(6)}", traits={"n": n})
        elif chance.random() < 0.1:
            yield {"type": "page", "messageId": message}
        else:
            yield track("Viewed", at_ms, message=message, anonymous=f"a{who}", properties={"n": n}, channel="web")
