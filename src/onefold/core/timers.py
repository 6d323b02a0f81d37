"""Timers: what time alone does to a profile. Windows lose their oldest events, moving comparisons turn."""

from onefold.core.run import Run
from onefold.language import windows
from onefold.language.program import NOW, Program, Trigger
from onefold.limits import NEVER_MS
from onefold.model.profile import Profile


def wake(run: Run, profile: Profile) -> None:
    """Bring a profile to the run's present, and arm it for the next instant at which it can change."""
    now_ms = run.now_ms
    profile.now_ms = now_ms
    profile.due_ms = NEVER_MS
    triggers: list[Trigger] = [NOW]
    slots, known = profile.slots, run.program.slots
    for key in list(slots):
        slot = known.get(key)
        if slot is None or slot.within_ms is None:
            continue
        window = slots[key]
        if windows.expire(window, now_ms, slot.within_ms, slot.monoid):
            triggers.append(key)
            if not windows.size(window):
                del slots[key]
                continue
        profile.due_ms = min(profile.due_ms, windows.next_expiry_ms(window, slot.within_ms))
    run.judge(profile, triggers, "time")


def arm(profile: Profile, program: Program) -> None:
    """Wake the profile no later than the first of its windows loses something."""
    for key, window in profile.slots.items():
        slot = program.slots.get(key)
        if slot is not None and slot.within_ms is not None:
            profile.due_ms = min(profile.due_ms, windows.next_expiry_ms(window, slot.within_ms))
