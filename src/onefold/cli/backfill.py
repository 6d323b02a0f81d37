"""`onefold backfill`: how far coming definitions have been computed over history; pause, go on, call off."""

import getpass
import time
from enum import StrEnum
from typing import Annotated

import typer
from msgspec.structs import asdict
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from onefold.cli import opening
from onefold.cli.options import AsJson, Data
from onefold.cli.printing import err, out, print_json
from onefold.runtime.backfill.plan import Standing, called_off, in_force, standing
from onefold.server.engines import Engines

_POLL_S = 0.2
_STATES = {
    "waiting": "waiting for every worker to gather",
    "computing": "computing over history",
    "paused": "paused",
    "ready": "coming into force",
}


class Action(StrEnum):
    """What to do about it."""

    show = "show"
    wait = "wait"
    pause = "pause"
    resume = "resume"
    cancel = "cancel"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("backfill")(backfill)


def backfill(
    action: Annotated[
        Action, typer.Argument(help="Wait shows a bar until they are in force; cancel calls them off.")
    ] = Action.show,
    data: Data = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show how far definitions that are to come have been computed over history, or do something about it.

    A running platform computes them in the background, and goes on after a stop or a crash where it was.

    Examples:

        onefold backfill

        onefold backfill wait

        onefold backfill pause
    """
    with opening.engines(data) as engines:
        if action is Action.wait:
            wait(engines, quiet=as_json)
        elif action in (Action.pause, Action.resume):
            engines.catalog.pause_backfill(paused=action is Action.pause)
        elif action is Action.cancel:
            _cancel(engines)
        found, there = _standing(engines), _in_force(engines)
    if as_json:
        print_json(None if found is None else asdict(found))
    elif found is None and not there:
        out.print("nothing is being computed: the latest definitions come into force once every worker has read them")
    elif found is None:
        out.print("nothing is being computed: the latest definitions are in force")
    else:
        out.print(f"{_STATES[found.state]}, {found.done:.0%} done; since version {found.version}")


def wait(engines: Engines, *, quiet: bool = False) -> None:
    """Show a bar until nothing is to come any more, and the latest definitions are in force in every partition."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet) as progress:
        task = progress.add_task("", total=1.0)
        while (found := _standing(engines)) is not None:
            progress.update(task, completed=found.done, description=_STATES[found.state])
            time.sleep(_POLL_S)
        progress.update(task, completed=1.0, description=_STATES["ready"])
        while not _in_force(engines):
            time.sleep(_POLL_S)


def _standing(engines: Engines) -> Standing | None:
    return standing(engines.catalog, engines.state, engines.log.partitions)


def _in_force(engines: Engines) -> bool:
    return in_force(engines.catalog.definitions().version, engines.state, engines.log.partitions)


def _cancel(engines: Engines) -> None:
    definitions = engines.catalog.definitions()
    engines.catalog.save_definitions(called_off(definitions), getpass.getuser(), base=definitions.version)
