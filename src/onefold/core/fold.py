"""Fold: an event becomes part of its profile: when it was seen, what it declared, what aggregates count of it."""

from typing import Any

from onefold.core.batch import Incoming
from onefold.core.merge import declare
from onefold.core.run import Run
from onefold.language.program import Judge, Trigger
from onefold.language.values import storable
from onefold.limits import PROFILE_TRAITS_MAX, RECENT_EVENTS_MAX
from onefold.model.effect import Admitted
from onefold.model.event import Excerpt
from onefold.model.profile import Declared, Profile


def fold(run: Run, profile: Profile, incoming: Incoming) -> tuple[Judge | None, tuple[Trigger, ...], dict[str, Any]]:
    """Put the event into the profile.

    Returns what is to be judged, either by the judge of the event's name or by triggers where a declared trait changed
    too, and the declared traits that changed.
    """
    event, at_ms = incoming.event, incoming.at_ms
    name = name_of(event)
    profile.now_ms = incoming.received_ms
    profile.events += 1
    if at_ms > profile.last_seen_ms:
        profile.last_seen_ms = at_ms
    elif at_ms < profile.first_seen_ms:
        profile.first_seen_ms = at_ms
    recent = profile.recent
    recent.append(run.partition << 56 | incoming.position)
    if len(recent) > RECENT_EVENTS_MAX:
        del recent[0]
    run.effects.append(Admitted(profile.id, incoming.position, run.n, incoming.received_ms, name))
    run.n += 1
    handlers = run.program.handlers
    put, judge, triggers = handlers[name] if name in handlers else handlers["*"]
    if put is not None:
        put(profile, event, at_ms, incoming.fingerprint, incoming.received_ms)
    if event.type not in _DECLARING:
        return judge, (), {}
    changed = _declare_all(profile, incoming)
    if any(trait in run.program.dependents for trait in changed):
        return None, (*triggers, *changed), changed
    return judge, (), changed


_DECLARING = ("identify", "group")


def name_of(event: Excerpt) -> str:
    """What definitions call the event: a track event by its name, any other by its type."""
    if event.type == "track" and event.event is not None:
        return event.event
    return event.type


def _declare_all(profile: Profile, incoming: Incoming) -> dict[str, Any]:
    """Time-based last write wins, trait by trait; returns the new values of those that changed."""
    event, declared = incoming.event, profile.declared
    traits = event.traits or {}
    if event.type == "identify" and event.context is not None and type(event.context.traits) is dict:
        traits = {**event.context.traits, **traits}
    if event.type == "group":
        traits = {"group": {"id": event.groupId, **traits}}
    changed: dict[str, Any] = {}
    for name, raw in traits.items():
        value = storable(raw)
        if value is None or (len(declared) >= PROFILE_TRAITS_MAX and name not in declared):
            continue
        old = declared.get(name)
        if declare(declared, name, Declared(value, incoming.at_ms, incoming.fingerprint)) and (
            old is None or old.value != value or type(old.value) is not type(value)
        ):
            changed[f"traits.{name}"] = value
    return changed
