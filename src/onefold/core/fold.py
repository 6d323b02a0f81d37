"""Fold: an event becomes part of its profile: when it was seen, what it declared, what it counts in and changes."""

from typing import Any

from onefold.core.batch import Incoming
from onefold.core.merge import declare
from onefold.core.run import Run
from onefold.language.values import identical, storable
from onefold.limits import PROFILE_TRAITS_MAX, RECENT_EVENTS_MAX
from onefold.model.effect import Admitted
from onefold.model.profile import Declared, Profile


def fold(run: Run, profile: Profile, incoming: Incoming) -> None:
    """Put the event into the profile, judge the traits and audiences that it may have changed, and tell what did."""
    event, at_ms, now_ms = incoming.event, incoming.at_ms, run.now_ms
    profile.now_ms = now_ms
    profile.events += 1
    seen = _see(profile, at_ms)
    recent = profile.recent
    recent.append(run.partition << 56 | incoming.position)
    if len(recent) > RECENT_EVENTS_MAX:
        del recent[0]
    name = event.event if event.type == "track" and event.event is not None else event.type
    run.effects.append(Admitted(profile.id, incoming.position, run.n, now_ms, name))
    run.n += 1
    handlers = run.program.handlers
    put, on, triggers = handlers[name] if name in handlers else handlers["*"]
    also = run.program.at_first if profile.events == 1 else ()
    if event.type in _DECLARING and (declared := _declare_all(run, profile, incoming)):
        run.changed.update(declared)
        if not run.program.dependents.keys().isdisjoint(declared):
            also = (*also, *declared)
    if also:
        if put is not None:
            put(profile, event, at_ms, incoming.fingerprint, now_ms)
        run.judge(profile, (*triggers, *also), "event")
        return
    if on is not None:
        on(profile, event, at_ms, incoming.fingerprint, now_ms, seen, run.changed, run.moves)
    if run.changed or run.moves:
        run.tell(profile, "event")


def _see(profile: Profile, at_ms: int) -> int:
    """Note when the person was seen; returns what of that changed: 1 the first time, 2 the last."""
    seen = 0
    if at_ms > profile.last_seen_ms:
        profile.last_seen_ms = at_ms
        seen = 2
    elif at_ms < profile.first_seen_ms:
        profile.first_seen_ms = at_ms
        seen = 1
    return 3 if profile.events == 1 else seen


_DECLARING = ("identify", "group")


def _declare_all(run: Run, profile: Profile, incoming: Incoming) -> dict[str, Any]:
    """Time-based last write wins, trait by trait; returns the new values of those that changed."""
    event, declared = incoming.event, profile.declared
    traits = event.traits or {}
    if event.type == "identify" and event.context is not None and type(event.context.traits) is dict:
        traits = {**event.context.traits, **traits}
    if event.type == "group":
        traits = {"group": {"id": event.groupId, **traits}}
    place = run.partition << 56 | incoming.position
    changed: dict[str, Any] = {}
    for name, raw in traits.items():
        value = storable(raw)
        if value is None or (len(declared) >= PROFILE_TRAITS_MAX and name not in declared):
            continue
        old = declared.get(name)
        if declare(declared, name, Declared(value, incoming.at_ms, incoming.fingerprint, place)) and (
            old is None or not identical(old.value, value)
        ):
            changed[f"traits.{name}"] = value
    return changed
