"""Turning: when a profile's values will change by themselves, found by letting its time pass with nothing happening."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from onefold.core.run import Run
from onefold.core.timers import wake
from onefold.language import nodes as n
from onefold.language.stream.probe import Probe, Probed
from onefold.limits import NEVER_MS, TURNS_MAX
from onefold.model import position
from onefold.model import profile as profiles
from onefold.model.explanation import Turn
from onefold.model.profile import Profile
from onefold.model.rules import Rules

Key = tuple[str, int]
"""A definition, and the number of one of its parts."""


class Turns(NamedTuple):
    """What time alone will change."""

    turns: dict[Key, Turn]
    """For each part that will change: the very next instant at which it does."""
    beyond_ms: int | None
    """What comes after this instant was not looked at; None: all was."""


def turns(asked: Probed, profile: Profile, at_ms: int) -> Turns:
    """Let time pass from `at_ms` on, from each instant at which anything may change to the next.

    The profile is left as it is. Cost: that of a timer and of all probes, for TURNS_MAX instants at the most.
    """
    one = profiles.decode(profiles.encode(profile))
    run = Run(position.home(profile.id), asked.program, Rules())
    waiting = {
        (name, probe.number): probe
        for name, whole in asked.probes.items()
        for probe in whole.walk()
        if not isinstance(probe.node, n.Now)
    }
    now = _values_at(waiting, run, one, at_ms)
    found: dict[Key, Turn] = {}
    for _ in range(TURNS_MAX):
        if one.due_ms >= NEVER_MS or not waiting:
            return Turns(found, None)
        then_ms = one.due_ms
        for key, value in _values_at(waiting, run, one, then_ms).items():
            if not alike(value, now[key]):
                found[key] = Turn(then_ms, value)
                del waiting[key]
    return Turns(found, one.due_ms - 1)


def _values_at(waiting: Mapping[Key, Probe], run: Run, profile: Profile, at_ms: int) -> dict[Key, Any]:
    """The values at this instant; the profile is armed for the next at which any of them may be another."""
    run.at(0, at_ms)
    wake(run, profile)
    run.effects.clear()
    return {key: probe.value(profile, at_ms) for key, probe in waiting.items()}


def alike(a: Any, b: Any) -> bool:
    """The same value for whoever reads it: equal, and true is not 1."""
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)
