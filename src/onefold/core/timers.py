"""Timers: what time alone does to a profile. Windows lose their oldest events, moving comparisons turn."""

from collections.abc import Collection

from onefold.core.account_links import copy
from onefold.core.run import Run
from onefold.language.keeping.accounts import BEHIND
from onefold.language.stream.program import NOW, Program, Trigger
from onefold.limits import NEVER_MS
from onefold.model.account import LINK
from onefold.model.profile import Profile


def wake(run: Run, profile: Profile, also: Collection[Trigger] = ()) -> None:
    """Bring a profile to the run's present, and arm it for the next instant at which it can change.

    `also`: what has changed already.
    """
    now_ms, program = run.now_ms, run.program_of(profile)
    profile.now_ms = now_ms
    if program.wake is not None and program.wake(profile, now_ms, list(also), run.changed, run.moves):
        run.tell(profile, "time")
        return
    profile.due_ms = NEVER_MS
    triggers: list[Trigger] = [NOW, *also]
    slots, known = profile.slots, program.slots
    if LINK in slots and LINK in known and slots[LINK][BEHIND] and copy(run, profile):
        triggers.append(LINK)
    for key in list(slots):
        keeping = known.get(key)
        if keeping is None or not keeping.expires:
            continue
        state = slots[key]
        if keeping.expire(state, now_ms):
            triggers.append(key)
        if keeping.is_empty(state):
            del slots[key]
        else:
            profile.due_ms = min(profile.due_ms, keeping.due_ms(state))
    run.judge(profile, triggers, "account" if LINK in triggers else "time")


def arm(profile: Profile, program: Program) -> None:
    """Wake the profile no later than the first of its windows loses something."""
    for key, state in profile.slots.items():
        keeping = program.slots.get(key)
        if keeping is not None and keeping.expires:
            profile.due_ms = min(profile.due_ms, keeping.due_ms(state))
