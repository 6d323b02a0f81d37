"""Retrace: the events of one person folded once more, alone, so that what they make can be held against the state."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from onefold.core.batch import Incoming
from onefold.core.fold import fold
from onefold.core.identity.identifiers import Who, finder_of
from onefold.core.renew import renew
from onefold.core.run import Run
from onefold.core.timers import wake
from onefold.language.keeping.accounts import State
from onefold.language.stream.program import Program
from onefold.model import entry
from onefold.model.account import LINK
from onefold.model.event import Excerpt
from onefold.model.past import Past
from onefold.model.profile import Profile
from onefold.model.rules import Rules

_AT_ONCE = 500
"""Events that are read together."""


def read(program: Program, pasts: Iterable[Past]) -> list[Incoming]:
    """The events as the step takes them, in the order in which they were admitted."""
    ordered = sorted(pasts, key=lambda past: (past.received_ms, past.partition, past.position))
    nobody = Who((), 0)
    finder = finder_of(Rules(identity=program.identity)) if program.identity.traits else None
    return [
        Incoming(
            excerpt, past.source, past.position, past.received_ms, past.at_ms, past.tie,
            nobody if finder is None else finder.find(excerpt),
        )
        for past, excerpt in zip(ordered, _excerpts(program, ordered), strict=True)
    ]  # fmt: skip


def _excerpts(program: Program, pasts: Sequence[Past]) -> Iterator[Excerpt]:
    """Of each event what the definitions use, read by their own decoder."""
    for _, some in groupby(enumerate(pasts), lambda numbered: numbered[0] // _AT_ONCE):
        events = [past.event for _, past in some]
        read_again = program.decode(entry.encode(entry.Whole(source="", at_ms=0, events=events)))
        assert isinstance(read_again, entry.Received)
        yield from read_again.events


def retrace(
    program: Program,
    incoming: Sequence[Incoming],
    at_ms: int,
    identifiers: Mapping[str, int] | None = None,
    link: State | None = None,
) -> Profile:
    """The profile of these identifiers that has had these events and no others, at this instant.

    Of no events it is a profile that has nothing. `link`: the account that it is judged by, with its values.
    """
    run = Run(0, program, Rules(identity=program.identity))
    first = incoming[0] if incoming else None
    seen_ms = first.at_ms if first else 0
    now_ms = first.received_ms if first else 0
    profile = Profile(0, now_ms, seen_ms, seen_ms, now_ms, version=program.version, computed=dict(program.blank_traits))
    profile.audiences = dict.fromkeys(program.blank_audiences, now_ms)
    profile.identifiers = dict(identifiers or {})
    if link is not None:
        profile.slots[LINK] = [*link]
    run.touch(profile)
    for each in incoming:
        run.at(each.position, each.received_ms)
        if profile.due_ms <= run.now_ms:
            wake(run, profile)
        fold(run, profile, each)
        run.effects.clear()
    run.at(0, at_ms)
    wake(run, profile, () if link is None else (LINK,)) if incoming else renew(run, profile)
    return profile


def retrace_since(
    program: Program,
    incoming: Sequence[Incoming],
    at_ms: int,
    identifiers: Mapping[str, int],
    since: Mapping[str, int],
) -> Profile:
    """As `retrace`, but that of these slots each counts only events that came (log time) from its instant on."""
    profile = retrace(program, incoming, at_ms, identifiers)
    first_ms = incoming[0].received_ms if incoming else at_ms
    later = {key: begun_ms for key, begun_ms in since.items() if key in program.slots and begun_ms > first_ms}
    for begun_ms in set(later.values()):
        made = retrace(program, [each for each in incoming if each.received_ms >= begun_ms], at_ms, identifiers)
        for key in (key for key, since_ms in later.items() if since_ms == begun_ms):
            profile.slots.pop(key, None)
            if key in made.slots:
                profile.slots[key] = made.slots[key]
    if later:
        run = Run(0, program, Rules())
        run.touch(profile)
        run.at(0, at_ms)
        renew(run, profile)
    return profile


def counting(program: Program, incoming: Sequence[Incoming], at_ms: int) -> dict[str, list[int]]:
    """For each slot, which of the events count in it at this instant, by their place in `incoming`.

    An event counts where it alone makes a state of the slot; so every aggregate says itself what it takes.
    """
    found: dict[str, list[int]] = {}
    handlers = program.handlers
    for index, each in enumerate(incoming):
        put = handlers[name_of(each) if name_of(each) in handlers else "*"].put
        if put is None:
            continue
        alone = Profile(0, at_ms, each.at_ms, each.at_ms, at_ms)
        put(alone, each.event, each.at_ms, each.fingerprint, at_ms)
        for key in alone.slots:
            found.setdefault(key, []).append(index)
    return found


def name_of(incoming: Incoming) -> str:
    """The name by which definitions know the event."""
    event = incoming.event
    return event.event if event.type == "track" and event.event is not None else event.type
