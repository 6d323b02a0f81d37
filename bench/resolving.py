"""What identity costs: looking up identifiers within the step, merging, and a value that a million others come with.

`python -m bench identity [--quick]` has these rows first. The step alone is timed, as CPU of this process: views are
made beforehand, of profiles that are in memory, so that what is measured is resolving, and not the engine that loads.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import structs

from bench.report import Bound, Row
from onefold.core import pipeline
from onefold.core.batch import Batch, Incoming, named_by
from onefold.core.identity.identifiers import finder_of
from onefold.core.identity.resolve import resolve
from onefold.core.identity.rulebook import rulebook_of
from onefold.core.run import Run
from onefold.language.reading.check import checked
from onefold.language.stream.compile import compile_definitions
from onefold.language.stream.program import Program
from onefold.model.changes import Cursor, View
from onefold.model.definitions import Definitions
from onefold.model.event import Excerpt
from onefold.model.identity import IdentifierType, Identity, Policy
from onefold.model.position import position
from onefold.model.profile import Profile
from onefold.model.rules import Rules
from onefold.runtime.heap import without_collector

_NOW_MS = 1_750_000_000_000
_BATCH = 200
"""Events whose views are made together, as in folding."""
_MERGED = 500
"""Identifiers of each of two profiles that merge."""
_TYPES = (IdentifierType("user_id", unique=True), IdentifierType("email"), IdentifierType("anonymous_id"))


def program_of(identity: Identity) -> Program:
    """Definitions that say nothing but this of identity."""
    return compile_definitions(checked(Definitions(identity=identity)), 1)


class People:
    """The profiles of a state, in memory, folded batch by batch."""

    def __init__(self, identity: Identity) -> None:
        self._program = program_of(identity)
        self._rules = Rules(identity=identity)
        self.finder = finder_of(self._rules)
        self.owners: dict[str, int] = {}
        self.profiles: dict[int, Profile] = {}
        self._offset = 0
        self.seconds = 0.0
        self.looked_up = 0

    def take(self, events: Iterable[Excerpt], stage: Callable[[Run, Batch, View], None] = pipeline.step) -> None:
        """Fold these events in one batch; the time of the step alone is added to `seconds`."""
        batch = self._batch(events)
        names = {name for who in named_by(batch.incoming) for name in who.identifiers}
        owners = {name: self.owners[name] for name in names if name in self.owners}
        view = View(owners, {owner: self.profiles[owner] for owner in owners.values()}, {})
        run = Run(0, self._program, self._rules)
        begin = time.process_time()
        stage(run, batch, view)
        self.seconds += time.process_time() - begin
        self.looked_up += sum(len(each.who.identifiers) for each in batch.incoming)
        self.owners |= run.moved
        self.profiles |= run.touched
        for gone in run.absorbed:
            self.profiles.pop(gone, None)

    def _batch(self, events: Iterable[Excerpt]) -> Batch:
        self._offset += 1
        incoming = [
            Incoming(event, "s", place, _NOW_MS, _NOW_MS, place.to_bytes(8), self.finder.find(event))
            for place, event in enumerate(events, start=position(self._offset, 0))
        ]
        for each in incoming:
            each.who = structs.replace(each.who)  # Without the hints of an earlier batch: each is looked up.
        return Batch(0, Cursor(self._offset), incoming, [])


def only_resolve(run: Run, batch: Batch, view: View) -> None:
    """Find the profile of each event, and nothing else."""
    run.see(view)
    for incoming in batch.incoming:
        run.at(incoming.position, incoming.received_ms)
        resolve(run, incoming)


def look_ups(identity: Identity, events: int) -> float:
    """Identifiers that are looked up in a second of CPU, of people who are known by three each."""
    people = People(identity)
    crowd = [_visit(f"u{n}", f"a{n}", f"p{n}@acme.com") for n in range(events // 10)]
    for some in _batches(crowd):
        people.take(some)
    people.seconds, people.looked_up = 0.0, 0
    for some in _batches([crowd[(7 * n) % len(crowd)] for n in range(events)]):
        people.take(some, only_resolve)
    return people.looked_up / people.seconds


def one_merge(identity: Identity) -> float:
    """Milliseconds of one merge of two profiles that have 1,000 identifiers together."""
    people = People(identity)
    for owner in ("x@acme.com", "y@acme.com"):
        for some in _batches([_visit(None, f"{owner}{n}", owner) for n in range(_MERGED - 1)]):
            people.take(some)
    people.seconds = 0.0
    before = len(people.profiles)
    people.take([Excerpt("identify", traits={"email": "x@acme.com"}, context=_context("y@acme.com"))])
    assert len(people.profiles) == before - 1
    return 1000 * people.seconds


def one_value(others: int) -> tuple[float, float, int]:
    """Microseconds of the first and of the last tenth of events that all have one address; how many it joined."""
    people = People(Identity(types=_TYPES, hot=250))
    tenths: list[float] = []
    for tenth in range(10):
        people.seconds = 0.0
        for first in range(tenth * others // 10, (tenth + 1) * others // 10, _BATCH):
            people.take([_visit(None, f"a{n}", "team@acme.com") for n in range(first, first + _BATCH)])
            if tenth:  # What nobody looks at again is let go of, so that the step is measured and not the memory.
                _forget(people)
        tenths.append(1e6 * people.seconds / (others / 10))
    joined = people.profiles[people.owners["email:team@acme.com"]]
    return tenths[0], tenths[-1], len(joined.identifiers)


def _forget(people: People) -> None:
    hot = people.owners["email:team@acme.com"]
    people.profiles = {hot: people.profiles[hot]}
    people.owners = dict.fromkeys(people.profiles[hot].identifiers, hot)


def _visit(user: str | None, anonymous: str, email: str) -> Excerpt:
    return Excerpt("identify", userId=user, anonymousId=anonymous, traits={"email": email})


def _context(email: str) -> Any:
    from onefold.model.event import Context

    return Context(externalIds=[{"id": email, "type": "email"}])


def _batches(events: Sequence[Excerpt]) -> Iterable[Sequence[Excerpt]]:
    return (events[first : first + _BATCH] for first in range(0, len(events), _BATCH))


def measure(*, quick: bool) -> list[Row]:
    """Look-ups by policy, one merge, and a million others on one value."""
    events, runs, others = (30_000, 3, 100_000) if quick else (100_000, 3, 1_000_000)
    rows: list[Row] = []
    policies: list[tuple[str, Identity]] = [("as built in", Identity())]
    named: tuple[Policy, ...] = ("merge-any", "segment", "adobe-graph-linking", "mparticle-profile-conversion")
    policies += [(policy, Identity(policy, _TYPES if policy != "segment" else (), hot=250)) for policy in named]
    with without_collector():
        for label, identity in policies:
            assert (rulebook_of(identity) is None) == (label == "as built in")
            found = [look_ups(identity, events) / 1e3 for _ in range(runs)]
            what = f"identifiers looked up in the step, {label}, thousands a second of CPU"
            rows.append(Row(what, "thousand/s", found, Bound(300.0, 300.0, most=False), "", {"events": events}))
        merges = [one_merge(Identity(types=_TYPES)) for _ in range(runs)]
        rows.append(
            Row("one merge of two profiles with 1,000 identifiers", "ms of CPU", merges, Bound(10.0, 10.0), "", {})
        )
        first, last, joined = one_value(others)
        details = {"others": others, "first tenth, us an event": first, "joined": joined}
        what = f"an event of the last tenth of {others:,} with one address, after it is hot"
        rows.append(Row(what, "us of CPU", [last], Bound(100.0, 50.0), "", details))
    return rows
