"""A million profiles: the memory of all processes, and how soon a restarted platform answers."""

import asyncio
import sys
import tempfile
from pathlib import Path

from bench.report import Bound, Row, table
from bench.running import Running, platform, send_all, until_folded
from bench.workload import BATCH_EVENTS, Options, World, definitions

GIB = 1 << 30


def measure(*, quick: bool) -> list[Row]:
    """Send until there are so many profiles; read memory under load; stop; start again and ask for somebody."""
    people = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch:
        data = Path(scratch) / "data"
        with platform(definitions(), data=data) as running:
            _everybody(running, people)
            used = running.memory_bytes()
        starts: list[float] = []
        for _ in range(3):
            with platform(definitions(), data=data) as running:
                running.get("/v1/profiles/anonymous_id:person-7")
                starts.append(running.started_s)
    details = {"profiles": people, "by_role_bytes": used}
    return [
        Row(
            f"memory with {people:,} profiles, all processes",
            "GiB",
            [sum(used.values()) / GIB],
            Bound(2, 1),
            "",
            details,
        ),
        Row(
            f"restart with {people:,} profiles, to the first answer", "s", starts, Bound(5, 1), "", {"profiles": people}
        ),
    ]


def _everybody(running: Running, people: int) -> None:
    """One event of each person, then the usual load on top."""
    batches = [
        b'{"batch":[%b]}'
        % b",".join(
            b'{"type":"track","event":"Product Viewed","anonymousId":"person-%d","messageId":"first-%d",'
            b'"properties":{"category":"shoes","price":20}}' % (n, n)
            for n in range(first, first + BATCH_EVENTS)
        )
        for first in range(0, people, BATCH_EVENTS)
    ]
    asyncio.run(send_all([running.request("/v1/batch", body) for body in batches], running.port))
    load = World(Options(people=people)).bodies(1_000)
    asyncio.run(send_all([running.request("/v1/batch", body) for body in load], running.port))
    until_folded(running, people + 1_000 * BATCH_EVENTS)


if __name__ == "__main__":
    sys.stdout.write(table(measure(quick="--quick" in sys.argv)) + "\n")
