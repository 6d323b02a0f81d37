"""`make bench`: every published claim, measured on this machine, as one table; details go to `bench/results/`."""

import argparse
import json
import sys
from importlib import import_module

from bench import machine
from bench.report import Row, table, write
from onefold.errors import SettingsError

CLAIMS = (
    "machine", "path", "collect", "latency", "step", "windows", "audiences", "timers", "peers", "scale", "api",
    "million", "rebuild", "history", "backfill", "unmerge", "whatif", "preview", "as_of", "identity", "cluster",
)  # fmt: skip


def main() -> None:
    """`python -m bench [CLAIM …] [--quick] [--json]`."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=f"of: {', '.join(CLAIMS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="one short run each: for a look, not for the docs")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    given = parser.parse_args()
    if unknown := [claim for claim in given.claims if claim not in CLAIMS]:
        parser.error(f"unknown claim {unknown[0]!r}; there are: {', '.join(CLAIMS)}")
    rows: list[Row] = []
    for claim in given.claims or CLAIMS:
        sys.stderr.write(f"measuring {claim} …\n")
        try:
            found = import_module(f"bench.{claim}").measure(quick=given.quick)
        except SettingsError as error:
            if given.claims:
                raise
            sys.stderr.write(f"{claim} is left out: {error}\n")
            continue
        for row in found:
            row.limit = row.limit or machine.share(row, machine.limits(quick=given.quick))
        write(claim, found)
        rows += found
    if given.json:
        shown = [
            {
                "what": r.what,
                "unit": r.unit,
                "runs": r.runs,
                "reached": r.verdict(),
                "limit": r.limit,
                "details": r.details,
            }
            for r in rows
        ]
        sys.stdout.write(json.dumps(shown, indent=1) + "\n")
    else:
        sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    main()
