"""Recast: some profiles go and others come instead, as one entry of the log has it, and everybody is told.

What comes was computed outside the step (`core.identity.refold`); here it only takes its place. Where one who goes is
not as they were when that was computed, nothing happens: no event is lost, and none counts twice.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from onefold.core.account_links import accounts_in
from onefold.core.identity.notes import HOT_MEMBERS
from onefold.core.renew import bring_to_present, renew
from onefold.core.run import Run
from onefold.language.values import identical
from onefold.limits import NEVER_MS, WORDS_MAX
from onefold.model import profile as profiles
from onefold.model import recast
from onefold.model.account import members_of
from onefold.model.changes import View
from onefold.model.effect import Merged, Recast, Split
from onefold.model.profile import Profile, Undone
from onefold.model.recast import Recasting

RECAST = "recast"
"""The rule by which people become one who were folded anew."""
SPLIT = "split"
"""Why somebody leaves an audience who is not in it without those who were taken from them."""


def is_current(view: View, what: Recasting, coming: Iterable[Profile]) -> bool:
    """Whether all who go are as they were read, and nobody else has an identifier of those who come."""
    return is_possible(view, what, coming) and all(
        recast.stamp(profiles.encode(view.profiles[one])) == stamp for one, stamp in what.going.items()
    )


def is_possible(view: View, what: Recasting, coming: Iterable[Profile]) -> bool:
    """Whether all who go are there, however they are, and nobody else has an identifier of those who come."""
    owners = (view.identifiers.get(name) for each in coming for name in each.identifiers)
    return what.going.keys() <= view.profiles.keys() and all(owner is None or owner in what.going for owner in owners)


def refuse(run: Run, what: Recasting, by: str, why: str) -> None:
    """Nothing is done, and that is told."""
    run.effects.append(Recast(min(what.going), run.position, run.number(), run.now_ms, by, why, applied=False))
    run.count("recasts_stale")


def apply(run: Run, what: Recasting, coming: list[Profile], said: tuple[str, str]) -> None:
    """Let these come for those who go; `said`: by whom, and why."""
    going = {one: run.profiles[one] for one in sorted(what.going)}
    _note(run, what, coming, said)
    run.effects.append(Recast(min(going), run.position, run.number(), run.now_ms, *said, applied=True))
    run.count("recasts")
    coming = sorted(coming, key=lambda each: each.id)
    _go(run, going, coming)
    for profile in coming:
        _come(run, profile, going)
    for relation, members in what.relations.items():
        run.members[relation].update(members)
    _lead(run, what, going, coming)
    for profile in coming:
        _tell(run, profile, going.get(profile.id))
        _bring_to_present(run, profile)


def _note(run: Run, what: Recasting, coming: Iterable[Profile], said: tuple[str, str]) -> None:
    """Whoever is another one by this remembers it."""
    undone = Undone(run.now_ms, run.partition, run.position, *said)
    for profile, data in zip(coming, what.coming, strict=True):
        if what.going.get(profile.id) != recast.stamp(data):
            notes = profile.noted()
            notes.undone = [*notes.undone, undone][-WORDS_MAX:]


def _go(run: Run, going: Mapping[int, Profile], coming: Iterable[Profile]) -> None:
    """Whatever leads to those who go leads there no longer."""
    stay = {profile.id for profile in coming}
    for one, profile in going.items():
        run.touch(profile)
        for audience in profile.audiences:
            run.members[audience][one] = 0
        for account in accounts_in(profile.slots):
            run.members[members_of(account)][one] = 0
        if profile.notes is not None and profile.notes.hot:
            run.members[HOT_MEMBERS][one] = 0
        if one not in stay:
            del run.touched[one], run.profiles[one]


def _come(run: Run, profile: Profile, going: Mapping[int, Profile]) -> None:
    one = profile.id
    if one not in going:
        run.returned.append(one)
        run.armed[one] = NEVER_MS
    run.profiles[one] = run.touched[one] = profile


def _lead(run: Run, what: Recasting, going: Mapping[int, Profile], coming: Iterable[Profile]) -> None:
    """Let identifiers and former ids lead to those who have them now."""
    owners = {name: profile.id for profile in coming for name in profile.identifiers}
    before = {name: one for one, profile in going.items() for name in profile.identifiers}
    for name, owner in owners.items():
        run.owners[name] = owner
        if before.get(name) != owner:
            run.moved[name] = owner
    for name in sorted(before.keys() - owners.keys()):
        run.owners.pop(name, None)
        run.freed.append(name)
    run.absorbed.update(what.absorbed)
    came_of = {name: one for one, profile in going.items() for name in profile.identifiers}
    for profile in coming:
        if profile.id not in going:
            former = next((came_of[name] for name in profile.identifiers if name in came_of), min(going))
            names = sorted(profile.identifiers)
            run.effects.append(Split(profile.id, run.position, run.number(), run.now_ms, former, names))
    for one, survivor in sorted(what.absorbed.items()):
        if one in going or survivor not in going:  # Of others it is known already whose they are.
            a = next(iter(run.profiles[survivor].identifiers), "")
            b = next(iter(going[one].identifiers), "") if one in going else a
            run.effects.append(Merged(survivor, run.position, run.number(), run.now_ms, one, a, b, RECAST))


def _tell(run: Run, profile: Profile, before: Profile | None) -> None:
    """Tell what of a profile is another than before; nobody was there before: all of it."""
    run.changed = _changed(before, profile)
    were = before.audiences if before is not None else {}
    run.moves = [(name, False) for name in sorted(were) if name not in profile.audiences]
    run.moves += [(name, True) for name in sorted(profile.audiences) if name not in were]
    run.tell(profile, SPLIT)
    for audience, since_ms in profile.audiences.items():
        run.members[audience][profile.id] = since_ms


def _changed(before: Profile | None, profile: Profile) -> dict[str, Any]:
    were, are = _values(before), _values(profile)
    names = sorted(were.keys() | are.keys())
    return {name: are.get(name) for name in names if name not in were or not identical(were[name], are.get(name))}


def _values(profile: Profile | None) -> dict[str, Any]:
    if profile is None:
        return {}
    return {f"traits.{name}": said.value for name, said in profile.declared.items()} | profile.computed


def _bring_to_present(run: Run, profile: Profile) -> None:
    """What has come due since it was computed; all of it, where other definitions are in force by now."""
    if profile.version < run.program.version:
        renew(run, profile)
    elif profile.due_ms <= run.now_ms:
        bring_to_present(run, profile)
