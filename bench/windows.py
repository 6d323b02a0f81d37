"""What windows and sequences cost an event that they mention, against lifetime definitions that mention as much.

`python -m bench windows [--quick]`, or `python -m bench.windows` for the costs by stage. Every event of the workload is
mentioned by four definitions of a family; its lifetime twin asks the same of all time. Records already in memory are
folded as a worker does (`bench.step`), into a real state on disk, everything fsynced.
"""

import argparse
import sys
from statistics import median

from bench.report import Bound, Row
from bench.step import STAGES, Costs, costs, log_of
from bench.workload import BATCH_EVENTS, MIX, Options, World
from onefold.model.definitions import Audience, Definitions

_NAMES = [name for name, _ in MIX if name != "page"]
_PER_NAME = 4
PEOPLE = 2_000
"""Few, and so busy: windows that are empty would cost nothing."""
_REQUEST_EVERY_MS = 60_000
"""Of the log's own time, so that windows and gaps of hours mean something."""


def _asked(window: str) -> list[str]:
    """Of each event name two counts and two sums, in a window."""
    return [
        f"{what.format(name)[:-1]}{window}) > {limit}"
        for name in _NAMES
        for what, limit in (
            ('count("{}")', 5), ('count("{}", where=properties.price > 100)', 5),
            ('sum("{}", properties.price)', 500), ('sum("{}", properties.revenue)', 2_000),
        )
    ]  # fmt: skip


def _in_turn(text: str) -> list[str]:
    """The same of each event name and the two that follow it."""
    around = [*_NAMES, *_NAMES]
    return [text.format(*around[i : i + 3]) for i in range(len(_NAMES))]


_NOTHING = "nothing"
_LIFETIME = "lifetime"
_THREE = "lifetime, three names"
FAMILIES: dict[str, tuple[str, list[str]]] = {
    _NOTHING: ("", []),
    _LIFETIME: ("", _asked("")),
    "within 7 days": (_LIFETIME, _asked(', within="7d"')),
    "between 2 and 1 days ago": (_LIFETIME, _asked(', within=between("2d", "1d")')),
    "this month": (_LIFETIME, _asked(', within="this_month"')),
    "this month of the person": (_LIFETIME, _asked(', within="this_month", timezone="person"')),
    _THREE: ("", _in_turn('count("{}") > 0 and count("{}") > 0 and count("{}") == 0')),
    "sequences": (_THREE, _in_turn('sequence("{}", then="{}", absent="{}", within="1d")')),
    "sequences of one product": (
        _THREE, _in_turn('sequence("{}", then="{}", absent="{}", within="1d", same=properties.product_id)'),
    ),
    "silence after": (_THREE, _in_turn('sequence("{}", without("{}", within="1h"), without("{}", within="1h"))')),
}  # fmt: skip
"""Family → its lifetime twin, and the conditions."""


def _log(bodies: list[bytes], conditions: list[str]) -> list[bytes]:
    audiences = tuple(Audience(f"a{i}", text) for i, text in enumerate(conditions))
    return log_of(bodies, Definitions(version=1, audiences=audiences), _REQUEST_EVERY_MS)


def _measured(events: int, runs: int) -> dict[str, list[Costs]]:
    """All families in turn, so that what else the machine does meets each alike."""
    bodies = World(Options(people=PEOPLE, zones=True)).bodies(events // BATCH_EVENTS)
    logs = {family: _log(bodies, conditions) for family, (_, conditions) in FAMILIES.items()}
    found: dict[str, list[Costs]] = {family: [] for family in FAMILIES}
    for run in range(runs):
        for family, log in logs.items():
            sys.stderr.write(f"run {run + 1} of {runs}: {family} …\n")
            found[family].append(costs(log, events))
    return found


def measure(*, quick: bool) -> list[Row]:
    """The ratio of each family to its lifetime twin: what an event costs in all."""
    events, runs = (40_000, 3) if quick else (200_000, 5)
    found = _measured(events, runs)
    rows = []
    for family, (twin, conditions) in FAMILIES.items():
        if not twin:
            continue
        pairs = list(zip(found[family], found[twin], found[_NOTHING], strict=True))
        details = {
            "us an event": [round(a.whole, 2) for a, _, _ in pairs],
            "its twin, us an event": [round(b.whole, 2) for _, b, _ in pairs],
            "step alone, ratio": median(a.stages["step"] / b.stages["step"] for a, b, _ in pairs),
            "what the definitions add to the step, ratio": median(
                (a.stages["step"] - c.stages["step"]) / (b.stages["step"] - c.stages["step"]) for a, b, c in pairs
            ),
            "definitions": len(conditions),
            "events": events,
            "profiles": pairs[0][0].profiles,
        }
        ratios = [a.whole / b.whole for a, b, _ in pairs]
        rows.append(
            Row(
                f"{family}: an event in the worker, against {twin}",
                "ratio of CPU",
                ratios,
                Bound(2.0, 1.3),
                "",
                details,
            )
        )
    return rows


def main() -> None:
    """Print every family's costs by stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    found = _measured(given.events, given.runs)
    print(
        f"{given.events:,} events of 500 bytes, a request of {BATCH_EVENTS} a minute, {found[_NOTHING][0].profiles:,} "
        f"profiles at the end, {_PER_NAME} definitions over each event name (of sequences three); CPU us an event, "
        f"median of {given.runs} runs, all fsynced"
    )
    for family, runs in found.items():
        twin = FAMILIES[family][0]
        stages = "  ".join(f"{stage} {median(run.stages[stage] for run in runs):.2f}" for stage in STAGES)
        whole = median(run.whole for run in runs)
        ratio = ""
        if twin:
            pairs = list(zip(runs, found[twin], strict=True))
            ratio = f"  x{median(a.whole / b.whole for a, b in pairs):.2f} of {twin}"
            ratio += f", step x{median(a.stages['step'] / b.stages['step'] for a, b in pairs):.2f}"
        print(f"  {family:26} {whole:6.2f}  {stages}{ratio}")


if __name__ == "__main__":
    main()
