"""What if other rules of identity had held from the first event on: who would be one person, held against who is.

Everybody's events are resolved anew over the whole of history and what the log has after it
(`runtime.identity.regrouping`), and the profiles that come out are held against those of the state, by whose each
event is. Nothing is changed by it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import nlargest
from typing import NamedTuple

from msgspec import Struct, field

from onefold.core.identity.regroup import NOBODY, Regrouping
from onefold.core.identity.rulebook import rulebook_of
from onefold.core.identity.rules import UNIQUE_NAMESPACE
from onefold.limits import WHAT_IF_IDENTIFIERS_SHOWN
from onefold.model.identity import Identity
from onefold.model.position import show
from onefold.model.profile import Known, Link, Profile
from onefold.model.rules import Rules
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.regrouping import Progress, Regrouped, known
from onefold.runtime.identity.suspects import MEANING, OverMerge, Records, Words

_WHY_SHOWN = 3
"""Links that one case shows of each pair of parts."""
_HOT_SHOWN = 20
_SIZES = (2, 3, 4, 5, 10, 100, 1_000)


class Part(Struct):
    """A profile of a case."""

    profile: str
    identifiers: list[str]
    """The first `WHAT_IF_IDENTIFIERS_SHOWN`."""
    identifiers_in_all: int
    events: int
    """Those that both sides of the case have."""


class Reason(Struct):
    """A link that decides: it joins (or joined) `a` and `b`, or the rule refuses it."""

    a: str
    b: str
    rule: str
    refused: bool = False


class Case(Struct):
    """Profiles that are there now, and those that would be there instead, of which one side is one profile."""

    now: list[Part]
    then: list[Part]
    why: list[Reason]


class Difference(Struct):
    """Profiles that would split, or that would come of a merge."""

    people: int = 0
    """Profiles that would split (of now), or that several would merge into (of then)."""
    parts: int = 0
    """How many others those come to, or those are made of."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Number of parts → how many people."""
    samples: list[Case] = []
    """The largest."""


class HotValue(Struct):
    """A value that would join nobody any more."""

    identifier: str
    others: int
    """People and identifiers that it has come with."""


class Estimate(Struct):
    """Profiles that are probably several people, now and then."""

    now: OverMerge
    then: OverMerge
    meaning: dict[str, str]
    """Reason → what makes a profile suspect."""


class Forecast(Struct):
    """What other rules would make of the past. Counts are exact, as of when it was asked."""

    policy: str
    as_of_ms: int
    events: int
    """All that are known, of history and log."""
    people_now: int
    people_then: int
    same: int
    """People who have exactly the events and identifiers that they would have."""
    other_identifiers: int
    """People who would have the same events and other identifiers."""
    splits: Difference
    merges: Difference
    refused: dict[str, int]
    """Rule → links that it would have refused."""
    moved: int
    """How often an identifier would have gone from one person to another."""
    hot: list[HotValue]
    hot_in_all: int
    over_merge: Estimate
    of_nobody: int
    """Events that would be nobody's, as no identifier of theirs identifies anybody."""
    without_past: int
    """People of now of whose events some are no longer kept: they cannot be told anew, and would stay as they are."""
    words_forgotten: bool
    """Somebody has said `never`, and the log has let go of its beginning: what was said there counts for nothing."""


class Question(NamedTuple):
    """What is asked."""

    rules: Rules
    """The wanted ones."""
    in_force: Identity
    as_of_ms: int
    samples: int = 5


def what_if(sources: Sources, question: Question, progress: Progress = lambda *_: None) -> Forecast:
    """What these rules would make of the past. Memory: a kilobyte a person. Raises `StorageError` and its kin."""
    words = Words()
    everybody = Regrouped(sources, question.rules, progress, words)
    return _Comparing(sources, question, everybody, words).forecast()


class _Comparing:
    """Holds who there would be against who there is."""

    def __init__(self, sources: Sources, question: Question, everybody: Regrouped, words: Words) -> None:
        self._sources, self._question, self._everybody, self._words = sources, question, everybody, words
        self._people: Regrouping = everybody.people
        self._shares = everybody.shares()
        self._split = {now: to for now, to in self._shares.items() if len(_thens(to)) > 1}
        self._made = _of_several(self._shares)
        """Profile then → profiles now that it is made of → events; only of several."""
        self._unique = _unique(question.rules.identity) | _unique(question.in_force)
        self._over_now = OverMerge()
        self._counts: Counter[str] = Counter()

    def forecast(self) -> Forecast:
        shown = self._choose(self._split), self._choose(self._made)
        wanted = {*shown[0], *(now for then in shown[1] for now in self._made[then])}
        kept = self._look(wanted)
        people, question = self._people, self._question
        hot = sorted(_hot(people), key=lambda each: (-each.others, each.identifier))
        return Forecast(
            policy=question.rules.identity.policy,
            as_of_ms=question.as_of_ms,
            events=self._people.taken,
            people_now=self._counts["people"],
            people_then=len(people.people),
            same=self._counts["same"],
            other_identifiers=self._counts["other_identifiers"],
            splits=_difference(self._split, [self._splitting(now, kept) for now in shown[0]]),
            merges=_difference(self._made, [self._merging(then, kept) for then in shown[1]]),
            refused=dict(people.refused.most_common()),
            moved=people.moved,
            hot=hot[:_HOT_SHOWN],
            hot_in_all=len(hot),
            over_merge=Estimate(self._over_now, self._over_then(), MEANING),
            of_nobody=sum(to.get(NOBODY, 0) for to in self._shares.values()),
            without_past=self._counts["without_past"],
            words_forgotten=self._everybody.words_forgotten,
        )

    # --- who there is ------------------------------------------------------------------------------------------
    def _look(self, wanted: Collection[int]) -> dict[int, Known]:
        """Go through everybody; those who are to be shown."""
        shares, kept, counts = self._shares, {}, self._counts
        records = self._words.by(0, self._everybody.taken)
        for one in known(self._sources.state, self._everybody.reached.ends):
            counts["people"] += 1
            to = shares.get(one.id, {})
            events = sum(to.values())
            counts["without_past"] += events < one.events
            if (then := self._whole(to)) is not None:
                counts["same" if then.identifiers.keys() == one.identifiers.keys() else "other_identifiers"] += 1
            self._over_now.look(one.identifiers, self._unique, records.get(one.id, _NONE), events)
            if one.id in wanted:
                kept[one.id] = one
        return kept

    def _whole(self, to: Mapping[int, int]) -> Profile | None:
        """Who would have just these events; None where that is nobody."""
        then = next(iter(to), NOBODY)
        return None if len(to) != 1 or then == NOBODY or then in self._made else self._people.people[then]

    def _over_then(self) -> OverMerge:
        found, people = OverMerge(), self._people
        records: dict[int, Records] = {}
        for each, said in self._words.by(1, {}).items():
            records.setdefault(people.now(each), set()).update(said)
        events: Counter[int] = Counter()
        for to in self._shares.values():
            events.update(to)
        for one in people.people.values():
            found.look(one.identifiers, self._unique, records.get(one.id, _NONE), events[one.id])
        return found

    # --- cases -------------------------------------------------------------------------------------------------
    def _choose(self, cases: Mapping[int, Mapping[int, int]]) -> list[int]:
        """The largest: of most parts, and of as many those with most events."""
        return nlargest(self._question.samples, cases, key=lambda one: (*_size(cases[one]), -one))

    def _splitting(self, now: int, kept: Mapping[int, Known]) -> Case:
        to = self._split[now]
        mine = kept.get(now)
        then = [self._then(one, to[one]) for one in _by_events(_thens(to), to)]
        return Case([_now(now, mine, sum(to.values()))], then, [] if mine is None else self._parting(mine))

    def _parting(self, mine: Known) -> list[Reason]:
        """Links that hold now and would not, and what would refuse them."""
        owner = self._people.owner
        gone = [link for link in mine.links if owner(link.a) != owner(link.b)]
        refused = {frozenset((each.a, each.b)): each.rule for each in self._people.refusals}
        reasons = [Reason(each.a, each.b, each.rule) for each in gone[:_WHY_SHOWN]]
        pairs = [(each.a, each.b) for each in gone]
        rules = [Reason(a, b, rule, refused=True) for a, b in pairs if (rule := refused.get(frozenset((a, b))))]
        return [*reasons, *rules[:_WHY_SHOWN]]

    def _merging(self, then: int, kept: Mapping[int, Known]) -> Case:
        made = self._made[then]
        parts = [_now(now, kept.get(now), made[now]) for now in _by_events(made, made)]
        whose = {name: now for now in made if now in kept for name in kept[now].identifiers}
        links = self._people.people[then].links
        why = [link for link in links if whose.get(link.a, link.a) != whose.get(link.b, link.b)]
        return Case(parts, [self._then(then, sum(made.values()))], [_reason(link) for link in why[:_WHY_SHOWN]])

    def _then(self, one: int, events: int) -> Part:
        return _part(one, self._people.people[one].identifiers, events)


_NONE: Records = set()


def _unique(identity: Identity) -> frozenset[str]:
    rulebook = rulebook_of(identity)
    return frozenset((UNIQUE_NAMESPACE,)) if rulebook is None else rulebook.unique | {UNIQUE_NAMESPACE}


def _thens(to: Mapping[int, int]) -> list[int]:
    return [then for then in to if then != NOBODY]


def _of_several(shares: Mapping[int, Mapping[int, int]]) -> dict[int, dict[int, int]]:
    """Profile then → of which profiles now, where these are several."""
    first: dict[int, int] = {}
    several: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for now, to in shares.items():
        for then, events in to.items():
            if then == NOBODY:
                continue
            if then not in first:
                first[then] = now
                continue
            several[then].setdefault(first[then], shares[first[then]][then])
            several[then][now] = events
    return dict(several)


def _size(parts: Mapping[int, int]) -> tuple[int, int]:
    return len(_thens(parts)), sum(parts.values())


def _by_events(parts: Iterable[int], events: Mapping[int, int]) -> list[int]:
    return sorted(parts, key=lambda one: (-events[one], one))


def _difference(cases: Mapping[int, Mapping[int, int]], samples: list[Case]) -> Difference:
    sizes = Counter(len(_thens(parts)) for parts in cases.values())
    spans: dict[str, int] = {}
    for size, people in sorted(sizes.items()):
        span = _span(size)
        spans[span] = spans.get(span, 0) + people
    return Difference(len(cases), sum(size * people for size, people in sizes.items()), spans, samples)


def _span(size: int) -> str:
    """So many parts, roughly: `2`, `3`, `4`, `5-9`, `10-99`, … are one row each."""
    low = max(each for each in _SIZES if each <= size)
    after = next((each for each in _SIZES if each > low), 0)
    if after == low + 1:
        return str(low)
    return f"{low}-{after - 1}" if after else f"{low}+"


def _now(one: int, mine: Known | None, events: int) -> Part:
    return _part(one, {} if mine is None else mine.identifiers, events)


def _part(one: int, identifiers: Mapping[str, int], events: int) -> Part:
    return Part(show(one), list(identifiers)[:WHAT_IF_IDENTIFIERS_SHOWN], len(identifiers), events)


def _reason(link: Link) -> Reason:
    return Reason(link.a, link.b, link.rule)


def _hot(people: Regrouping) -> Iterator[HotValue]:
    for profile in people.people.values():
        if (notes := profile.notes) is not None and notes.hot:
            for each in notes.hot:
                met = notes.met.get(each, 0) + sum(each in (link.a, link.b) for link in profile.links)
                yield HotValue(each, met)
