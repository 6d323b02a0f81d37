"""Merge: two profiles become one. Each part is a commutative monoid, so nothing is replayed."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from onefold.core.account_links import accounts_of, merged
from onefold.core.identity.notes import merge_notes
from onefold.core.identity.survivorship import put_together
from onefold.core.run import Run
from onefold.language.stream.program import IDENTITY, SEEN, Program, Trigger
from onefold.limits import RECENT_EVENTS_MAX
from onefold.model.effect import Merged
from onefold.model.profile import JUDGE_ANEW_MS, Declared, Merge, Profile, decode_part, encode_part


def absorb(run: Run, a: Profile, b: Profile, why: tuple[str, str, str]) -> Profile:
    """Merge two profiles because two identifiers are one person, by this rule; the older survives and is returned."""
    keep, gone = (a, b) if (a.created_at_ms, a.id) <= (b.created_at_ms, b.id) else (b, a)
    run.touch(keep)
    run.touch(gone)
    mine, theirs = accounts_of(keep), accounts_of(gone)
    triggers = _combine(keep, gone, run)
    keep.merges.append(Merge(gone.id, run.partition, run.position, run.now_ms))
    for identifier in gone.identifiers:
        run.owners[identifier] = run.moved[identifier] = keep.id
    for audience in gone.audiences:
        run.members[audience][gone.id] = 0
    if gone.notes is not None or keep.notes is not None:
        merge_notes(run, keep, gone)
    if theirs:
        merged(run, keep, mine, (gone.id, theirs))
    run.absorbed[gone.id] = keep.id
    del run.touched[gone.id], run.profiles[gone.id]
    run.effects.append(Merged(keep.id, run.position, run.number(), run.now_ms, gone.id, *why))
    run.judge(keep, triggers, "merge")
    _keep_earliest_memberships(run, keep, gone)
    if gone.version < keep.version:  # What it was swept of has come back: its home judges it again.
        keep.due_ms = JUDGE_ANEW_MS
    return keep


def _combine(keep: Profile, gone: Profile, run: Run) -> set[Trigger]:
    """Add what `gone` has to `keep`; returns what that may have changed."""
    triggers: set[Trigger] = {*SEEN, IDENTITY}
    keep.created_at_ms = min(keep.created_at_ms, gone.created_at_ms)
    keep.first_seen_ms = min(keep.first_seen_ms, gone.first_seen_ms)
    keep.last_seen_ms = max(keep.last_seen_ms, gone.last_seen_ms)
    keep.now_ms = max(keep.now_ms, gone.now_ms)
    keep.due_ms = min(keep.due_ms, gone.due_ms)
    keep.events += gone.events
    keep.recent = sorted(keep.recent + gone.recent, key=_within_partition)[-RECENT_EVENTS_MAX:]
    keep.merges += gone.merges
    for identifier, since_ms in gone.identifiers.items():
        keep.identifiers[identifier] = since_ms
    keep.links += gone.links
    rules = {} if run.rulebook is None else run.rulebook.traits
    triggers.update(f"traits.{name}" for name, rule in rules.items() if put_together(keep, gone, rule))
    for name, declared in gone.declared.items():
        if name not in rules and declare(keep.declared, name, declared):
            triggers.add(f"traits.{name}")
    triggers.update(_add_states(keep, gone, run.program))
    return triggers


def _add_states(keep: Profile, gone: Profile, program: Program) -> Iterable[Trigger]:
    """Add the states of `gone` to those of `keep`; their keys."""
    if program.merge_natively is not None:
        keys = program.merge_natively(keep, gone, partial(_merged, program))
        if keys is not None:
            return keys
    for key, state in gone.slots.items():
        add_state(keep.slots, key, state, program, gone.id)
    return gone.slots


def _merged(program: Program, key: str, mine: bytes, theirs: bytes) -> bytes:
    """The bytes of two states of one slot as one, for the kernel."""
    return encode_part(program.slots[key].merge(decode_part(mine), decode_part(theirs)))


def add_state(slots: dict[str, Any], key: str, state: Any, program: Program, origin: int) -> None:
    """Add the state of an aggregate, which came with the profile `origin`, to that of another profile.

    Another partition may have put newer definitions into force: a state that this program does not know is set aside
    for `settle`.
    """
    keeping = program.slots.get(key)
    mine = slots.get(key)
    if mine is None:
        slots[key] = state
    elif keeping is None:
        slots[f"{key}{_ASIDE}{origin:x}"] = state
    else:
        slots[key] = keeping.merge(mine, state)


def settle(slots: dict[str, Any], program: Program) -> dict[str, Any]:
    """The states that the program knows; what was set aside for it is added."""
    settled = {key: state for key, state in slots.items() if key in program.slots}
    for aside in [key for key in slots if _ASIDE in key]:
        key, _, origin = aside.partition(_ASIDE)
        if key in program.slots:
            add_state(settled, key, slots[aside], program, int(origin, 16))
    return settled


_ASIDE = "+"
"""Between a slot and the profile that a state set aside came with."""


def _within_partition(place: int) -> int:
    return place & ((1 << 56) - 1)


def _keep_earliest_memberships(run: Run, keep: Profile, gone: Profile) -> None:
    """Whoever is in an audience now, and was in it as the other, has been in it since the earlier time."""
    for audience, since_ms in gone.audiences.items():
        mine_ms = keep.audiences.get(audience)
        if mine_ms is not None and since_ms < mine_ms:
            keep.audiences[audience] = since_ms
            run.members[audience][keep.id] = since_ms


def declare(traits: dict[str, Declared], name: str, new: Declared) -> bool:
    """Last write wins by event time, then by tie; True where the trait changed hands."""
    old = traits.get(name)
    if old is not None and (old.at_ms, old.tie) >= (new.at_ms, new.tie):
        return False
    traits[name] = new
    return True
