"""Proof of identity: how well the platform tells people apart, on data whose truth is known.

`python -m bench identity` or `onefold bench identity`. Each line says what was measured, of which data with which seed,
and by which rules; `DEFINITIONS` says what the words mean. Whatever is reached is printed as it is.

Deterministic: the platform's own rules, through the real step and the embedded state (`bench.attribution`). With
probabilistic: besides, the profiles that it left are compared with each other (`bench.matched`), by weights learnt of
them alone, and the proposals above the threshold of linking are taken. Nothing is tuned to the truth of the seeds that
are promised by: rules and comparisons were made by looking at others (`DEVELOPED_ON`), which are printed, too.

What costs time is measured first, alone; then each world is a process of its own, as many at once as there are cores.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from bench import identity_pairs as pairs
from bench import identity_worlds as worlds
from bench import resolving
from bench.identity_worlds import Case, by_policy, by_shop, sized, without_limits
from bench.report import Row, table
from bench.world.parameters import INDUSTRIES, apart, load, noisier, sharing
from onefold.errors import SettingsError
from onefold.model.identity import POLICIES

PEOPLE = 4_000
"""Of a world; all but those that are promised by have a fourth of them."""
ANOTHER_SEED = 2
DEVELOPED_ON = 11
"""A seed whose truth was looked at when rules and comparisons were made; so were 12 to 14."""
DAYS = (10, 30, 60, 90)
DEFINITIONS = """\
record: what a source keeps its events under (an account, a browser, a card, a receipt, a call). Its owner is whose
  account it is, or the one person who has used it; those that several have used (a family's tablet, a laptop that was
  lent, a terminal in a shop) have none, and are measured by their events alone.
a record that names: one with an event that carries its owner's account, e-mail, phone or name.
unified: of the people with two records or more that name them, those whose records are all in one profile.
exact: of the people with records that name them, those whose records make up one profile with nobody else's in it.
pairwise precision, recall: over pairs of records, those that name nobody too: of the pairs in one profile, the share of
  one owner; of the pairs of one owner, the share in one profile. B-cubed: the same for each record, averaged.
over-merged: a profile with records of two owners; rate: of all profiles with records; events: of all events, those in
  such profiles.
attributed: an event whose profile is known as the person who did it, that is, most of its events that name somebody
  name that person. In time: at the instant of its admission; else at the end. Unknown: the profile names nobody yet.
households: profiles with an address, grouped by who lives together; of a profile, B-cubed over its household.
FEBRL: pairs of records of one person among all pairs, without a hint which file a record is of."""


class Job(NamedTuple):
    """What a process of its own measures."""

    measure: Callable[..., list[Row]]
    given: tuple[object, ...]


def measure(*, quick: bool) -> list[Row]:
    """The proof table."""
    rows = resolving.measure(quick=quick)
    rows += worlds.scoring(by_shop(sized(load("retail"), PEOPLE // 4)))
    context = get_context("spawn")
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1), mp_context=context) as pool:
        running = [pool.submit(_done, job) for job in jobs(PEOPLE // 4 if quick else PEOPLE)]
        for each in running:
            rows += each.result()
    return rows


def _done(job: Job) -> list[Row]:
    """The rows of a job; what it was and cost is said meanwhile, as the whole takes minutes."""
    began_s = time.process_time()
    try:
        rows = job.measure(*job.given)
    except SettingsError as error:
        sys.stderr.write(f"left out: {error}\n")
        return []
    sys.stderr.write(f"{time.process_time() - began_s:6.1f} s of CPU  {rows[0].what}\n")
    return rows


def jobs(people: int) -> Iterator[Job]:
    """All that is measured, the longest first within what belongs together; `people`: of the worlds promised by."""
    for industry in INDUSTRIES:
        case = by_shop(sized(load(industry), people))
        yield Job(worlds.everything if industry == "retail" else worlds.promised, (case,))
    few = {industry: sized(load(industry), PEOPLE // 4) for industry in INDUSTRIES}
    for its in few.values():
        yield Job(worlds.promised, (by_shop(its, ANOTHER_SEED),))
        yield Job(_unbound, (by_shop(its, DEVELOPED_ON),))
        yield Job(_unbound, (Case(its),))
    retail = few["retail"]
    yield from (Job(worlds.one_policy, (by_policy(retail, policy),)) for policy in POLICIES)
    yield Job(worlds.one_policy, (without_limits(retail),))
    yield Job(worlds.one_policy, (by_shop(retail),))
    yield from (Job(worlds.by_days, (by_shop(retail), days)) for days in DAYS)
    for label, change in (("errors", noisier), ("shared devices", sharing)):
        for factor in (0, 3):
            changed = f" with {factor} times the {label}"
            yield Job(_unbound, (by_shop(change(retail, factor), changed=changed),))
    yield Job(_unbound, (by_shop(apart(retail), changed=" with no contacts of two people"),))
    yield Job(worlds.control, (Case(retail), "anonymous ids"))
    yield Job(worlds.control, (Case(retail), "e-mails"))
    yield from (Job(pairs.febrl_rows, (number,)) for number in (1, 2, 3, 4))
    yield Job(pairs.pseudopeople_rows, ())


def _unbound(case: Case) -> list[Row]:
    """What is promised, is promised of worlds as they are, of seeds that nobody looked at, by the rules that say so."""
    return worlds.promised(case, bounds=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fourth of the people")
    given = parser.parse_args()
    sys.stdout.write(table(measure(quick=given.quick)) + "\n\n" + DEFINITIONS + "\n")
