"""Folding partitions of the log into the state: read, load, step, commit, again where another was faster.

The same code runs live, in a replay and in the simulation; only the ports differ. Live, a commit is on its way to the
disk while the next events are folded (`folding.committing`): these see what it holds before the state shows it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

from onefold import kernel
from onefold.core import pipeline
from onefold.core.account_links import accounts_in
from onefold.core.accounts import Round
from onefold.core.identity.identifiers import Finder, Who, finder_of
from onefold.core.pipeline import About, Found, Place
from onefold.core.run import Run
from onefold.errors import Conflict
from onefold.language.keeping import accounts as links
from onefold.language.stream.program import Program
from onefold.limits import STEP_MAX_EVENTS, SWEEP_MAX_PROFILES, TICK_MAX_TIMERS
from onefold.model import profile as profiles
from onefold.model import recast
from onefold.model.account import members_of
from onefold.model.changes import Changed, Changes, Cursor, View
from onefold.model.entry import (
    WITH_EVENTS,
    Backfilled,
    Defined,
    Linked,
    Recast,
    Ruled,
    Sweep,
    Tick,
    decode_accounts,
    decode_states,
)
from onefold.model.position import is_account
from onefold.model.profile import JUDGE_ANEW_MS, Profile
from onefold.model.rules import fingerprint
from onefold.ports import LogReader, Record, State
from onefold.runtime.folding.batches import entry_of, next_batch
from onefold.runtime.folding.committing import Beside
from onefold.runtime.folding.contention import Contention
from onefold.runtime.folding.native_profiles import NativeProfiles
from onefold.runtime.folding.pending import Pending
from onefold.runtime.folding.programs import Programs
from onefold.runtime.folding.remembered import Remembered, Settled

_EVENT_BYTES = 512
"""Read for each event that a commit may take; larger events make smaller commits."""
_SMALL_REST = 2
"""Times as much was read as is left."""
_LOOK_S = 0.001
"""So often is looked for events that arrive while a commit is under way."""
CACHED_PROFILES = 50_000
"""Profiles that a worker keeps in memory; up to twice as many."""
_FINDERS = 4
"""Rules that are remembered: partitions come to new ones one by one."""

Alone = Tick | Defined | Ruled | Linked | Sweep | Backfilled | Recast
"""Entries that carry no events: each makes a commit of its own."""


class Folding:
    """The fold of some partitions into one state."""

    def __init__(  # noqa: PLR0913 - the engines, and how they are used
        self,
        log: LogReader,
        state: State,
        programs: Programs,
        *,
        alone: bool = True,
        remembered: int = CACHED_PROFILES,
        native: Any = kernel.native,
    ) -> None:
        """`alone`: nobody else is expected to commit to this state. `remembered`: profiles that are kept in memory.

        `native`: the kernel that keeps them there; None: Python does.
        """
        self._log = log
        self._state = state
        self._beside: Beside | None = None
        self._programs = programs
        self._done: Mapping[tuple[int, int], bool] = {}
        self._finders: dict[int, Finder] = {}
        """Fingerprint of rules → what finds identifiers under them."""
        self._snapshot = 0
        self._native = NativeProfiles(native)
        self._remembered = Remembered(remembered, native)
        self._profiles = self._remembered.memory
        self._cursors: dict[int, Cursor] = {}
        self._ahead: dict[int, list[Record]] = {}
        """Partition → what was read last, which may be folded in part."""
        self._contention = Contention(alone=alone)
        self._under_way: Pending | None = None
        """The commit that was begun and may not have ended: what is folded now is made on it."""
        self._vain = False
        """The last look was in vain."""
        self.mended = 0
        """Conflicts after which just the people concerned were folded again."""

    @property
    def conflicts(self) -> int:
        """Commits that others were faster than."""
        return self._contention.conflicts

    def commit_beside(self, beside: Beside) -> None:
        """From now on the next events are folded while a commit is under way. So far the folding waited for each."""
        self._beside = beside

    def share(self, *, alone: bool) -> None:
        """Whether nobody else is expected to commit to this state from now on."""
        self._contention.alone = alone

    def again(self, done: Mapping[tuple[int, int], bool]) -> None:
        """The log was folded before, and this came of its recasts: (partition, offset) → whether it was done."""
        self._done = done

    def cursor(self, partition: int) -> Cursor:
        """How far this partition has been folded."""
        if partition not in self._cursors:
            self._cursors[partition] = self._state.cursor(partition)
        return self._cursors[partition]

    def advance(self, partition: int, max_events: int = STEP_MAX_EVENTS, until: int | None = None) -> int:
        """Fold the next entries of a partition (up to offset `until`) in one commit; returns how many, 0 at the end."""
        return self._advance((partition,), max_events, until)

    def upcoming(self, partition: int, until: int) -> Alone | None:
        """The next entry of a partition before offset `until`, where it carries no events."""
        return self._alone_next(partition, STEP_MAX_EVENTS, until)

    def advance_all(self, partitions: Collection[int], max_events: int = STEP_MAX_EVENTS) -> int:
        """Fold the next entries of several partitions; returns how many, 0 where all are at their ends.

        Their events share a commit, which costs much by itself, above all on another machine. It may still be under
        way on return, but for 0; what it raises, a later call does. Who commits beside and is told of news by watches
        may get 0 before what is on its way from another machine, and of a log that cannot be read hears at the second.
        """
        return self._advance(partitions, max_events, None)

    def settle(self) -> None:
        """Return once what was folded is committed. Raises what that raised, and then begins again from the state."""
        pending, self._under_way = self._under_way, None
        if pending is None:
            return
        assert self._beside is not None
        try:
            newest = self._beside.end()
        except BaseException:
            self._drop(pending)
            raise
        if newest == pending.snapshot + len(pending.parts):
            self._snapshot = newest

    def _advance(self, partitions: Collection[int], max_events: int, until: int | None) -> int:
        """An entry without events has a commit of its own; where one comes first, the partition's events wait."""
        if self._beside is not None:
            here, vain = self._come(partitions, self._beside), self._vain
            self._vain = not here and self._under_way is None
            if not here and not (self._vain and vain):
                return 0 if self._vain else self._settled() or 1
            partitions = here or partitions
        share = self._share(partitions, max_events)
        alone = [partition for partition in partitions if self._alone_next(partition, share, until) is not None]
        if alone and not self._settled():
            return 1
        taken = sum(self._until_nobody_is_faster(partial(self._fold_next, one, share, until)) for one in alone)
        others = [partition for partition in partitions if partition not in alone]
        if others:
            taken += self._until_nobody_is_faster(partial(self._fold_events, others, max_events, until))
        return taken if taken or self._settled() else 1

    def _share(self, partitions: Collection[int], max_events: int) -> int:
        """What the next commit may fold of each of these partitions."""
        return min(max_events, self._contention.most_events()) // max(1, len(partitions)) or 1

    def _come(self, partitions: Collection[int], beside: Beside) -> list[int]:
        """Those of these partitions that have more; while a commit is under way, waits for the first of them.

        A read in vain is dear, on Kafka half a millisecond of the broker: made at the second vain look, to be sure.
        """
        while True:
            here = [one for one in partitions if self._has_come(one, self.cursor(one).offset)]
            if here or self._under_way is None or beside.ended(_LOOK_S):
                return here

    def _has_come(self, partition: int, offset: int) -> bool:
        read = self._ahead.get(partition)
        return bool(read and read[-1].offset >= offset) or self._log.has_come(partition, offset)

    def _settled(self) -> bool:
        """Whether what was folded is committed; False: somebody was faster, and it has to be folded again."""
        try:
            self.settle()
        except Conflict:
            self._contention.overtaken()
            return False
        return True

    def _alone_next(self, partition: int, share: int, until: int | None) -> Alone | None:
        """The next entry, where it carries no events."""
        records = self._records(partition, self.cursor(partition).offset, share, until)
        if not records or records[0].data.startswith(WITH_EVENTS):
            return None
        entry = entry_of(self._programs.get(self.cursor(partition).version), records[0])
        return entry if isinstance(entry, Alone) else None

    def _fold_next(self, partition: int, share: int, until: int | None) -> int:
        """Fold the next entry, if it carries no events; another worker may have done so meanwhile."""
        entry = self._alone_next(partition, share, until)
        if entry is None or (isinstance(entry, Recast) and not self._has_reached(entry)):
            return 0
        cursor = self.cursor(partition)
        records = self._records(partition, cursor.offset, share, until)
        program = self._programs.get(cursor.version)
        self._fold_alone(Place(partition, cursor, records[0].offset, entry.at_ms), entry, program)
        return 1

    def _has_reached(self, entry: Recast) -> bool:
        """Whether all is folded that these people were made of. Live it always is; not so where a log is folded again.

        What the log does not have any more is not waited for.
        """
        reached = recast.decode(entry.body).reached
        behind = [each for each in reached if self._state.cursor(each).offset < reached[each]]
        return not any(self._state.cursor(each).offset < self._log.ends(each)[1] for each in behind)

    def _fold_events(self, partitions: Collection[int], max_events: int, until: int | None) -> int:
        """Fold the events at the head of each partition in one commit."""
        share = self._share(partitions, max_events)
        with self._pending() as pending:
            for partition in partitions:
                self._fold_part(pending, partition, share, until)
            if len(partitions) == 1:
                self._fold_arrivals(pending, next(iter(partitions)), share, until)
            if pending.parts:
                self._commit_events(pending)
        return sum(part.taken for part in pending.parts)

    def _fold_arrivals(self, pending: Pending, partition: int, share: int, until: int | None) -> None:
        """Fold what arrives while a commit is under way: it leaves with the next one, as what is folded already.

        Only of one partition: each part is made on those before it, of which none may go on.
        """
        while self._under_way is not None and self._beside is not None and pending.events < share:
            if self._beside.ended(_LOOK_S):
                return
            part = pending.part_of(partition)
            offset = (self.cursor(partition) if part is None else part.cursor).offset
            more = self._has_come(partition, offset)
            if more and self._fold_part(pending, partition, share - pending.events, until):
                return

    def _until_nobody_is_faster(self, fold: Callable[[], int]) -> int:
        while True:
            if self._under_way is None:
                self._catch_up()
            try:
                taken = fold()
            except Conflict:
                self._contention.overtaken()
            else:
                if taken:
                    self._contention.folded()
                return taken

    def _records(self, partition: int, offset: int, max_events: int, until: int | None) -> list[Record]:
        """The records from `offset` on. What is left of the last read is used up first.

        Else a tick would have it all read again. A small rest has more read behind it, since a commit of its own would
        cost as much as a large one.
        """
        max_bytes = max_events * _EVENT_BYTES
        read = self._ahead.get(partition, [])
        ahead = read[offset - read[0].offset :] if read and read[0].offset <= offset else []
        if not ahead or len(ahead) * _SMALL_REST < len(read):
            begin = ahead[-1].offset + 1 if ahead else offset
            ahead = self._ahead[partition] = ahead + self._log.read(partition, begin, max_bytes)
        return ahead if until is None else ahead[: max(0, until - offset)]

    def _fold_part(self, pending: Pending, partition: int, max_events: int, until: int | None) -> bool:
        """Add to the commit what comes next in a partition, up to an entry without events; whether that is next."""
        part = pending.part_of(partition)
        cursor = self.cursor(partition) if part is None else part.cursor
        records = self._records(partition, cursor.offset, max_events, until)
        program = self._programs.get(cursor.version)
        taken = events = 0
        while events < max_events and taken < len(records):
            batch = next_batch(program, self._finder(cursor), (partition, cursor), records[taken:], max_events - events)
            if batch is None:
                break
            if part is None:
                rules = self._finder(cursor).rules
                containers = self._native.containers(program, rules)
                part = pending.begin(Run(partition, program, rules, cursor.forgotten_ms, containers), cursor)
            settled = self._remembered.settle(batch.incoming, pending.touched)
            pipeline.step(part.run, batch, self._load(pending, settled, (), self._native.messages(batch)))
            self._absorbed(pending, part.run)
            if self._contention.expected:
                part.batches.append(batch)
            events += len(batch.incoming)
            taken += batch.cursor.offset - cursor.offset
            part.cursor = cursor = batch.cursor
        if part is not None:
            part.taken += taken
            part.events += events
        return taken < len(records) and events < max_events

    def _absorbed(self, pending: Pending, run: Run) -> None:
        """Who has ended in a merge is remembered nowhere."""
        self._forget(run.absorbed)
        pending.forget(run.absorbed)

    def _commit_events(self, pending: Pending) -> None:
        """Commit. What is dear waits for its turn, and then is mended before it is made ready to be refused."""
        if pending.before is not None or not self._contention.is_dear(pending.events):
            self._commit_mended(pending)
            return
        pending.encode(self._finished(pending), self._native.encode)
        with self._state.turn():
            self._look_at_others(pending)
            self._commit_mended(pending)

    def _commit_mended(self, pending: Pending) -> None:
        """Commit; where others were faster, first fold again the events of just the people whom they changed.

        Raises `Conflict` where that cannot be done, or was done in vain too often.
        """
        for mends in count():
            try:
                self._commit(pending, self._finished(pending))
            except Conflict:
                if self._contention.outpaced(pending.events, mends):
                    raise
                if not self._mend(pending, *self._state.touched_since(pending.snapshot)):
                    raise
            else:
                self._contention.committed(pending.events, mends)
                return

    def _finished(self, pending: Pending) -> list[Changes]:
        """What its parts have changed, as it is now."""
        pending.share_timers()
        return [pipeline.finish(part.run, part.cursor) for part in pending.parts]

    def _look_at_others(self, pending: Pending) -> None:
        """Mend what others were faster with. Raises `Conflict` where that cannot be done."""
        newest, changed = self._state.touched_since(pending.snapshot)
        if (changed is None or pending.has_met(changed)) and not self._mend(pending, newest, changed):
            raise Conflict("another worker was faster")

    def _mend(self, pending: Pending, newest: int, changed: Changed | None) -> bool:
        """Bring a commit to the present: others have `changed` this since its snapshot, up to the `newest`.

        False: too much has changed, or others fold these partitions, too.
        """
        if changed is None or not pending.can_be_mended:
            return False
        if any(self._state.cursor(part.run.partition) != part.before for part in pending.parts):
            return False
        if pending.is_news(self._state.load((), (), pending.messages()).seen):
            return False
        people = pending.concerned(changed)
        self._forget(changed.profiles | people)
        self._cursors.clear()
        pending.snapshot = newest
        for part, again in pending.retract(people):
            settled = self._remembered.settle(again, pending.touched)
            pipeline.step_again(part.run, again, self._load(pending, settled, (), ()))
            self._absorbed(pending, part.run)
        self._contention.overtaken()
        self.mended += 1
        return True

    def _finder(self, cursor: Cursor) -> Finder:
        """What finds identifiers under the rules in force."""
        finder = self._finders.get(cursor.rules)
        if finder is None:
            if len(self._finders) >= _FINDERS:
                self._finders.clear()
            finder = self._finders[cursor.rules] = finder_of(self._state.rules(cursor.rules))
        return finder

    def _fold_alone(self, place: Place, entry: Alone, program: Program) -> None:
        """An entry without events makes a commit of its own."""
        rules = self._finder(place.before).rules
        with self._pending() as pending:
            match entry:
                case Tick():
                    now_ms = place.after().now_ms
                    due = [profile for _, profile in self._state.due(place.partition, now_ms, TICK_MAX_TIMERS)]
                    view, about = self._load_with_accounts(pending, due, program, rounds=True)
                    changes = pipeline.tick(place, view, program, rules, about)
                case Sweep(after=after):
                    ids = self._ids(place.partition, after, SWEEP_MAX_PROFILES)
                    view, about = self._load_with_accounts(pending, ids, program, rounds=False)
                    changes = pipeline.sweep(place, view, program, rules, about)
                case Defined(version=version) if version > place.before.version:
                    self._programs.learn(entry)
                    changes = pipeline.define(place, self._programs.get(version), rules)
                case Ruled(rules=new) if fingerprint(new.with_identity(rules.identity)) != place.before.rules:
                    changes = pipeline.rule(place, program, rules, new)
                case Linked():
                    view = self._load_people(pending, [Who((entry.a, entry.b))])
                    changes = pipeline.link(place, view, program, rules, entry)
                case Recast():
                    view = self._load_to_recast(pending, entry)
                    place = place._replace(done=self._done.get((place.partition, place.offset)))
                    changes = pipeline.recast(place, view, program, rules, entry)
                case Backfilled() if pipeline.is_next(entry, place.before):
                    found = self._found(entry)
                    survivors = {survivor for survivor, _ in found.people.values()}
                    view = self._load_people(pending, [Who((name,)) for name in found.accounts], survivors)
                    if not survivors <= view.profiles.keys():
                        raise Conflict(f"a profile of partition {place.partition} was absorbed meanwhile")
                    changes = pipeline.fill(place, view, program, rules, found)
                case _:
                    changes = pipeline.skip(place, program, rules)
            self._commit(pending, [changes])

    def _load_to_recast(self, pending: Pending, entry: Recast) -> View:
        """Those who go, whoever has an identifier of those who come, and the accounts of these."""
        what = recast.decode(entry.body)
        coming = [profiles.decode(data) for data in what.coming]
        names = tuple(dict.fromkeys(name for profile in coming for name in profile.identifiers))
        accounts = {account for profile in coming for account in accounts_in(profile.slots)}
        return self._load_people(pending, [Who(names)], what.going.keys() | accounts)

    def _ids(self, partition: int, after: int, limit: int) -> list[int]:
        """Ids > after of the people at home in this partition, and then of its accounts, ascending."""
        people = self._state.profile_ids(partition, after, limit)
        return people + self._state.account_ids(partition, after, limit - len(people))

    def _load_with_accounts(
        self, pending: Pending, ids: Collection[int], program: Program, *, rounds: bool
    ) -> tuple[View, About]:
        """Profiles, and what they are judged by: the accounts of people, those marked only where it is for `rounds`.

        `rounds`: also the next members of the accounts that have something to tell, TICK_MAX_TIMERS of them all.
        """
        view = self._load_people(pending, (), ids)
        if program.accounts is None:
            return view, About(ids, {})
        to_tell = self._rounds(view.profiles) if rounds else {}
        more = {member for members, _ in to_tell.values() for member in members}
        for profile in view.profiles.values():
            link = links.link(profile.slots)
            if link is not None and (link[links.BEHIND] or profile.due_ms == JUDGE_ANEW_MS or not rounds):
                more.add(link[links.ACCOUNT])
        if more := more - view.profiles.keys():
            view.profiles |= self._load_people(pending, (), more).profiles
        return view, About(ids, to_tell)

    def _rounds(self, here: Mapping[int, Profile]) -> dict[int, Round]:
        """Who is told next by each of the accounts among these profiles; those that have waited longest come first."""
        found: dict[int, Round] = {}
        left = TICK_MAX_TIMERS
        for account in sorted(here.values(), key=lambda profile: (profile.due_ms, profile.id)):
            if left and is_account(account.id) and (after := links.next_after(account.slots)) is not None:
                members = [member for member, _ in self._state.members(members_of(account.id), after, left)]
                found[account.id] = members, len(members) == left
                left -= len(members)
        return found

    def _found(self, entry: Backfilled) -> Found:
        """What an entry brings, with who its profiles are by now; those that are no more are left out."""
        states = decode_states(entry.states)
        alive = self._state.survivors(states)
        people = {one: (profiles.decode(data).id, states[one]) for one, data in alive.items()}
        return Found(entry.upto, people, decode_accounts(entry.accounts) if entry.accounts else {})

    @contextmanager
    def _pending(self) -> Iterator[Pending]:
        """A commit in the making. Where it fails, all that it has changed in memory is forgotten."""
        pending = Pending(self._snapshot, self._under_way)
        try:
            yield pending
        except BaseException:
            self._drop(pending)
            self.settle()  # Its people have been changed in memory, too: they are read again.
            raise

    def _drop(self, pending: Pending) -> None:
        """Nothing came of this: whatever it has read or changed is read again."""
        self._forget(pending.read)
        for part in pending.parts:
            self._forget(part.run.touched)
        self._cursors.clear()

    # --- what is loaded, and what is remembered ----------------------------------------------------------------
    def _catch_up(self) -> None:
        """Forget whatever others have changed since we looked last; it may be that they fold our partitions, too."""
        newest, changed = self._state.touched_since(self._snapshot)
        if newest != self._snapshot:
            self._cursors.clear()
        if changed is None:
            self._profiles.clear()
        else:
            self._forget(changed.profiles)
        self._snapshot = newest

    def _forget(self, profile_ids: Iterable[int]) -> None:
        for profile_id in profile_ids:
            self._profiles.forget(profile_id)

    def _load_people(self, pending: Pending, people: Iterable[Who], wanted: Collection[int] = ()) -> View:
        """The view of these people, and of `wanted` profiles."""
        return self._load(pending, self._remembered.settle_people(people, pending.touched), wanted, ())

    def _load(self, pending: Pending, settled: Settled, wanted: Collection[int], messages: Collection[bytes]) -> View:
        """The view of a batch: from memory, and from the state where that has more to say."""
        here, names = settled
        owners = pending.moved(names)
        missing = []
        for profile_id in {*owners.values(), *wanted}:
            profile = self._remembered.get(profile_id, pending.touched)
            if profile is None:
                missing.append(profile_id)
            else:
                here[profile_id] = profile
        unknown = [name for name in names if name not in owners] if owners else names
        loaded = self._state.load(unknown, missing, messages, self._profiles)
        owners |= loaded.identifiers
        found = loaded.profiles
        wanting = {*loaded.identifiers.values(), *found}
        while wanting:
            here.update(self._taken(pending, wanting, found))
            wanting.difference_update(here)
            if wanting:  # They were in memory a moment ago, so were not loaded, and have had to give way to others.
                again = self._state.load((), wanting, ())
                found = again.profiles
                if not wanting <= found.keys():
                    assert again.snapshot != loaded.snapshot, f"profiles of identifiers are missing: {wanting}"
                    raise Conflict("a profile of this batch was absorbed meanwhile")
        pending.seen |= loaded.seen
        loaded.seen.update(pending.admitted(messages))
        pending.reads(loaded.identifiers, {*here, *wanted} if wanted else here)
        return View(owners, here, loaded.seen)

    def _taken(self, pending: Pending, wanting: set[int], found: Mapping[int, bytes]) -> dict[int, Profile]:
        """Those of these profiles that are in memory or were found; what was found is remembered."""
        here: dict[int, Profile] = {}
        for profile_id in wanting:
            profile = self._remembered.get(profile_id, pending.touched)
            if profile is None and profile_id in found:
                profile = self._native.decode(found[profile_id])
                self._profiles.put(profile_id, profile)
            if profile is not None:
                here[profile_id] = profile
        return here

    def _commit(self, pending: Pending, parts: list[Changes]) -> None:
        """Commit, once the commit before it has ended; return before this one has, where nobody may be faster."""
        pending.encode(parts, self._native.encode)
        if (before := pending.before) is not None:
            self.settle()
            pending.follow(self._snapshot)
            if self._snapshot != before.snapshot + len(before.parts):
                raise Conflict("another worker was faster than the commit before this one")
        if self._beside is None or self._contention.is_awaited(pending.events) or not pending.parts:
            self._state.commit(parts, pending.loaded(), pending.encoded)
        else:
            self._beside.begin(parts, pending.loaded(), pending.encoded)
            self._under_way = pending
        for changes in parts:
            self._cursors[changes.partition] = changes.cursor
            self._remembered.keep(changes.profiles, pending.encoded)
            self._forget(changes.absorbed)
