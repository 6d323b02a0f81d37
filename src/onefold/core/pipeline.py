"""The whole product as one readable sequence: what happens to every event, and to the other entries of the log.

Each function here is pure: batch, view and program in, changes out. It owns the view and changes it. Nothing here reads
a clock: time arrives in the entries. The steps of many batches may share a `Run`, and so a commit.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import structs

from onefold.core.account_links import accounts_in, move
from onefold.core.accounts import Round, add_pasts, join, named, renew_accounts, tell_members
from onefold.core.admit import admit, refuse
from onefold.core.batch import Batch, Incoming, Refused
from onefold.core.fold import fold
from onefold.core.identity import explicit
from onefold.core.identity import recast as recasting
from onefold.core.identity.merge import add_state
from onefold.core.identity.resolve import resolve
from onefold.core.renew import bring_to_present, mark, renew
from onefold.core.run import Run
from onefold.core.timers import arm
from onefold.language.stream.program import Program
from onefold.limits import SWEEP_MAX_PROFILES
from onefold.model import profile as profiles
from onefold.model import recast as recasts
from onefold.model.account import LINK, AccountPast
from onefold.model.changes import Changes, Cursor, View
from onefold.model.entry import MATCHED, PROFILE_ID_MAX, Backfilled, Linked, Recast
from onefold.model.position import position
from onefold.model.profile import Profile
from onefold.model.rules import Rules, fingerprint

_NOBODY = View({}, {}, {})


def step(run: Run, batch: Batch, view: View) -> None:
    """Fold a batch of events into the profiles of its view; what that did is added to the run."""
    run.see(view)
    _take_between(run, batch.incoming, batch.refused)
    run.count("received", len(batch.incoming) + len(batch.refused))


def _take_between(run: Run, incoming: list[Incoming], refused: list[Refused]) -> None:
    """Take these events, and refuse the others, in their order."""
    begin = 0
    for bad in refused:
        end = bisect_left(incoming, bad.position, begin, key=attrgetter("position"))
        _take_all(run, incoming[begin:end])
        refuse(run, bad)
        begin = end
    _take_all(run, incoming[begin:])


def _take_all(run: Run, incoming: list[Incoming]) -> None:
    if run.program.taking is None or run.rulebook is not None:
        for each in incoming:
            _take(run, each)
    else:
        _take_quickly(run, incoming, run.program.taking)


def _take_quickly(run: Run, incoming: list[Incoming], taking: Any) -> None:
    """The same, where the kernel takes what is ordinary."""
    place = taking.take(run, incoming, 0)
    while place < len(incoming):
        _take(run, incoming[place])
        place = taking.take(run, incoming, place + 1)


def _take(run: Run, incoming: Incoming) -> None:
    run.at(incoming.position, incoming.received_ms)
    if admit(run, incoming):
        person = resolve(run, incoming)
        fold(run, person, incoming, () if incoming.account is None else join(run, person, incoming))


def step_again(run: Run, incoming: list[Incoming], view: View) -> None:
    """Fold events that `run.retract` took out once more, over what their people have become meanwhile."""
    run.see(view)
    for each in incoming:
        run.messages.pop(each.fingerprint, None)  # One that came again after its window is here twice.
    _take_all(run, incoming)
    run.effects.put_in_order()


def finish(run: Run, cursor: Cursor) -> Changes:
    """All that the steps of a commit did; the partition is at `cursor` then."""
    mark(run)
    return run.changes(cursor)


class Place(NamedTuple):
    """Where an entry that carries no events stands: its partition before it, its offset, and the time it says."""

    partition: int
    before: Cursor
    offset: int
    at_ms: int
    done: bool | None = None
    """Of a recast that was folded before, elsewhere: whether it was done. None: nothing is known of that."""

    def after(self) -> Cursor:
        """The cursor once this entry is folded."""
        return structs.replace(self.before, offset=self.offset + 1, now_ms=max(self.before.now_ms, self.at_ms))


class Found(NamedTuple):
    """What history holds of the profiles up to this id."""

    upto: int
    people: dict[int, tuple[int, dict[str, Any]]]
    """Profile as it was → who that is by now, and its states."""
    accounts: Mapping[str, AccountPast] = {}
    """Identifier → what is added to the account."""


class About(NamedTuple):
    """What a tick or a sweep is about, of all that is in its view."""

    profiles: Collection[int]
    rounds: Mapping[int, Round]
    """Accounts that are to tell the next of their members."""


def tick(place: Place, view: View, program: Program, rules: Rules, about: About) -> Changes:
    """Wake profiles of the view (those whose timers are due by now) and bring them to the present.

    With the view are also the accounts that people are to be judged by, and members whom an account tells.
    """
    run = _run_at(place, view, program, rules)
    if program.accounts is not None:
        renew_accounts(run)
    for profile in _of(view, about.profiles):
        run.touch(profile)
        bring_to_present(run, profile)
    for account, members in about.rounds.items():
        tell_members(run, account, members)
    if program.accounts is not None:
        mark(run)
    return run.changes(place.after())


def sweep(place: Place, view: View, program: Program, rules: Rules, about: About) -> Changes:
    """Judge profiles of the view again under the definitions in force, if they were judged under older ones before.

    With the view are also the accounts that people are to be judged by. A recast may have brought people who were made
    under newer ones, which are to come here, too.
    """
    run = _run_at(place, view, program, rules)
    if program.accounts is not None:
        renew_accounts(run)
    for profile in _of(view, about.profiles):
        if profile.version < program.version:
            run.touch(profile)
            renew(run, profile)
    last = max(about.profiles) if len(about.profiles) == SWEEP_MAX_PROFILES else -1
    return run.changes(structs.replace(place.after(), sweeping=last))


def _of(view: View, profiles: Iterable[int]) -> Iterator[Profile]:
    """Those of these profiles that are there, in the order of their ids."""
    return (view.profiles[one] for one in sorted(profiles) if one in view.profiles)


def define(place: Place, program: Program, rules: Rules) -> Changes:
    """From here on the program's definitions are in force, with what they say of identity.

    Who was judged under others is swept next.
    """
    run = _run_at(place, _NOBODY, program, rules)
    accounts = program.accounts
    filled = 0 if program.gathered or (accounts is not None and accounts.gathered) else -1
    after = structs.replace(place.after(), version=program.version, sweeping=0, since=place.offset, filled=filled)
    new = rules.with_identity(program.identity)
    if new == rules:
        return run.changes(after)
    changes = run.changes(structs.replace(after, rules=fingerprint(new)))
    changes.rules = new
    return changes


def fill(place: Place, view: View, program: Program, rules: Rules, found: Found) -> Changes:
    """Add what history holds of profiles to what has been gathered since the definitions came into force.

    The view holds whoever these profiles are by now, and those of the accounts that are known.
    """
    run = _run_at(place, view, program, rules)
    add_pasts(run, found.accounts)
    for origin, (survivor, states) in found.people.items():
        profile = view.profiles[survivor]
        run.touch(profile)
        before = accounts_in(profile.slots)
        for key, state in states.items():
            if key in program.slots:
                add_state(profile.slots, key, named(run, state) if key == LINK else state, program, origin)
        if LINK in states:
            move(run, profile, before)
        arm(profile, program)
    mark(run)
    filled = -1 if found.upto == PROFILE_ID_MAX else found.upto
    return run.changes(structs.replace(place.after(), filled=filled))


def is_next(entry: Backfilled, before: Cursor) -> bool:
    """Whether this is what the partition waits for; what has come twice, or too late, is to be skipped."""
    return entry.version == before.version and entry.after == before.filled


def rule(place: Place, program: Program, rules: Rules, new: Rules) -> Changes:
    """From here on the new rules are in force; what the old ones have forgotten by now stays forgotten.

    What the definitions say of identity stays.
    """
    new = new.with_identity(rules.identity)
    changes = _run_at(place, _NOBODY, program, rules).changes(structs.replace(place.after(), rules=fingerprint(new)))
    changes.rules = new
    return changes


def link(place: Place, view: View, program: Program, rules: Rules, entry: Linked) -> Changes:
    """Make two identifiers one person's, or never so, because somebody has said it; or because matching is sure."""
    run = _run_at(place, view, program, rules)
    if entry.matched is not None:
        explicit.match(run, entry.a, entry.b, entry.matched.rule)
    else:
        (explicit.forbid if entry.never else explicit.join)(run, entry.a, entry.b, entry.by.removeprefix(f"{MATCHED}:"))
    mark(run)
    return run.changes(place.after())


def recast(place: Place, view: View, program: Program, rules: Rules, entry: Recast) -> Changes:
    """Let some profiles go and others come instead, where those who go are still as they were read.

    The view has them, whoever has an identifier of those who come, and the accounts of these. In a replay of
    several partitions what time alone did may come in another order, and make profiles differ in nothing but the
    instant of their last look; so who was recast then (`Place.done`) is.
    """
    run = _run_at(place, view, program, rules)
    run.with_accounts = program.accounts is not None
    what = recasts.decode(entry.body)
    coming = list(map(profiles.decode, what.coming))
    said = entry.by, entry.why
    current = recasting.is_current(view, what, coming)
    if place.done is not None:
        current = place.done and recasting.is_possible(view, what, coming)
    if place.before.filled >= 0 or not current:
        recasting.refuse(run, what, *said)
    else:
        recasting.apply(run, what, coming, said)
        mark(run)
    return run.changes(place.after())


def skip(place: Place, program: Program, rules: Rules) -> Changes:
    """An entry that changes nothing, such as definitions or rules that are in force already."""
    return _run_at(place, _NOBODY, program, rules).changes(place.after())


def _run_at(place: Place, view: View, program: Program, rules: Rules) -> Run:
    run = Run(place.partition, program, rules)
    run.see(view)
    run.at(position(place.offset, 0), place.after().now_ms)
    return run
