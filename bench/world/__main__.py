"""`python -m bench.world`: print a world's events with their truth, one JSON document a line."""

import argparse
import sys
from itertools import islice

import msgspec

from bench.world.parameters import INDUSTRIES, load
from bench.world.simulator import World
from onefold.testing.world import rfc3339


def main() -> None:
    """`python -m bench.world [INDUSTRY] [--people N] [--days N] [--seed N] [--limit N]`."""
    parser = argparse.ArgumentParser(prog="bench.world", description=__doc__)
    parser.add_argument("industry", nargs="?", choices=INDUSTRIES, default="retail")
    parser.add_argument("--people", type=int, help="instead of the parameter file's")
    parser.add_argument("--days", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, help="no more events than that")
    given = parser.parse_args()
    figures = load(given.industry)
    figures = msgspec.structs.replace(figures, people=given.people or figures.people, days=given.days or figures.days)
    for happening in islice(World(figures, given.seed).happenings(), given.limit):
        event = happening.event | {"timestamp": rfc3339(happening.at_ms)}
        line = {"event": event, "truth": happening.truth._asdict()}
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")


if __name__ == "__main__":
    main()
