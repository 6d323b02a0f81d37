"""A program in the native kernel: its handlers of the event names of which it knows everything, and what time does."""

from collections.abc import Mapping
from typing import Any

from onefold.language.stream.calls import Unknown
from onefold.language.stream.described import Describing
from onefold.language.stream.plan import Plan
from onefold.language.stream.program import Handler, Program
from onefold.language.zones import ZONES, zone_file
from onefold.model import effect


def make_native(kernel: Any, describing: Describing, plans: Mapping[str, Plan], program: Program) -> None:
    """Let the kernel do what it can of a program. `kernel`: the module.

    Of what turns out to be beyond it, event by event and profile by profile, Python does all.
    """
    kernel.read_zones_with(zone_file, sorted(ZONES))
    compiled = kernel.Definitions(describing.names, describing.definitions())
    program.handlers = _handlers(compiled, describing, plans, program.handlers)
    if program.accounts is None:
        program.wake = compiled.waking(describing.waking(program.slots, program.dependents)).wake
        if not program.has_shadow:
            program.taking = _taking(kernel, program.handlers)


def _handlers(
    compiled: Any, describing: Describing, plans: Mapping[str, Plan], handlers: Mapping[str, Handler]
) -> dict[str, Handler]:
    """All handlers, with the kernel's `on` in place of Python's where the kernel can do what the name's plan says."""
    found = dict(handlers)
    for event, plan in plans.items():
        try:
            described, sources = describing.plan(plan)
        except Unknown:
            continue
        native = compiled.handler(described, sources, handlers[event].on)
        if native is not None:
            found[event] = handlers[event]._replace(on=native.on)
    return found


def _taking(kernel: Any, handlers: Mapping[str, Handler]) -> Any:
    """The kernel's own way through the step, for ordinary events of the names whose handlers are the kernel's."""
    return kernel.Taking({name: getattr(handler.on, "__self__", None) for name, handler in handlers.items()}, effect)
