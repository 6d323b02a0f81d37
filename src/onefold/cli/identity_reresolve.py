"""`onefold identity reresolve`: people of the past become what the rules in force make of their history."""

import getpass
from contextlib import closing

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from onefold.cli import opening
from onefold.cli.options import AsJson, Data, Yes, settings
from onefold.cli.printing import agree, err, many, out, print_json
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.reresolve import Reresolved, Shows
from onefold.runtime.identity.reresolve import reresolve as bring_about
from onefold.runtime.identity.reresolving import Engines, Outcome


def add_to(app: typer.Typer) -> None:
    """Add the command to `onefold identity`."""
    app.command("reresolve")(reresolve)


def reresolve(data: Data = None, *, yes: Yes = False, as_json: AsJson = False) -> None:
    """Let the rules of identity in force hold for the past, too: who they part is parted, who they join is joined.

    Without it rules hold from when they were applied on. It runs beside a platform, which goes on meanwhile; who leaves
    or enters audiences by it is told to destinations. Ctrl-C ends it, and what is done stays done: run it again to go
    on. See first what it would do: `onefold identity what-if DIR`.

    Examples:

        onefold identity reresolve

        onefold identity reresolve --yes --json
    """
    if not yes and not as_json:
        agree("Take apart and put together people of the past by the rules in force?")
    found = run(data)
    if as_json:
        print_json(found)
    else:
        show(found)


def run(data: Data) -> Reresolved:
    """Do it, with a bar on stderr."""
    with (
        opening.engines(data) as engines,
        closing(engines.place.history_reader()) as history,
        closing(opening.place(settings(data)).log_writer(engines.clock)) as writer,
        _bar() as bar,
    ):
        task = bar.add_task("going through the past", total=None)

        def going_through(done: int, of: int) -> None:
            bar.update(task, description="going through the past", completed=done, total=of)

        def bringing(outcome: Outcome) -> None:
            done = outcome.done + sum(outcome.left.values())
            bar.update(task, description="bringing people", completed=done, total=outcome.groups)

        joined = Engines(Sources(history, engines.log, engines.state), writer, engines.catalog)
        return bring_about(joined, engines.clock, getpass.getuser(), Shows(going_through, bringing))


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), console=err
    )


def show(found: Reresolved) -> None:
    """What has come of it, for people."""
    if found.groups:
        people = many(found.people_before, "person", "people")
        out.print(
            f"[green]✓[/] {people} differed from what the rules of version {found.version} make of them: "
            f"{found.people_after:,} now ({many(found.entries, 'entry', 'entries')} of the log)"
        )
    else:
        out.print(f"[green]✓[/] everybody is what the rules of version {found.version} make of them")
    for why, groups in found.left.items():
        out.print(f"[yellow]![/] {many(groups, 'group')} of people stay as they are: {why}")
