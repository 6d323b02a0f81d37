"""A world through the real platform, and what the platform made of it, beside the truth.

Events are folded by the worker's own code into the embedded state on disk, some thousand at a time, in order of time;
what the platform said of each is read from its effects. Two things are measured. *Clustering*: a record is what a
source keeps its events under (an account, a browser, a card, a receipt, a call). Its owner is whose account or card it
is, and of a browser whoever has used it; those that several people have used are left out. *Attribution*: at the
instant an event was admitted, was its profile known as the person who did it? A profile is known as the person whom
most of its events so far have named.
"""

import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bench.reresolved import reresolve
from bench.world.simulator import BEGIN_MS
from bench.world.truth import NOBODY, Happening, Truth
from onefold.core.identity.identifiers import normalise
from onefold.matching.measures import Clustering, measure
from onefold.matching.record import Record, of_profile
from onefold.model import profile as profiles
from onefold.model.definitions import Definitions
from onefold.model.effect import Admitted, Merged
from onefold.model.rules import Rules
from onefold.storage.embedded.state import LmdbState
from onefold.testing.world import World as Platform
from onefold.testing.world import rfc3339

REQUEST_EVENTS = 100
_FOLD_EVENTS = 5_000
"""Sent before they are folded."""


class Attribution(NamedTuple):
    """Shares of the events, by what their profile was known as."""

    right: float
    """The person who did it."""
    unknown: float
    """Nobody yet."""
    wrong: float
    """Somebody else."""


class Outcome(NamedTuple):
    """What the platform made of a world."""

    owners: dict[str, int]
    """Record → whose it is; without those of several people."""
    naming: frozenset[str]
    """Records with an event that names their owner."""
    found: dict[str, int]
    """Record → its profile at the end."""
    events: Counter[int]
    """Profile → its events."""
    known: dict[int, Counter[int]]
    """Profile → whom how many of its events have named."""
    done: list[tuple[int, int]]
    """For each event in order: its profile at the end, and who did it."""
    in_time: list[Attribution]
    """At the instant of each event, over the time in ten parts of as many events each."""
    records: dict[int, Record]
    """Profile → what is known to compare it by."""

    def persons(self) -> dict[int, int]:
        """Profile → whose most of its records are; those without a record are left out."""
        table: defaultdict[int, Counter[int]] = defaultdict(Counter)
        for record, owner in self.owners.items():
            table[self.found[record]][owner] += 1
        return {profile: _most(owners) for profile, owners in table.items()}


class Quality(NamedTuple):
    """All figures of one outcome."""

    everything: Clustering
    """Over all records that have one owner."""
    named: Clustering
    """Over those that name their owner: of the others nobody could know."""
    attribution: Attribution
    """At the end."""


def run(happenings: Iterable[Happening], rules: Rules) -> Outcome:
    """Fold a world under these rules."""
    with (
        tempfile.TemporaryDirectory(prefix="onefold-bench-") as scratch,
        closing(LmdbState(Path(scratch) / "state")) as state,
    ):
        definitions = Definitions(version=1, identity=rules.identity)
        course = _Course(Platform(definitions, rules=rules, state=state), rules)
        course.take(happenings)
        if any("shared" in kind.unless for kind in rules.identity.types):
            course.bring_over(definitions, Path(scratch) / "history")
        return course.outcome()


def quality(outcome: Outcome, people: dict[int, int] | None = None) -> Quality:
    """Measure an outcome; `people`: profile → profile that it was linked to besides."""
    joined = people or {}
    found = {record: joined.get(profile, profile) for record, profile in outcome.found.items()}
    events: Counter[int] = Counter()
    for profile, n in outcome.events.items():
        events[joined.get(profile, profile)] += n
    named = {record: owner for record, owner in outcome.owners.items() if record in outcome.naming}
    return Quality(
        everything=measure(outcome.owners, {record: found[record] for record in outcome.owners}, dict(events)),
        named=measure(named, {record: found[record] for record in named}, dict(events)),
        attribution=_at_the_end(outcome, joined),
    )


def _at_the_end(outcome: Outcome, joined: dict[int, int]) -> Attribution:
    known: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for profile, names in outcome.known.items():
        known[joined.get(profile, profile)].update(names)
    persons = {profile: _most(names) for profile, names in known.items()}
    return _shares(_verdict(persons.get(joined.get(p, p), NOBODY), person) for p, person in outcome.done)


class _Course:
    """One run."""

    def __init__(self, platform: Platform, rules: Rules) -> None:
        self._platform = platform
        self._rules = rules
        self._truths: dict[int, Truth] = {}
        """Position → the truth of an event that is not folded yet."""
        self._owners: dict[str, int] = {}
        self._naming: set[str] = set()
        self._known: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self._survivors: dict[int, int] = {}
        self._profiles, self._persons = array("Q"), array("q")
        self._places, self._says = array("Q"), array("q")
        self._verdicts: list[int] = []
        self._read = 0

    def take(self, happenings: Iterable[Happening]) -> None:
        """Fold these events."""
        stream = iter(happenings)
        while request := tuple(islice(stream, REQUEST_EVENTS)):
            self._send(request)
            if len(self._truths) >= _FOLD_EVENTS:
                self._fold()
        self._fold()

    def bring_over(self, definitions: Definitions, location: Path) -> None:
        """Let the rules hold for the past, too: whose events are, and as whom people are known, is as it is then."""
        owners = reresolve(self._platform, definitions, location)
        self._profiles = array("Q", (owners[place] for place in self._places))
        self._survivors.clear()
        self._known.clear()
        for profile, person in zip(self._profiles, self._says, strict=True):
            if person != NOBODY:
                self._known[profile][person] += 1

    def _send(self, request: tuple[Happening, ...]) -> None:
        platform = self._platform
        platform.now_ms = max(BEGIN_MS, request[-1].at_ms)
        first = platform.reader.ends(0)[1] << 16
        platform.send(*(each.event | {"timestamp": rfc3339(each.at_ms)} for each in request))
        for n, each in enumerate(request):
            self._truths[first | n] = each.truth
            self._note(each)

    def _note(self, happening: Happening) -> None:
        """The records that an event belongs to: its source's, and the account that it was done with."""
        truth, user = happening.truth, happening.event.get("userId")
        records = {truth.record: truth.person}
        if user is not None and truth.says != NOBODY:
            records[f"user_id:{user}"] = truth.says
        for record, owner in records.items():
            if self._owners.setdefault(record, owner) != owner:
                self._owners[record] = NOBODY
            if owner != NOBODY and truth.says == owner:
                self._naming.add(record)

    def _fold(self) -> None:
        self._platform.fold()
        for number, _, effects in self._platform.state.effects(self._read, 1 << 30):
            self._read = number
            for effect in effects:
                if type(effect) is Admitted:
                    self._admitted(effect)
                elif type(effect) is Merged:
                    self._survivors[effect.absorbed] = effect.profile
                    self._known[effect.profile].update(self._known.pop(effect.absorbed, Counter()))

    def _admitted(self, effect: Admitted) -> None:
        truth = self._truths.pop(effect.position)
        profile = self._survivor(effect.profile)
        names = self._known[profile]
        if truth.says != NOBODY:
            names[truth.says] += 1
        self._verdicts.append(_verdict(_most(names), truth.person))
        self._profiles.append(effect.profile)
        self._places.append(effect.position)
        self._says.append(truth.says)
        self._persons.append(truth.person)

    def _survivor(self, profile: int) -> int:
        while (next_ := self._survivors.get(profile)) is not None:
            profile = next_
        return profile

    def outcome(self) -> Outcome:
        """What the platform has made of them."""
        assert not self._truths, f"{len(self._truths)} events were not admitted"
        owners = {record: owner for record, owner in self._owners.items() if owner != NOBODY}
        state = self._platform.state
        owned = state.owners([one for record in owners if (one := self._spelled(record)) is not None])
        nobody = -1
        found = {}
        for record in owners:
            profile = owned.get(self._spelled(record) or "")
            found[record] = nobody if profile is None else profile
            nobody -= profile is None
        done = [(self._survivor(p), person) for p, person in zip(self._profiles, self._persons, strict=True)]
        tenth = -(-len(self._verdicts) // 10) or 1
        return Outcome(
            owners=owners,
            naming=frozenset(self._naming & owners.keys()),
            found=found,
            events=Counter(profile for profile, _ in done),
            known=dict(self._known),
            done=done,
            in_time=[_shares(self._verdicts[n : n + tenth]) for n in range(0, len(self._verdicts), tenth)],
            records=dict(self._records()),
        )

    def _spelled(self, record: str) -> str | None:
        namespace, _, value = record.partition(":")
        return normalise(namespace, value, self._rules)

    def _records(self) -> Iterator[tuple[int, Record]]:
        state, after = self._platform.state, 0
        while ids := state.profile_ids(0, after, 1_000):
            for profile, data in state.survivors(ids).items():
                yield profile, of_profile(profiles.decode(data))
            after = ids[-1]


def _most(names: Counter[int]) -> int:
    return max(names, key=lambda person: (names[person], -person)) if names else NOBODY


_RIGHT, _UNKNOWN, _WRONG = range(3)


def _verdict(known_as: int, person: int) -> int:
    return _RIGHT if known_as == person else _UNKNOWN if known_as == NOBODY else _WRONG


def _shares(verdicts: Iterable[int]) -> Attribution:
    counts = Counter(verdicts)
    total = counts.total() or 1
    return Attribution(*(counts[kind] / total for kind in (_RIGHT, _UNKNOWN, _WRONG)))
