"""How results are told: percentiles, medians with their range, one table, and JSON files to compare later."""

import json
import math
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

RESULTS = Path(__file__).parent / "results"


class Bound(NamedTuple):
    """What a claim must reach and what it aims at, both in the row's unit; `most`: less is better."""

    must: float
    aim: float
    most: bool = True


class Row(Struct):
    """One line of the table."""

    what: str
    unit: str
    runs: list[float]
    """The same measurement, several times."""
    bound: Bound | None = None
    limit: str = ""
    """The result as a share of one of this machine's own limits, in words."""
    details: dict[str, Any] = {}

    def median(self) -> float:
        """The middle of the runs."""
        return statistics.median(self.runs)

    def verdict(self) -> str:
        """`aim`, `must` or `MISSED`; empty where nothing was promised."""
        if self.bound is None:
            return ""
        value = self.median() if self.bound.most else -self.median()
        must, aim = (self.bound.must, self.bound.aim) if self.bound.most else (-self.bound.must, -self.bound.aim)
        return "aim" if value <= aim else "must" if value <= must else "MISSED"

    def cells(self) -> tuple[str, ...]:
        """What | must | aim | measured | reached | share of the machine's limit."""
        sign = "" if self.bound is None else "≤ " if self.bound.most else "≥ "
        must, aim = "", ""
        if self.bound is not None:
            must, aim = sign + _number(self.bound.must), sign + _number(self.bound.aim)
        measured = _number(self.median())
        if len(self.runs) > 1:
            measured += f" ({_number(min(self.runs))} - {_number(max(self.runs))}, n={len(self.runs)})"
        return f"{self.what}, {self.unit}", must, aim, measured, self.verdict(), self.limit


HEAD = ("what", "must", "aim", "measured: median (min - max, runs)", "reached", "share of the machine's limit")


def table(rows: Sequence[Row]) -> str:
    """The rows as one Markdown table."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEAD))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    shown = ["| " + " | ".join(cells) + " |" for cells in padded]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed (nearest rank); 0 without values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def write(name: str, rows: Sequence[Row]) -> Path:
    """Keep the rows with everything that they depend on as `results/<name>.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    found = [
        {"what": row.what, "unit": row.unit, "median": row.median(), "runs": row.runs, "bound": row.bound,
         "reached": row.verdict(), "limit": row.limit, "details": row.details}
        for row in rows
    ]  # fmt: skip
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path.write_text(json.dumps({"at": at, **machine(), "rows": found}, indent=1))
    return path


def machine() -> dict[str, Any]:
    """Where and on what the numbers were taken, with how busy the machine was with other things."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.processor(),
        "cores": len(cpu),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "load_average": Path("/proc/loadavg").read_text().split()[:3],
    }


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 1_000:
        return f"{value:,.0f}"
    if 0.99 <= value < 1:
        return f"{value:.5f}"  # of a share that is nearly all, what is missing is the news
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
