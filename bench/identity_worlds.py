"""Worlds whose truth is known, folded under some rules of identity: what was found, as rows of the proof.

Each case is a run of its own, so that any number of them may go on side by side (`bench.identity`).
"""

from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from bench import splinked
from bench.attribution import Attribution, Outcome, Quality, quality, run
from bench.matched import Matched, housed, match
from bench.report import Bound, Row
from bench.world.parameters import Parameters
from bench.world.simulator import BEGIN_MS, World
from bench.world.truth import Happening
from onefold.limits import DAY_MS
from onefold.matching.index import LINK, REVIEW, Thresholds
from onefold.matching.measures import measure as measured
from onefold.model.identity import IdentifierType, Identity, Policy
from onefold.model.rules import Rules
from onefold.runtime.defining.workspace import load_workspace

SEED = 1
REGION = "US"
SHOP = Path(__file__).parent / "shop.yaml"
"""The rules that are promised by."""
SHOP_RULES = "rules of bench/shop.yaml"
DEFAULT_RULES = "default rules"

UNIFIED = Bound(0.925, 0.97, most=False)
PRECISION = Bound(0.995, 0.999, most=False)
OVER_MERGED = Bound(0.005, 0.001)
CONTROL = Bound(0.1, 0.01)


class Case(NamedTuple):
    """A world, and the rules that it is folded under."""

    parameters: Parameters
    seed: int = SEED
    rules: Rules = Rules(phone_region=REGION)
    policy: str = DEFAULT_RULES
    changed: str = ""
    """How the world is another than its parameter file says."""

    @property
    def name(self) -> str:
        """What stands beside each number."""
        world = self.parameters
        return f"{world.industry}{self.changed}, {world.people:,} people, seed {self.seed}, {self.policy}"

    @property
    def thresholds(self) -> Thresholds:
        """Those of its rules, or else the default ones."""
        said = self.rules.identity.matching
        return Thresholds(said.link or LINK, said.review or REVIEW)

    @property
    def by_name(self) -> bool:
        """Whether its rules tell people apart by names and birthdays."""
        return any(kind.unless for kind in self.rules.identity.types)


class Found(NamedTuple):
    """What came of a case."""

    outcome: Outcome
    matched: Matched
    deterministic: Quality
    probabilistic: Quality


def by_shop(parameters: Parameters, seed: int = SEED, changed: str = "") -> Case:
    """A world under the rules that are promised by."""
    rules = Rules(phone_region=REGION, identity=load_workspace(SHOP).identity)
    return Case(parameters, seed, rules, SHOP_RULES, changed)


def by_policy(parameters: Parameters, policy: Policy) -> Case:
    """A world under a policy with nothing else said."""
    return Case(parameters, rules=Rules(phone_region=REGION, identity=Identity(policy)), policy=f"policy {policy}")


def without_limits(parameters: Parameters) -> Case:
    """A world in which whoever shares anything is one person, whatever speaks against it."""
    anything = Identity("merge-any", (IdentifierType("user_id", unique=False),))
    return Case(parameters, rules=Rules(phone_region=REGION, identity=anything), policy="merge-any without limits")


def sized(parameters: Parameters, people: int) -> Parameters:
    """The same world with so many people."""
    return msgspec.structs.replace(parameters, people=people)


def find(case: Case, happenings: Iterable[Happening] | None = None) -> Found:
    """Fold the world (or these happenings of it) and match what is left."""
    outcome = run(World(case.parameters, case.seed).happenings() if happenings is None else happenings, case.rules)
    matched = match(outcome.records, case.thresholds, by_name=case.by_name)
    return Found(outcome, matched, quality(outcome), quality(outcome, matched.linked.people))


# --- rows ----------------------------------------------------------------------------------------------------------


def everything(case: Case) -> list[Row]:
    """All that is measured of one world."""
    found = find(case)
    rows = []
    for rules, its in (("deterministic", found.deterministic), ("with probabilistic", found.probabilistic)):
        where, bound = f"{case.name}, {rules}", rules != "deterministic"
        whole, named = its.everything, its.named
        rows += [
            row(f"unified: {where}", named.unified, UNIFIED if bound else None, _details(case, found)),
            row(f"exact: {where}", named.exact),
            row(f"pairwise precision: {where}", whole.pairwise.precision, PRECISION),
            row(f"pairwise recall: {where}", whole.pairwise.recall),
            row(f"pairwise F1: {where}", whole.pairwise.f1),
            row(f"B-cubed precision: {where}", whole.bcubed.precision),
            row(f"B-cubed recall: {where}", whole.bcubed.recall),
            row(f"B-cubed F1: {where}", whole.bcubed.f1),
            row(f"over-merged profiles: {where}", whole.over_merged),
            row(f"events in over-merged profiles: {where}", whole.over_merged_mass, OVER_MERGED),
            row(f"attributed to the right person at the end: {where}", its.attribution.right),
            row(f"attributed to a wrong person at the end: {where}", its.attribution.wrong),
        ]
    for n, tenth in enumerate(found.outcome.in_time, start=1):
        if n in (1, 5, 10):
            what = f"attributed to the right person in time, tenth {n} of 10 of the events: {case.name}, deterministic"
            rows.append(row(what, tenth.right, None, tenth._asdict()))
    return rows + _household_rows(case, found) + _splink_rows(case, found)


def promised(case: Case, *, bounds: bool = True) -> list[Row]:
    """The figures of a world that are promised; `bounds`: with what they are to reach."""
    found = find(case)
    rows = []
    for rules, its in (("deterministic", found.deterministic), ("with probabilistic", found.probabilistic)):
        where, bound = f"{case.name}, {rules}", bounds and rules != "deterministic"
        mass = its.everything.over_merged_mass
        rows += [
            row(f"unified: {where}", its.named.unified, UNIFIED if bound else None, _details(case, found)),
            row(f"pairwise precision: {where}", its.everything.pairwise.precision, PRECISION if bounds else None),
            row(f"events in over-merged profiles: {where}", mass, OVER_MERGED if bounds else None),
        ]
    return rows


def one_policy(case: Case) -> list[Row]:
    """All figures of a policy, in as few lines as can be: its clusters, and whom events were attributed to in time."""
    outcome = run(World(case.parameters, case.seed).happenings(), case.rules)
    its, where = quality(outcome), f"{case.name}, deterministic"
    whole, named, time = its.everything, its.named, in_time(outcome)
    return [
        row(f"unified: {where}", named.unified, None, {"exact": named.exact}),
        row(f"pairwise precision: {where}", whole.pairwise.precision, None, whole.pairwise._asdict()),
        row(f"pairwise recall: {where}", whole.pairwise.recall),
        row(f"pairwise F1: {where}", whole.pairwise.f1),
        row(f"B-cubed F1: {where}", whole.bcubed.f1, None, whole.bcubed._asdict()),
        row(f"exact: {where}", named.exact),
        row(f"over-merged profiles: {where}", whole.over_merged),
        row(f"events in over-merged profiles: {where}", whole.over_merged_mass),
        row(f"attributed to the right person in time: {where}", time.right, None, time._asdict()),
        row(f"attributed to a wrong person in time: {where}", time.wrong),
    ]


def by_days(case: Case, days: int) -> list[Row]:
    """The promised figures of a world's first days."""
    until_ms = BEGIN_MS + days * DAY_MS
    whole = World(case.parameters, case.seed).happenings()
    found = find(case, takewhile(lambda happening: happening.at_ms < until_ms, whole))
    where = f"after {days} days: {case.name}, with probabilistic"
    its, time = found.probabilistic, in_time(found.outcome)
    return [
        row(f"unified {where}", its.named.unified, None, _details(case, found)),
        row(f"pairwise precision {where}", its.everything.pairwise.precision),
        row(f"events in over-merged profiles {where}", its.everything.over_merged_mass),
        row(f"attributed to the right person in time {where}", time.right, None, time._asdict()),
    ]


def control(case: Case, what: str) -> list[Row]:
    """A negative control: the same world with its anonymous ids, or e-mails, dealt out anew has to fail visibly."""
    changed = case._replace(changed=f" with shuffled {what}")
    deal = shuffled if what == "anonymous ids" else shuffled_emails
    outcome = run(deal(World(case.parameters, case.seed).happenings(), case.seed), case.rules)
    its = quality(outcome).everything
    bound = CONTROL if what == "anonymous ids" else None
    return [
        row(f"control, to fail visibly: pairwise precision: {changed.name}", its.pairwise.precision, bound),
        row(f"control, to fail visibly: events in over-merged profiles: {changed.name}", its.over_merged_mass),
    ]


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


def shuffled_emails(happenings: Iterable[Happening], seed: int) -> list[Happening]:
    """The same events with their addresses of mail dealt out anew."""
    found = list(happenings)
    emails = [traits["email"] for each in found if "email" in (traits := each.event.get("traits") or {})]
    Random(seed).shuffle(emails)
    dealt = iter(emails)
    return [
        each._replace(event=each.event | {"traits": each.event["traits"] | {"email": next(dealt)}})
        if "email" in (each.event.get("traits") or {}) else each
        for each in found
    ]  # fmt: skip


def scoring(case: Case) -> list[Row]:
    """How fast profiles are put and scored, one by one, by weights that are learnt already."""
    found = find(case)
    runs = [match(found.outcome.records, case.thresholds, found.matched.weights).a_second for _ in range(3)]
    details = {"profiles": len(found.outcome.records), "learning_s": found.matched.learning_s}
    what = f"profiles put and scored one by one: {case.name}"
    return [Row(what, "a second of CPU", runs, Bound(500, 500, most=False), "", details)]


def in_time(outcome: Outcome) -> Attribution:
    """At the instant of each event, over the whole time."""
    tenths = outcome.in_time
    return Attribution(*(sum(shares) / len(tenths) for shares in zip(*tenths, strict=True)))


def _household_rows(case: Case, found: Found) -> list[Row]:
    """Households, as a graph over the profiles that have an address."""
    people = World(case.parameters, case.seed).households
    homes = {person.number: household.number for household in people for person in household.people}
    owners = found.outcome.persons()
    records = {profile: record for profile, record in found.outcome.records.items() if profile in owners}
    truth = {profile: homes[person] for profile, person in owners.items()}
    return [households_row(case.name, truth, housed(records, found.matched.weights))]


def households_row(where: str, truth: Mapping[int, Any], found: dict[int, int]) -> Row:
    """How well people were put together who live together."""
    score = measured({profile: truth[profile] for profile in found}, found).bcubed
    details = {"precision": score.precision, "recall": score.recall, "profiles": len(found)}
    return row(f"households, B-cubed F1: {where}", score.f1, None, details)


def _splink_rows(case: Case, found: Found) -> list[Row]:
    """Splink on the profiles that the deterministic rules left, linked from the same score on, as ours are."""
    records = {profile: record for profile, record in found.outcome.records.items() if record.tells()}
    splink = splinked.attempt(records, case.thresholds.link)
    if splink is None:
        return []
    its, where = quality(found.outcome, splink.linked.people), f"{case.name}, Splink instead of ours"
    details = {
        "records": len(records), "linked": splink.linked.taken, "refused": splink.linked.refused,
        "learning_s": splink.learning_s, "scoring_s": splink.scoring_s, "our_learning_s": found.matched.learning_s,
    }  # fmt: skip
    return [
        row(f"unified: {where}", its.named.unified, None, details),
        row(f"pairwise precision: {where}", its.everything.pairwise.precision),
        row(f"events in over-merged profiles: {where}", its.everything.over_merged_mass),
    ]


def row(what: str, value: float, bound: Bound | None = None, details: Mapping[str, Any] | None = None) -> Row:
    """A share, as a line of the table."""
    return Row(what, "share", [value], bound, "", dict(details or {}))


def _details(case: Case, found: Found) -> dict[str, object]:
    outcome, linked = found.outcome, found.matched.linked
    return {
        "people": case.parameters.people, "days": case.parameters.days, "events": len(outcome.done),
        "records": len(outcome.owners), "records_that_name": len(outcome.naming), "profiles": len(outcome.events),
        "proposals": len(found.matched.proposals), "linked": linked.taken, "refused": linked.refused,
        "asked": sum(each.ask for each in found.matched.proposals), "learning_s": found.matched.learning_s,
        "link": case.thresholds.link, "review": case.thresholds.review,
    }  # fmt: skip
