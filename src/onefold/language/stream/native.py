"""A program in the native kernel: its handlers of the event names of which it knows everything, and what time does."""

from collections.abc import Mapping
from typing import Any

from onefold.language.stream.calls import Unknown
from onefold.language.stream.described import Describing
from onefold.language.stream.plan import Plan
from onefold.language.stream.program import Program
from onefold.language.zones import ZONES, zone_file

Plans = tuple[Plan | None, Plan | None]
"""Of an event name: what its `put` does, and its `on`, where it has them."""


def make_native(kernel: Any, describing: Describing, plans: Mapping[str, Plans], program: Program) -> None:
    """Let the kernel do what it can of a program. `kernel`: the module.

    Of what turns out to be beyond it, event by event and profile by profile, it has Python do all.
    """
    kernel.read_zones_with(zone_file, sorted(ZONES))
    compiled = kernel.Definitions(describing.names, describing.definitions())
    program.judge_natively = compiled.judge
    program.merge_natively = compiled.merge
    for event, (putting, judging) in plans.items():
        handler = program.handlers[event]
        if putting is not None and (native := _handler(compiled, describing, putting, handler.put)) is not None:
            handler = handler._replace(put=native.put)
        if judging is not None and (native := _handler(compiled, describing, judging, handler.on)) is not None:
            handler = handler._replace(on=native.on)
        program.handlers[event] = handler
    if program.accounts is None:
        program.wake = compiled.waking(describing.waking(program.slots, program.dependents)).wake
        if not program.has_shadow:
            program.taking = _taking(kernel, compiled, program)


def _handler(compiled: Any, describing: Describing, plan: Plan, instead: Any) -> Any:
    try:
        described, sources = describing.plan(plan)
    except Unknown:
        return None
    return compiled.handler(described, sources, instead)


def _taking(kernel: Any, compiled: Any, program: Program) -> Any:
    """The kernel's own way through the step, for ordinary events of the names whose handlers are the kernel's."""
    handlers = {
        name: (
            _whole(handler.on),
            _whole(handler.put),
            program.dependent(handler.triggers) if name in _DECLARING else [],
        )
        for name, handler in program.handlers.items()
    }
    is_quiet = not (program.blank_audiences or program.at_first)
    blank = program.blank_traits if is_quiet else None
    return kernel.Taking(compiled, handlers, program.dependents, program.version, blank)


def _whole(part: Any) -> Any:
    """The kernel's handler, of which this is a method; else whatever it is."""
    return getattr(part, "__self__", part)


_DECLARING = ("identify", "group", "*")
"""Names of the events that may declare traits: after them, more than their handlers is to be judged."""
