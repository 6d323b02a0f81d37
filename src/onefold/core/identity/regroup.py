"""Regroup: who people would be, had other rules held from the first event on.

Events and people's word are gone through once more, in the order in which they came, and resolved by the step's own
policies over everybody in memory; nothing is folded and nobody is judged. So what is predicted here is what the log
folded anew under these rules comes to, and no rule is written twice.
"""

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from onefold.core.batch import Incoming
from onefold.core.identity import explicit
from onefold.core.identity.differing import shared_by
from onefold.core.identity.identifiers import Who
from onefold.core.identity.merge import declare
from onefold.core.identity.notes import HOT_MEMBERS
from onefold.core.identity.resolve import resolve
from onefold.core.run import NOTHING, Parted, Run
from onefold.language.reading.check import Checked
from onefold.language.stream.compile import compile_definitions
from onefold.limits import REFUSALS_KEPT_MAX
from onefold.matching.record import tells_apart
from onefold.model.changes import View
from onefold.model.effect import Created, LinkRefused, Merged, Moved
from onefold.model.event import Excerpt
from onefold.model.identity import Policy
from onefold.model.profile import Declared, Profile, Word
from onefold.model.rules import Rules

NOBODY = 0
"""Whose an event is of which no identifier identifies anybody under the rules."""
NO_WORDS = Parted()
"""Nothing was undone."""
_FORGET_EVERY = 10_000
"""Events after which the run's own notes, which a commit would take, are let go."""


class Said(NamedTuple):
    """What an identify says of the person: rules may ask what people are called (`unless`)."""

    traits: Mapping[str, Any] | None = None
    tie: bytes = b""
    """That decides between equal times."""


NOTHING_SAID = Said()


class Joining(NamedTuple):
    """Two profiles became one."""

    number: int
    """In the order in which it all happened."""
    at: tuple[int, int, int]
    """Log time, partition, position: of the event, or of the word, that has done it."""
    survivor: int
    absorbed: int
    a: str
    b: str
    rule: str


class Regrouping:
    """Everybody, as rules make them of what is taken; some 3 to 5 microseconds an event."""

    def __init__(
        self,
        rules: Rules,
        parted: Parted = NO_WORDS,
        shared: frozenset[str] = NOTHING,
        *,
        remembering: bool = False,
    ) -> None:
        """Begin with nobody.

        `parted`: what was undone, and stays so. `shared`: identifiers that are known from the first event on to be
        several people's. `remembering`: whose every event was, 16 bytes each, and merges.
        """
        self._run = Run(0, compile_definitions(Checked({}, {}, {}, []), 0), rules)
        self._run.parted = parted if parted != Parted() else None
        self._run.shared = shared
        self._is_settled = rules.identity.policy in _SETTLED
        """Whether an event changes nothing of which one person has all identifiers."""
        self._remembering = remembering
        self._places: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))
        self._whose: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))
        self.events: Counter[int] = Counter()
        """Profile → how many events are its own; only where everything is remembered."""
        self.hot_since: dict[int, int] = {}
        """Profile with hot identifiers → since when it is a member of those who have any."""
        self.joinings: dict[int, Joining] = {}
        """Profile that was absorbed → when and by whom."""
        self._owners: dict[str, int] = {}
        self.people: dict[int, Profile] = {}
        """Profile id → identifiers, links, merges and notes; of the rest nothing is right."""
        self.absorbed: dict[int, int] = {}
        """Profiles that have ended in a merge → who absorbed them."""
        self.refused: Counter[str] = Counter()
        """Rule → how many links it has refused."""
        self.refusals: list[LinkRefused] = []
        """The first `REFUSALS_KEPT_MAX` of them."""
        self.moved = 0
        """How many identifiers have come to lead to somebody else."""
        self.taken = 0
        """Events."""
        self._begin()

    def take(self, at: tuple[int, int, int], at_ms: int, who: Who, said: Said = NOTHING_SAID) -> int:
        """Resolve the next event; the profile that it is of, which may be absorbed later, or NOBODY.

        `at`: log time, partition, position.
        """
        _, partition, place = at
        self.taken += 1
        if self.taken % _FORGET_EVERY == 0:
            self._begin()
        one = self._resolve(at, at_ms, who, said) if who.identifiers else NOBODY
        if self._remembering:
            self._places[partition].append(place)
            self._whose[partition].append(one)
            self.events[one] += 1
        return one

    def _resolve(self, at: tuple[int, int, int], at_ms: int, who: Who, said: Said) -> int:
        received_ms, partition, place = at
        telling = said.traits if self._run.rulebook is not None and self._run.rulebook.unless else None
        if self._is_settled and not telling:
            at_home = self.people.get(who.owner)
            if at_home is not None and who.settle(at_home):
                return at_home.id
        run = self._run
        run.partition = partition
        run.at(place, received_ms)
        event = Excerpt("identify", traits=dict(telling)) if telling else _EVENT
        profile = resolve(run, Incoming(event, "", place, received_ms, at_ms, b"", who))
        for name, value in (telling or {}).items():
            if tells_apart(name):
                declare(profile.declared, name, Declared(value, at_ms, said.tie))
        if run.effects:
            self._note()
        return profile.id

    def say(self, said: Word) -> None:
        """Somebody has said that two identifiers are one person's, or never are (`model.entry.Linked`)."""
        run = self._run
        run.partition = said.partition
        run.at(said.position, said.at_ms)
        explicit.hear(run, said)
        self._note()

    def whose(self, partition: int, place: int) -> int | None:
        """Whose an event was once it was resolved; None: it was not taken. Only where everything is remembered."""
        places = self._places[partition]
        index = bisect_left(places, place)
        return self._whose[partition][index] if index < len(places) and places[index] == place else None

    def now(self, profile: int) -> int:
        """Who has become of a profile that `take` has named."""
        absorbed = self.absorbed
        if profile not in absorbed:
            return profile
        last = absorbed[profile]
        while last in absorbed:
            last = absorbed[last]
        absorbed[profile] = last
        return last

    def shared(self) -> frozenset[str]:
        """Identifiers that have been kept from somebody, of types of which that matters (`unless: [shared]`)."""
        return shared_by(self.people.values(), self._run.rulebook)

    def owner(self, identifier: str) -> int:
        """To whom an identifier leads; NOBODY: to nobody."""
        return self._owners.get(identifier, NOBODY)

    def _note(self) -> None:
        for effect in self._run.effects:
            if isinstance(effect, LinkRefused):
                self.refused[effect.rule] += 1
                if len(self.refusals) < REFUSALS_KEPT_MAX:
                    self.refusals.append(effect)
            elif isinstance(effect, Moved):
                self.moved += 1
            elif isinstance(effect, Created):
                rulebook = self._run.rulebook
                _slim(self.people[effect.profile], named=rulebook is not None and bool(rulebook.unless))
            elif isinstance(effect, Merged) and self._remembering:
                at = effect.at_ms, self._run.partition, effect.position
                made = Joining(len(self.joinings), at, effect.profile, effect.absorbed, effect.a, effect.b, effect.rule)
                self.joinings[effect.absorbed] = made
                self.events[effect.profile] += self.events.pop(effect.absorbed, 0)
        self._run.effects.clear()
        self.hot_since.update(self._run.members.pop(HOT_MEMBERS, {}))
        if self._run.absorbed:
            self.absorbed |= self._run.absorbed
            self._run.absorbed.clear()

    def _begin(self) -> None:
        """Let go of what a commit would take."""
        run = self._run
        run.see(View(self._owners, self.people, {}))
        for kept in (run.touched, run.armed, run.moved, run.members, run.messages, run.counts, run.bonds):
            kept.clear()


_SETTLED: tuple[Policy, ...] = ("merge-any", "segment")
_EVENT = Excerpt("track")
"""Rules of identity ask nothing of an event but its identifiers and times, and now and then what people are called."""
_NOTHING: dict[str, object] = {}


def _slim(profile: Profile, *, named: bool) -> None:
    """Nothing is put into these, so that all may have the same: half of the memory that a person takes.

    `named`: but for the traits that say what somebody is called, since rules ask for them.
    """
    profile.computed = profile.slots = profile.audiences = _NOTHING  # type: ignore[assignment]
    if not named:
        profile.declared = _NOTHING  # type: ignore[assignment]
