"""Proof of identity: how well the platform tells people apart, on data whose truth is known.

`python -m bench identity` or `onefold bench identity`. Each line says what was measured, of which data with which seed,
and by which rules; `DEFINITIONS` says what the words mean. Whatever is reached is printed as it is.

Deterministic: the platform's own rules, through the real step and the embedded state (`bench.attribution`). With
probabilistic: besides, the profiles that it left are compared with each other (`bench.matched`), by weights learnt of
them alone, and the proposals above the threshold of linking are taken. Nothing is tuned to the truth.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from bench import febrl, pseudopeople_data, resolving, splinked
from bench.attribution import Outcome, Quality, quality, run
from bench.matched import THRESHOLDS, Matched, housed, match
from bench.report import Bound, Row, table
from bench.world.parameters import INDUSTRIES, Parameters, apart, load, noisier, sharing
from bench.world.simulator import World
from bench.world.truth import Happening
from onefold.errors import SettingsError
from onefold.matching.learning import learn
from onefold.matching.linking import Linked
from onefold.matching.measures import Score
from onefold.matching.measures import measure as measured
from onefold.matching.record import Record
from onefold.model.rules import Rules

SEED = 1
PEOPLE = 4_000
"""Of a world; those that are changed have a fourth of them."""
RULES = Rules(phone_region="US")
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

UNIFIED = Bound(0.925, 0.97, most=False)
PRECISION = Bound(0.995, 0.999, most=False)
OVER_MERGED = Bound(0.005, 0.001)
CONTROL = Bound(0.1, 0.01)
FEBRL4 = Bound(0.97, 0.99, most=False)
A_SECOND = Bound(500, 500, most=False)


class Case(NamedTuple):
    """A world, and the rules that it is folded under."""

    parameters: Parameters
    seed: int = SEED
    rules: Rules = RULES
    policy: str = "default rules"
    changed: str = ""
    """How the world is another than its parameter file says."""

    @property
    def name(self) -> str:
        """What stands beside each number."""
        world = self.parameters
        return f"{world.industry}{self.changed}, {world.people:,} people, seed {self.seed}, {self.policy}"


class Found(NamedTuple):
    """What came of a case."""

    outcome: Outcome
    matched: Matched
    deterministic: Quality
    probabilistic: Quality


def find(case: Case, happenings: Iterable[Happening] | None = None) -> Found:
    """Fold the world (or these happenings of it) and match what is left."""
    outcome = run(World(case.parameters, case.seed).happenings() if happenings is None else happenings, case.rules)
    matched = match(outcome.records)
    return Found(outcome, matched, quality(outcome), quality(outcome, matched.linked.people))


def measure(*, quick: bool) -> list[Row]:
    """The proof table."""
    people = PEOPLE // 4 if quick else PEOPLE
    rows = resolving.measure(quick=quick)
    for industry in INDUSTRIES:
        case = Case(_sized(load(industry), people))
        found = find(case)
        rows += world_rows(case, found) if industry == "retail" else _short_rows(case, found)
        if industry == "retail":
            rows += _household_rows(case, found)
            rows += _optional(partial(_splink_rows, case, found))
    rows += _varied_rows(_sized(load("retail"), people // 4))
    rows += _control_rows(_sized(load("retail"), people // 4))
    rows += _optional(febrl_rows)
    rows += _optional(_pseudopeople_rows)
    return rows


def _optional(rows: Callable[[], Iterable[Row]]) -> list[Row]:
    """These rows, or none where a package is missing that they need."""
    try:
        return list(rows())
    except SettingsError as error:
        sys.stderr.write(f"left out: {error}\n")
        return []


def _sized(parameters: Parameters, people: int) -> Parameters:
    return msgspec.structs.replace(parameters, people=people)


def world_rows(case: Case, found: Found) -> list[Row]:
    """Everything that is measured of one world."""
    rows = []
    for rules, its in (("deterministic", found.deterministic), ("with probabilistic", found.probabilistic)):
        where, bound = f"{case.name}, {rules}", rules != "deterministic"
        everything, named = its.everything, its.named
        rows += [
            _row(f"unified: {where}", named.unified, UNIFIED if bound else None, _details(case, found)),
            _row(f"exact: {where}", named.exact),
            _row(f"pairwise precision: {where}", everything.pairwise.precision, PRECISION),
            _row(f"pairwise recall: {where}", everything.pairwise.recall),
            _row(f"pairwise F1: {where}", everything.pairwise.f1),
            _row(f"B-cubed precision: {where}", everything.bcubed.precision),
            _row(f"B-cubed recall: {where}", everything.bcubed.recall),
            _row(f"B-cubed F1: {where}", everything.bcubed.f1),
            _row(f"over-merged profiles: {where}", everything.over_merged),
            _row(f"events in over-merged profiles: {where}", everything.over_merged_mass, OVER_MERGED),
            _row(f"attributed to the right person at the end: {where}", its.attribution.right),
            _row(f"attributed to a wrong person at the end: {where}", its.attribution.wrong),
        ]
    for n, tenth in enumerate(found.outcome.in_time, start=1):
        if n in (1, 5, 10):
            what = f"attributed to the right person in time, tenth {n} of 10 of the events: {case.name}, deterministic"
            rows.append(_row(what, tenth.right, None, tenth._asdict()))
    rows.append(
        Row(f"profiles put and scored one by one: {case.name}", "a second of CPU", [found.matched.a_second], A_SECOND)
    )
    return rows


def _household_rows(case: Case, found: Found) -> Iterator[Row]:
    """Households, as a graph over the profiles that have an address."""
    people = World(case.parameters, case.seed).households
    homes = {person.number: household.number for household in people for person in household.people}
    owners = found.outcome.persons()
    records = {profile: record for profile, record in found.outcome.records.items() if profile in owners}
    truth = {profile: homes[person] for profile, person in owners.items()}
    yield _households_row(case.name, truth, housed(records, found.matched.weights))


def _households_row(where: str, truth: Mapping[int, Any], found: dict[int, int]) -> Row:
    score = measured({profile: truth[profile] for profile in found}, found).bcubed
    details = {"precision": score.precision, "recall": score.recall, "profiles": len(found)}
    return _row(f"households, B-cubed F1: {where}", score.f1, None, details)


def _short_rows(case: Case, found: Found) -> Iterator[Row]:
    """The four figures of a world that are promised."""
    for rules, its in (("deterministic", found.deterministic), ("with probabilistic", found.probabilistic)):
        where, bound = f"{case.name}, {rules}", rules != "deterministic"
        yield _row(f"unified: {where}", its.named.unified, UNIFIED if bound else None, _details(case, found))
        yield _row(f"pairwise precision: {where}", its.everything.pairwise.precision, PRECISION)
        yield _row(f"events in over-merged profiles: {where}", its.everything.over_merged_mass, OVER_MERGED)


def _varied_rows(parameters: Parameters) -> Iterator[Row]:
    """By errors, by how much is done on devices of several people, and without contacts of several."""
    worlds = {
        f" with {factor} times the {label}": change(parameters, factor)
        for label, change in (("errors", noisier), ("shared devices", sharing))
        for factor in (0, 3)
    }
    for changed, its in {**worlds, " with no contacts of two people": apart(parameters)}.items():
        case = Case(its, changed=changed)
        for row in _short_rows(case, find(case)):
            row.bound = None  # what is promised, is promised of the world as it is
            yield row


def _control_rows(parameters: Parameters) -> Iterator[Row]:
    """The negative control: the same world with its anonymous ids dealt out anew has to fail visibly."""
    case = Case(parameters, changed=" with shuffled identifiers")
    found = find(case, shuffled(World(parameters).happenings(), SEED))
    its = found.deterministic.everything
    yield _row(f"control, to fail visibly: pairwise precision: {case.name}", its.pairwise.precision, CONTROL)
    yield _row(f"control, to fail visibly: events in over-merged profiles: {case.name}", its.over_merged_mass)


def shuffled(happenings: Iterable[Happening], seed: int) -> list[Happening]:
    """The same events with their anonymous ids dealt out anew."""
    found = list(happenings)
    ids = [each.event.get("anonymousId") for each in found]
    Random(seed).shuffle(ids)
    return [
        each if anonymous is None or "anonymousId" not in each.event
        else Happening(each.at_ms, each.event | {"anonymousId": anonymous}, each.truth)
        for each, anonymous in zip(found, ids, strict=True)
    ]  # fmt: skip


def _splink_rows(case: Case, found: Found) -> Iterator[Row]:
    """Splink on the profiles that the deterministic rules left, linked from the same score on, as ours are."""
    records = {profile: record for profile, record in found.outcome.records.items() if record.tells()}
    splink = splinked.match(records, THRESHOLDS.link)
    its, where = quality(found.outcome, splink.linked.people), f"{case.name}, Splink instead of ours"
    details = {
        "records": len(records), "linked": splink.linked.taken, "refused": splink.linked.refused,
        "learning_s": splink.learning_s, "scoring_s": splink.scoring_s, "our_learning_s": found.matched.learning_s,
    }  # fmt: skip
    yield _row(f"unified: {where}", its.named.unified, None, details)
    yield _row(f"pairwise precision: {where}", its.everything.pairwise.precision)
    yield _row(f"events in over-merged profiles: {where}", its.everything.over_merged_mass)


def febrl_rows() -> Iterator[Row]:
    """FEBRL's four data sets, as one heap of records each."""
    for number in (1, 2, 3, 4):
        data = febrl.load(number)
        records = dict(enumerate(data.records))
        bound = FEBRL4 if number == 4 else None
        yield _pairs_row(f"FEBRL{number}, F1", data.entities, records, bound)
        if number == 4:
            bare = {n: structs.replace(record, numbers=()) for n, record in records.items()}
            yield _pairs_row("FEBRL4 without its number of social security, F1", data.entities, bare)
            splink = partial(_splink_pairs_row, "FEBRL4, F1", data.entities, records)
            yield from _optional(splink)


def _pseudopeople_rows() -> Iterator[Row]:
    """A census and a year's tax forms of one town, as one heap of records."""
    sample = pseudopeople_data.load()
    records = dict(enumerate(sample.records))
    what = f"pseudopeople, census and tax forms, seed {pseudopeople_data.SEED}, F1"
    yield _pairs_row(what, sample.people, records)
    yield from _optional(partial(_splink_pairs_row, what, sample.people, records))
    found = housed(records, learn(list(records.values())))
    yield _households_row("pseudopeople, group quarters included", dict(enumerate(sample.households)), found)


def _pairs_row(what: str, people: Sequence[str], records: dict[int, Record], bound: Bound | None = None) -> Row:
    found = match(records)
    score = score_of(people, found.linked)
    details = {
        "precision": score.precision, "recall": score.recall, "records": len(records),
        "learning_s": found.learning_s, "profiles_a_second_of_cpu": found.a_second,
    }  # fmt: skip
    return _row(f"{what}: weights learnt of its records alone", score.f1, bound, details)


def _splink_pairs_row(what: str, people: Sequence[str], records: dict[int, Record]) -> Iterator[Row]:
    found = splinked.match(records, THRESHOLDS.link)
    score = score_of(people, found.linked)
    details = {
        "precision": score.precision, "recall": score.recall, "records": len(records),
        "learning_s": found.learning_s, "scoring_s": found.scoring_s,
    }  # fmt: skip
    yield _row(f"{what}: Splink", score.f1, None, details)


def score_of(people: Sequence[str], linked: Linked) -> Score:
    """Pairwise precision and recall of what was linked."""
    truth = dict(enumerate(people))
    return measured(truth, {n: linked.people.get(n, n) for n in truth}).pairwise


def _row(what: str, value: float, bound: Bound | None = None, details: Mapping[str, Any] | None = None) -> Row:
    return Row(what, "share", [value], bound, "", dict(details or {}))


def _details(case: Case, found: Found) -> dict[str, object]:
    outcome, linked = found.outcome, found.matched.linked
    return {
        "people": case.parameters.people, "days": case.parameters.days, "events": len(outcome.done),
        "records": len(outcome.owners), "records_that_name": len(outcome.naming), "profiles": len(outcome.events),
        "proposals": len(found.matched.proposals), "linked": linked.taken, "refused": linked.refused,
        "asked": sum(each.ask for each in found.matched.proposals), "learning_s": found.matched.learning_s,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fourth of the people")
    given = parser.parse_args()
    sys.stdout.write(table(measure(quick=given.quick)) + "\n\n" + DEFINITIONS + "\n")
