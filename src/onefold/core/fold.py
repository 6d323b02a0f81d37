"""Fold: an event becomes part of its profile: when it was seen, what it declared, what it counts in and changes."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from onefold.core.batch import Incoming
from onefold.core.identity.merge import declare
from onefold.core.identity.survivorship import hear, part_of
from onefold.core.run import Run
from onefold.language.stream.program import Handler, Trigger
from onefold.language.values import identical, storable
from onefold.limits import PROFILE_TRAITS_MAX
from onefold.model.effect import Admitted
from onefold.model.identity import TraitRule
from onefold.model.position import is_account
from onefold.model.profile import Declared, Profile


def fold(run: Run, profile: Profile, incoming: Incoming, also: Collection[Trigger] = ()) -> None:
    """Put the event into the profile, judge the traits and audiences that it may have changed, and tell what did.

    `also`: what it has changed already.
    """
    event, at_ms, now_ms = incoming.event, incoming.at_ms, run.now_ms
    seen = profile.saw(at_ms, now_ms, run.partition << 56 | incoming.position)
    if seen == 3:
        also = (*also, *run.program.at_first)
    name = event.event if event.type == "track" and event.event is not None else event.type
    run.effects.append(Admitted(profile.id, incoming.position, run.n, now_ms, name))
    run.n += 1
    handlers = run.program.handlers
    handler = handlers[name] if name in handlers else handlers["*"]
    if event.type in _DECLARING and (declared := _declare_all(run, profile, incoming)):
        run.changed.update(declared)
        if not run.program.dependents.keys().isdisjoint(declared):
            also = (*also, *declared)
    if also:
        _put(run, profile, incoming, handler, also)
        return
    if (on := handler.on) is not None:
        on(profile, event, at_ms, incoming.fingerprint, now_ms, seen, run.changed, run.moves)
    if run.changed or run.moves:
        run.tell(profile, "event")


def _put(run: Run, profile: Profile, incoming: Incoming, handler: Handler, also: Iterable[Trigger]) -> None:
    """Put the event into the slots, and judge what that and these triggers may have changed."""
    if handler.put is not None:
        handler.put(profile, incoming.event, incoming.at_ms, incoming.fingerprint, run.now_ms)
    run.judge(profile, (*handler.triggers, *also), "event")


_DECLARING = ("identify", "group")
NO_RULES: Mapping[str, TraitRule] = {}


def _declare_all(run: Run, profile: Profile, incoming: Incoming) -> dict[str, Any]:
    event = incoming.event
    traits = event.traits or {}
    if event.type == "identify" and event.context is not None and type(event.context.traits) is dict:
        traits = {**event.context.traits, **traits}
    if event.type == "group":
        traits = {"group": {"id": event.groupId, **traits}}
    return declare_all(run, profile, incoming, traits)


def declare_all(run: Run, profile: Profile, incoming: Incoming, traits: Mapping[str, Any]) -> dict[str, Any]:
    """Time-based last write wins, trait by trait; returns the new values of those that changed, as `traits.…`."""
    declared = profile.declared
    place = run.partition << 56 | incoming.position
    rules = NO_RULES if run.rulebook is None or is_account(profile.id) else run.rulebook.traits
    changed: dict[str, Any] = {}
    for name, raw in traits.items():
        value = storable(raw)
        if value is None or (len(declared) >= PROFILE_TRAITS_MAX and name not in declared):
            continue
        if name in rules:
            said = Declared(value, incoming.at_ms, incoming.fingerprint, place)
            if hear(profile, rules[name], part_of(rules[name], incoming, traits), said):
                changed[f"traits.{name}"] = declared[name].value
            continue
        old = declared.get(name)
        if declare(declared, name, Declared(value, incoming.at_ms, incoming.fingerprint, place)) and (
            old is None or not identical(old.value, value)
        ):
            changed[f"traits.{name}"] = value
    return changed
