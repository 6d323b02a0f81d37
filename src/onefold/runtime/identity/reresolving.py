"""Re-resolve: people of the past become what the rules in force make of their history.

Everybody's events are resolved anew in memory (`runtime.identity.regrouping`), and held against the state. Whoever
differs is folded again with all who share events or identifiers with them, some groups at a time, and brought into
the log by one entry (`model.recast`), which holds only while none of them has changed. Workers go on all the time:
what comes meanwhile is gone through before each entry is made, and where somebody was faster, the entry does nothing
and is made anew. Nothing is kept of how far this is: whoever begins again finds who still differs.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, field, structs

from onefold.core.explaining.retrace import read
from onefold.core.identity.foretold import Foretold
from onefold.core.identity.identifiers import finder_of
from onefold.core.identity.refold import Material, Refolded, Segment, recasting, refold
from onefold.core.identity.regroup import NOBODY
from onefold.errors import Conflict, Unavailable
from onefold.limits import RECAST_MAX_BYTES, RERESOLVE_MAX_BYTES, RERESOLVE_MAX_EVENTS, RERESOLVE_MAX_GROUPS
from onefold.model import effect
from onefold.model import entry as entries
from onefold.model import profile as profiles
from onefold.model import recast as bodies
from onefold.model.effect import Admitted
from onefold.model.past import Past
from onefold.model.position import home
from onefold.model.profile import Known, Notes, Profile
from onefold.model.recast import Recasting
from onefold.model.rules import Rules
from onefold.ports import LogWriter
from onefold.runtime.history.bodies import Bodies
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.recasting import accounts_named, folded_so_far, since_when, under_rules_of
from onefold.runtime.identity.regrouping import Progress, Regrouped, known
from onefold.runtime.identity.written import applied
from onefold.runtime.past.counting_since import Versions, counting_from_now

WITHOUT_PAST = "events are no longer kept"
OF_NOBODY = "nothing in any of their events identifies anybody"
TOO_LARGE = "too large for one entry"
BUSY = "changed all the time"
ENTANGLED = "others have joined them since"
_TRIES = 3
"""Entries that may be in vain for one group."""
_TAIL_BYTES = 64 << 20
_admitted = effect.decoder(frozenset((Admitted,)))


class Engines(NamedTuple):
    """What is read and written."""

    sources: Sources
    writer: LogWriter
    catalog: Versions


class Group(NamedTuple):
    """People who are to be other ones, and those who they are to be: no event and no identifier leads out of it."""

    nows: frozenset[int]
    thens: frozenset[int]


class Outcome(Struct):
    """What has come of it so far."""

    groups: int = 0
    """Groups that are to be done."""
    done: int = 0
    people_before: int = 0
    people_after: int = 0
    """Of those that are done."""
    entries: int = 0
    in_vain: int = 0
    """Entries that came too late, as somebody had changed meanwhile."""
    left: dict[str, int] = field(default_factory=dict)
    """Why groups were left as they are → how many."""

    def leave(self, why: str) -> None:
        """One group is left as it is."""
        self.left[why] = self.left.get(why, 0) + 1


Folded = Callable[[int, int], None]
"""(partition, offset): returns once this record is folded; raises `Unavailable` where nobody folds it."""
Shown = Callable[[Outcome], None]
"""Told after each entry."""


class Reresolving:
    """Goes through the past once, and brings everybody to what the rules in force make of it."""

    def __init__(self, engines: Engines, rules: Rules, by: str, progress: Progress) -> None:
        """Look who differs. Raises `Unavailable` while definitions are computed over history, `StorageError`."""
        self._engines, self._rules, self._by = engines, rules, by
        state = engines.sources.state
        if any(state.cursor(each).filled >= 0 for each in range(engines.sources.log.partitions)):
            raise Unavailable("definitions are being computed over history: wait until they are in force")
        self._version = state.cursor(0).version
        self._everybody = Regrouped(engines.sources, rules, progress, remembering=True)
        self._segments = list(self._all_segments())
        self.outcome = Outcome()
        self._groups = self._differing()
        self.outcome.groups = len(self._groups)

    def run(self, folded: Folded, shown: Shown, now_ms: Callable[[], int]) -> Outcome:
        """Do it, entry by entry. What has been done stays done, whenever this ends."""
        waiting: list[Sequence[Group]] = [
            self._groups[n : n + RERESOLVE_MAX_GROUPS] for n in range(0, len(self._groups), RERESOLVE_MAX_GROUPS)
        ]
        waiting.reverse()
        tries: defaultdict[Group, int] = defaultdict(int)
        while waiting:
            groups = waiting.pop()
            taken, body = self._prepare(groups)
            if len(taken) < len(groups):
                waiting.append(groups[len(taken) :])
            if body is None:
                continue
            if self._write(body, folded, now_ms()):
                self.outcome.done += len(taken)
            else:
                waiting += self._again(taken, tries)
            shown(self.outcome)
        return self.outcome

    def _again(self, groups: Sequence[Group], tries: dict[Group, int]) -> Iterator[Sequence[Group]]:
        """Somebody was faster: by halves, so that only who is busy waits."""
        self.outcome.in_vain += 1
        if len(groups) > 1:
            half = len(groups) // 2
            yield groups[half:]
            yield groups[:half]
            return
        tries[groups[0]] += 1
        if tries[groups[0]] < _TRIES:
            yield groups
        else:
            self.outcome.leave(BUSY)

    # --- who differs -------------------------------------------------------------------------------------------
    def _differing(self) -> list[Group]:
        """Groups of those who are not what they are to be."""
        people, shares = self._everybody.people, self._everybody.shares()
        several = _several(shares)
        traits = self._traits_differ()
        union = _Union()
        for one in known(self._engines.sources.state, self._everybody.reached.ends):
            to = shares.get(one.id, {})
            whole = set(to) == {one.id} and one.id not in several
            if whole and not traits and _alike(one, people.people[one.id]):
                continue
            names = (people.owner(name) for name in one.identifiers)
            union.join(("now", one.id), [("then", then) for then in (*to, *names) if then != NOBODY])
        found = [
            Group(frozenset(one for kind, one in each if kind == "now"), frozenset(o for k, o in each if k == "then"))
            for each in union.groups()
        ]
        return sorted(found, key=lambda group: min(group.nows))

    def _traits_differ(self) -> bool:
        """Whether values of traits have ever been kept by other rules than now."""
        catalog, now = self._engines.catalog, self._rules.identity.traits
        versions = (row.version for row in catalog.versions() if row.version <= self._version)
        return any(catalog.definitions(version).identity.traits != now for version in versions)

    # --- one entry ---------------------------------------------------------------------------------------------
    def _prepare(self, groups: Sequence[Group]) -> tuple[Sequence[Group], Recasting | None]:
        """What brings the first of these groups into the log, and which they are; others are left, and counted."""
        self._everybody.catch_up()
        state = self._engines.sources.state
        now_ms = max(state.cursor(n).now_ms for n in self._everybody.reached.ends)
        stored = state.survivors({one for group in groups for one in group.nows})
        reached = folded_so_far(state, self._everybody.reached.ends)
        mine = {one: profiles.decode(data) for one, data in stored.items()}
        pasts = self._pasts({number for one in mine.values() for number in (one.id, *_formers(one))})
        whole = _Bodies()
        taken = 0
        for group in groups:
            if whole.size > RERESOLVE_MAX_BYTES or whole.events > RERESOLVE_MAX_EVENTS:
                break
            taken += 1
            found = self._recasting(group, stored, pasts, now_ms)
            if found is None:
                self.outcome.groups -= 1
            elif isinstance(found, str):
                self.outcome.leave(found)
            elif sum(map(len, found.coming)) > RECAST_MAX_BYTES:
                self.outcome.leave(TOO_LARGE)
            else:
                whole.add(found, sum(len(pasts.get(one, ())) for one in group.nows))
        return groups[:taken], whole.body(reached) if whole.groups else None

    def _recasting(
        self, group: Group, stored: Mapping[int, bytes], pasts: Mapping[int, list[Past]], now_ms: int
    ) -> Recasting | str | None:
        """What brings one group into the log, or why it is left as it is; None: it is what it is to be."""
        people = self._everybody.people
        going = {profiles.decode(stored[one]).id: stored[one] for one in group.nows if one in stored}
        thens = {people.now(one) for one in group.thens}
        mine = [past for one in going for past in pasts.get(one, ())]
        if any(len(pasts.get(one, ())) < profiles.decode(data).events for one, data in going.items()):
            return WITHOUT_PAST
        whose = {past.partition << 56 | past.position: people.whose(past.partition, past.position) for past in mine}
        if None in whose.values() or not self._is_closed(going, thens, whose):
            return ENTANGLED
        if not thens:
            return OF_NOBODY
        theirs = [past for past in mine if whose[past.partition << 56 | past.position]]
        try:
            found = self._fold(going, thens, theirs, now_ms)
        except Conflict:  # The next round goes through all of them in their order.
            return ENTANGLED
        found.events.update(dict.fromkeys((place for place, one in whose.items() if not one), NOBODY))
        body = recasting(going, found, mine)
        if not body.events and [*map(_stripped, body.coming)] == [_stripped(data) for _, data in sorted(going.items())]:
            return None
        return _with_heirs(body, min(thens))

    def _is_closed(self, going: Mapping[int, bytes], thens: Collection[int], whose: Mapping[int, int | None]) -> bool:
        """Whether no event and no identifier leads to anybody else."""
        people, state = self._everybody.people, self._engines.sources.state
        if any(one and people.now(one) not in thens for one in whose.values()):
            return False
        if sum(people.events[one] for one in thens) != sum(1 for one in whose.values() if one):
            return False
        names = {name for one in thens for name in people.people[one].identifiers}
        if not set(state.owners(names).values()) <= going.keys():
            return False
        theirs = {name for data in going.values() for name in profiles.decode_known(data).identifiers}
        return all(people.owner(name) in (NOBODY, *thens) for name in theirs)

    def _fold(self, going: Mapping[int, bytes], thens: Collection[int], pasts: Sequence[Past], now_ms: int) -> Refolded:
        first_ms = min((past.received_ms for past in pasts), default=0)
        last = max((n for n, each in enumerate(self._segments) if each.since_ms <= first_ms), default=0)
        segments = self._segments[last:]
        now = [profiles.decode(data) for data in going.values()]
        program = segments[-1].program
        accounts: dict[str, Profile] = {}
        if program.accounts is not None:
            accounts = accounts_named(self._engines.sources.state, finder_of(self._rules), read(program, pasts))
        told = Foretold(self._everybody.people, sorted(thens))
        return refold(Material(pasts, segments, now, now_ms, (), accounts, told=told))

    def _write(self, body: Recasting, folded: Folded, now_ms: int) -> bool:
        """Whether it was done."""
        sources, writer = self._engines.sources, self._engines.writer
        entry = entries.Recast(now_ms, self._by, bodies.reresolve_under(self._version), bodies.encode(body))
        partition, before = home(min(body.going)) % writer.partitions, sources.state.newest()
        offset = writer.append({partition: [entries.encode(entry)]})[partition]
        folded(partition, offset)
        self.outcome.entries += 1
        if not applied(sources.state, before, partition, offset):
            return False
        self.outcome.people_before += len(body.going)
        self.outcome.people_after += len(body.coming)
        return True

    # --- what is folded ------------------------------------------------------------------------------------------
    def _pasts(self, people: Collection[int]) -> dict[int, list[Past]]:
        """All events of these profiles by who has them now, of history and from the log."""
        sources = self._engines.sources
        after = sources.history.cursor()
        found = {(past.partition, past.position): past for past in sources.history.of_profiles(people)}
        late: dict[int, list[Admitted]] = {}
        for commit in sources.state.commits(after, _TAIL_BYTES):
            for each in _admitted(commit.effects):
                if isinstance(each, Admitted) and each.profile in people:
                    late.setdefault(commit.partition, []).append(each)
        bodies_of = Bodies(sources.log)
        for partition, admitted in late.items():
            for past in bodies_of.pasts(partition, admitted):
                found.setdefault((partition, past.position), past)
        alive = {one: profiles.decode_known(data).id for one, data in sources.state.survivors(people).items()}
        owned: dict[int, list[Past]] = {}
        for past in found.values():
            owned.setdefault(alive.get(past.profile, past.profile), []).append(past)
        return owned

    def _all_segments(self) -> Iterator[Segment]:
        """What was in force from when on, under the rules of now; before the first version there was nothing."""
        catalog, sources = self._engines.catalog, self._engines.sources
        programs, cursor = under_rules_of(catalog, self._version), sources.state.cursor(0)
        yield Segment(0, programs.get(0), self._rules)
        rows = [row for row in catalog.versions() if row.version <= self._version]
        for version, since_ms in since_when(sources.log, cursor, rows):
            yield Segment(since_ms, programs.get(version), self._rules, counting_from_now(catalog, version))


def _formers(one: Profile) -> Iterator[int]:
    return (merge.absorbed for merge in one.merges)


def _several(shares: Mapping[int, Mapping[int, int]]) -> set[int]:
    """Profiles then of which the events are several's now."""
    seen: set[int] = set()
    several: set[int] = set()
    for to in shares.values():
        several |= seen & to.keys()
        seen |= to.keys()
    return several


def _alike(one: Known, other: Profile) -> bool:
    """Whether rules have made the same of both."""
    same = one.identifiers == other.identifiers and one.links == other.links and one.merges == other.merges
    return same and _plain(one.notes) == _plain(other.notes)


def _plain(notes: Notes | None) -> Notes:
    """Notes without what is known of each profile alone."""
    return Notes() if notes is None else structs.replace(notes, parts={}, apart={}, loose=[], undone=[], words=[])


def _stripped(data: bytes) -> bytes:
    """A profile without the notes that every recast leaves."""
    profile = profiles.decode(data)
    if profile.notes is not None:
        profile.notes.undone = []
        if profile.notes == Notes():
            profile.notes = None
    return profiles.encode(profile)


def _with_heirs(body: Recasting, heir: int) -> Recasting:
    """Who has been made by an event that is nobody's now is whoever was the first of those who come."""
    body.absorbed = {one: to or heir for one, to in body.absorbed.items()}
    return body


Node = tuple[str, int]


class _Union:
    """Who belongs together, by union and find."""

    def __init__(self) -> None:
        self._parents: dict[Node, Node] = {}

    def join(self, one: Node, others: Iterable[Node]) -> None:
        """All of these belong together."""
        self._parents.setdefault(one, one)
        for other in others:
            self._parents.setdefault(other, other)
            self._parents[self._find(other)] = self._find(one)

    def groups(self) -> list[list[Node]]:
        """Who belongs together."""
        found: defaultdict[Node, list[Node]] = defaultdict(list)
        for one in self._parents:
            found[self._find(one)].append(one)
        return list(found.values())

    def _find(self, one: Node) -> Node:
        parents = self._parents
        while parents[one] != one:
            parents[one] = one = parents[parents[one]]
        return one


class _Bodies:
    """Several groups in one entry."""

    def __init__(self) -> None:
        self.groups = self.size = self.events = 0
        self._body = Recasting({}, [], {})

    def add(self, body: Recasting, events: int) -> None:
        """One more group."""
        whole = self._body
        self.groups += 1
        self.events += events
        self.size += sum(map(len, body.coming))
        whole.going |= body.going
        whole.coming += body.coming
        whole.absorbed |= body.absorbed
        for owner, formers in body.events.items():
            mine = whole.events.setdefault(owner, {})
            for former, places in formers.items():
                mine[former] = sorted((*mine.get(former, ()), *places))
        for relation, members in body.relations.items():
            whole.relations.setdefault(relation, {}).update(members)

    def body(self, reached: dict[int, int]) -> Recasting:
        """All of them, who were read when the partitions were folded so far."""
        self._body.reached = reached
        return self._body
