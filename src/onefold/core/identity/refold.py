"""Refold: some people's own events folded once more, by the real pipeline in a view of its own.

So people are taken apart or put together: what is to be otherwise (a link that never was, other rules) is said
beforehand, and what comes out is who they would be. Events go in the order in which they came, each under the
definitions and rules of its time; timers go off in between, when they are due. What people said of identifiers
(`Linked`) takes its place among the events. Outsiders, who have identifiers that these events have, too, stand by as
they are now, so that rules keep out what they kept out; where one of them would have changed, that is told, and
they are to be folded with the others.

An account has the values that it has now, all along: what an account was is not folded again.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from onefold.core.account_links import accounts_in, move
from onefold.core.batch import Incoming
from onefold.core.explaining.retrace import name_of, read
from onefold.core.fold import fold
from onefold.core.identity import explicit, parting
from onefold.core.identity.identifiers import Finder, finder_of
from onefold.core.identity.merge import add_state
from onefold.core.identity.resolve import resolve
from onefold.core.identity.rules import EXPLICIT
from onefold.core.renew import renew
from onefold.core.run import NOTHING, Parted, Run
from onefold.core.timers import wake
from onefold.language.keeping.accounts import AT, TIE, VALUES
from onefold.language.stream.program import Program, Trigger
from onefold.language.values import identical
from onefold.limits import NEVER_MS, WORDS_MAX
from onefold.model import profile as profiles
from onefold.model import recast
from onefold.model.account import LINK, RELATION, group_of, published
from onefold.model.changes import View
from onefold.model.past import Past
from onefold.model.profile import Profile, Word
from onefold.model.recast import Recasting
from onefold.model.rules import Rules


class Segment(NamedTuple):
    """Definitions and rules that were in force from an instant on."""

    since_ms: int
    """Log time; that of the first does not matter."""
    program: Program
    rules: Rules
    counting: Mapping[str, int] = {}
    """Slots that count from an instant on, and not from ever."""


class Told(Protocol):
    """Whose events are, where that was found elsewhere (`core.identity.foretold`): nothing is resolved then."""

    @property
    def words(self) -> list[Word]:
        """Where somebody's word has made people one."""
        ...

    def join(self, run: Run, said: Word) -> None:
        """Let one of these happen."""
        ...

    def resolve(self, run: Run, incoming: Incoming) -> Profile:
        """The profile that an event is of."""
        ...

    def finish(self, run: Run) -> None:
        """Everything is folded."""
        ...


class Material(NamedTuple):
    """What is folded, and what is to be otherwise."""

    pasts: Collection[Past]
    """All events of these people."""
    segments: Sequence[Segment]
    """By time; at least one."""
    people: Collection[Profile]
    """As they are now: what was said of them is read from these (`links`, `notes`)."""
    until_ms: int
    """Log time up to which timers go off."""
    outsiders: Collection[Profile] = ()
    """Who has other identifiers that these events have, as they are now. They are changed, and to be thrown away."""
    accounts: Mapping[str, Profile] = {}
    """The accounts that these events name, by identifier."""
    parted: Parted = Parted()
    """What was undone; what the people's notes say of it comes to it."""
    never: Mapping[str, Collection[str]] = {}
    """Identifier → others that somebody has said are never its person's."""
    told: Told | None = None


class Refolded(NamedTuple):
    """Who there would be."""

    people: dict[int, Profile]
    absorbed: dict[int, int]
    """Profile that ended in a merge → who that is."""
    events: dict[int, int]
    """Place of an event → whose it is."""
    outsiders: dict[int, Profile]
    """Everybody who stood by, as they are afterwards."""
    moved: set[int]
    """Outsiders who would have changed: they are to be folded, too."""
    relations: dict[str, dict[int, int]]
    """As `Recasting.relations`."""


def refold(material: Material) -> Refolded:
    """Fold all of it. Pure; cost: that of the events, with what their people look like."""
    return _Refold(material).fold()


class _Refold:
    def __init__(self, material: Material) -> None:
        self._material = material
        noted = parting.parted_in(material.people)
        asked = material.parted
        self._parted = Parted(noted.pairs | asked.pairs, noted.loose | asked.loose)
        self._view = View({}, {}, {})
        self._outsiders = {profile.id: frozenset(profile.identifiers) for profile in material.outsiders}
        for profile in material.outsiders:
            self._view.profiles[profile.id] = profile
            self._view.identifiers.update(dict.fromkeys(profile.identifiers, profile.id))
        for account in material.accounts.values():
            self._view.profiles[account.id] = account
        self._aside = frozenset(self._view.profiles)
        """Those of the view who are not folded."""
        self._owners: dict[int, int] = {}
        self._absorbed: dict[int, int] = {}
        self._relations: dict[str, dict[int, int]] = {}
        self._due_ms = 0
        """Nobody is due before this."""
        self._run = self._begin(material.segments[0])

    def fold(self) -> Refolded:
        told = self._material.told
        said = _words(self._material.people, self._parted) if told is None else told.words
        words = sorted(said, reverse=True)
        for segment, pasts in _by_segment(self._material):
            if segment is not self._material.segments[0]:
                self._switch(segment)
            self._fold_part(segment, pasts, words)
        while words:
            self._hear(words.pop())
        if told is not None:
            told.finish(self._run)
            self._settle()
        self._pass_time(self._material.until_ms)
        here = self._view.profiles
        people = {one: profile for one, profile in here.items() if one not in self._aside}
        parting.note(list(people.values()), self._parted)
        _carry_undone(self._material.people, people.values())
        absorbed = {one: self._survivor(one) for one in self._absorbed}
        events = {place: self._survivor(owner) for place, owner in self._owners.items()}
        relations = {
            relation: {one: at_ms for one, at_ms in sorted(members.items()) if at_ms and one in people}
            for relation, members in sorted(self._relations.items())
        }
        outsiders = {one: here[one] for one in self._outsiders if one in here}
        return Refolded(people, absorbed, events, outsiders, self._moved_outsiders(), relations)

    def _begin(self, segment: Segment) -> Run:
        run = Run(0, segment.program, segment.rules)
        run.parted = self._parted if self._parted != Parted() else None
        run.with_accounts = segment.program.accounts is not None
        run.see(self._view)
        return run

    def _fold_part(self, segment: Segment, pasts: Sequence[Past], words: list[Word]) -> None:
        """The events of one segment, in their order, and what people said in between."""
        finder = finder_of(segment.rules)
        of_place = {(past.position, past.tie): past.partition for past in pasts}
        for incoming in read(segment.program, pasts):
            partition = of_place[incoming.position, incoming.fingerprint]
            while words and words[-1][:3] < (incoming.received_ms, partition, incoming.position):
                self._hear(words.pop())
            self._take(incoming, partition, finder)

    def _take(self, incoming: Incoming, partition: int, finder: Finder) -> None:
        run = self._run
        self._pass_time(incoming.received_ms)
        run.partition = partition
        run.at(incoming.position, incoming.received_ms)
        who = finder.find(incoming.event)
        who.owner = 0  # It may be remembered from the event before, and others have joined them since.
        incoming.who = who
        told = self._material.told
        person = resolve(run, incoming) if told is None else told.resolve(run, incoming)
        fold(run, person, incoming, self._account(person, incoming, finder))
        for name in incoming.who.identifiers if self._material.never else ():
            self._say_never(name)
        self._owners[partition << 56 | incoming.position] = person.id
        self._settle()

    def _account(self, person: Profile, incoming: Incoming, finder: Finder) -> Collection[Trigger]:
        """Link the person to the account that the event names, as `core.accounts.join` does; of it there is a copy."""
        if self._run.program.accounts is None or (named := finder.find_account(incoming.event)) is None:
            return ()
        account = self._material.accounts.get(named.identifiers[0])
        if account is None:
            return ()
        link = person.slots.get(LINK)
        if link is not None and (incoming.at_ms, incoming.fingerprint) <= (link[AT], link[TIE]):
            return ()
        before = accounts_in(person.slots)
        values = published(account, self._run.program.of_account)
        person.slots[LINK] = [incoming.at_ms, incoming.fingerprint, account.id, group_of(account), 0, values]
        if before != {account.id}:
            move(self._run, person, before)
            return (LINK,)
        return () if link is not None and identical(values, link[VALUES]) else (LINK,)

    def _hear(self, said: Word) -> None:
        """Somebody said of two identifiers that they are one person's, or never are."""
        run = self._run
        self._pass_time(said.at_ms)
        run.partition = said.partition
        run.at(said.position, said.at_ms)
        if self._material.told is None:
            explicit.hear(run, said)
        else:
            self._material.told.join(run, said)
        self._settle()

    def _say_never(self, name: str) -> None:
        others = self._material.never.get(name, ())
        owner = self._run.owners.get(name)
        if others and owner is not None:
            notes = self._run.profiles[owner].noted()
            notes.never = sorted({*notes.never, *others})

    def _pass_time(self, until_ms: int) -> None:
        """Let timers go off that are due by then, each when it is."""
        if self._due_ms > until_ms:
            return
        run, here = self._run, self._view.profiles
        gone_ms = -1
        while True:
            due_ms = min((profile.due_ms for one, profile in here.items() if one not in self._aside), default=NEVER_MS)
            self._due_ms = due_ms
            if due_ms > until_ms or due_ms <= gone_ms:
                break
            gone_ms = due_ms
            run.at(0, max(due_ms, run.now_ms))
            for one in sorted(here.keys() - self._aside):
                if here[one].due_ms <= due_ms:
                    run.touch(here[one])
                    wake(run, here[one])
        self._settle()

    def _switch(self, segment: Segment) -> None:
        """Other definitions come into force: everybody is judged again, with what these count from ever."""
        self._pass_time(segment.since_ms - 1)
        known = self._run.program.slots
        fresh = [key for key in segment.program.slots if key not in known and key not in segment.counting]
        self._run = run = self._begin(segment)
        run.at(0, segment.since_ms)
        if fresh:
            self._gather(segment, fresh)
        for _, profile in sorted(self._view.profiles.items()):
            if profile.id not in self._aside:
                run.touch(profile)
                renew(run, profile)
        run.quiet = NOTHING
        self._settle()

    def _gather(self, segment: Segment, fresh: Collection[str]) -> None:
        """What slots that were computed over history hold of the events so far."""
        pasts = [past for past in self._material.pasts if past.partition << 56 | past.position in self._owners]
        of_place = {(past.position, past.tie): past.partition for past in pasts}
        handlers, now_ms = segment.program.handlers, self._run.now_ms
        for each in read(segment.program, pasts):
            put = handlers[name_of(each) if name_of(each) in handlers else "*"].put
            if put is None:
                continue
            alone = Profile(0, now_ms, each.at_ms, each.at_ms, now_ms)
            put(alone, each.event, each.at_ms, each.fingerprint, now_ms)
            place = of_place[each.position, each.fingerprint] << 56 | each.position
            owner = self._view.profiles[self._survivor(self._owners[place])]
            for key, state in alone.slots.items():
                if key in fresh:
                    add_state(owner.slots, key, state, segment.program, 0)

    def _settle(self) -> None:
        """Note what the last step did, and let go of what it told."""
        run = self._run
        self._due_ms = min(self._due_ms, *(profile.due_ms for profile in run.touched.values()), NEVER_MS)
        run.touched.clear()
        run.armed.clear()
        self._absorbed.update(run.absorbed)
        run.absorbed.clear()
        for relation, members in run.members.items():
            if relation.startswith(RELATION):
                self._relations.setdefault(relation, {}).update(members)
        run.members.clear()
        run.effects.clear()
        run.bonds.clear()
        run.refused.clear()

    def _survivor(self, one: int) -> int:
        while one in self._absorbed:
            one = self._absorbed[one]
        return one

    def _moved_outsiders(self) -> set[int]:
        here, owners = self._view.profiles, set(self._owners.values())
        return {
            one
            for one, had in self._outsiders.items()
            if one not in here or frozenset(here[one].identifiers) != had or one in owners
        }


def recasting(going: Mapping[int, bytes], found: Refolded, pasts: Iterable[Past]) -> Recasting:
    """What brings these people into the step for those who go, who are given as they are stored; `pasts` are theirs."""
    ids = set(going) | set(found.absorbed)
    for data in going.values():
        ids.update(merge.absorbed for merge in profiles.decode(data).merges)
    absorbed = {one: _heir(one, found) for one in sorted(ids - found.people.keys())}
    events: dict[int, dict[int, list[int]]] = {}
    names = {one: {one, *(merge.absorbed for merge in profile.merges)} for one, profile in found.people.items()}
    for past in sorted(pasts, key=lambda each: (each.partition, each.position)):
        place = past.partition << 56 | past.position
        owner = found.events[place]
        # Whoever looks for somebody's events asks for these ids alone.
        if past.profile not in names.get(owner, ()) or absorbed.get(past.profile, past.profile) != owner:
            events.setdefault(owner, {}).setdefault(past.profile, []).append(place)
    return Recasting(
        {one: recast.stamp(data) for one, data in sorted(going.items())},
        [profiles.encode(profile) for _, profile in sorted(found.people.items())],
        absorbed,
        events,
        {relation: members for relation, members in found.relations.items() if members},
    )


def _heir(one: int, found: Refolded) -> int:
    """Who somebody is by now who was there before: who absorbed them, or else whose the event is that made them."""
    return found.absorbed[one] if one in found.absorbed else found.events[one - 1]


def _by_segment(material: Material) -> Iterator[tuple[Segment, list[Past]]]:
    """Each segment with the events of its time."""
    segments = material.segments
    ends = [segment.since_ms for segment in segments[1:]]
    for n, segment in enumerate(segments):
        begins_ms = segment.since_ms if n else 0
        until_ms = ends[n] if n < len(ends) else None
        yield (
            segment,
            [
                p
                for p in material.pasts
                if begins_ms <= p.received_ms and (until_ms is None or p.received_ms < until_ms)
            ],
        )


def _carry_undone(before: Iterable[Profile], after: Iterable[Profile]) -> None:
    """What was undone before is known of everybody who has come of those whom it concerned."""
    people = list(after)
    for was in before:
        for each in people if was.notes is not None and was.notes.undone else ():
            if not was.identifiers.keys().isdisjoint(each.identifiers):
                notes = each.noted()
                notes.undone = sorted({*notes.undone, *was.noted().undone})[-WORDS_MAX:]


def _words(people: Iterable[Profile], parted: Parted) -> set[Word]:
    """What was said of these people's identifiers, but for what was undone.

    Links that were said before words were kept are known by what they joined.
    """
    found: set[Word] = set()
    for profile in people:
        if profile.notes is not None:
            found.update(profile.notes.words)
    places = {(word.partition, word.position) for word in found}
    for profile in people:
        for link in profile.links:
            matched = explicit.is_matched(link.rule)
            if matched or (link.rule == EXPLICIT and (link.partition, link.position) not in places):
                by = link.rule if matched else ""
                found.add(Word(link.at_ms, link.partition, link.position, link.a, link.b, by, never=False))
    return {word for word in found if parting.still_holds(word, parted)}
