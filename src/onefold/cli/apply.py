"""`onefold apply`: put a workspace directory into force."""

import getpass
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from onefold.cli import opening
from onefold.cli.backfill import wait
from onefold.cli.check import Workspace, summary
from onefold.cli.options import AsJson, Data, Yes, settings
from onefold.cli.printing import agree, out, print_json
from onefold.runtime.backfill_plan import has_past, planned
from onefold.runtime.difference import difference
from onefold.runtime.workspace import load_workspace
from onefold.storage.place import Place

_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("apply")(apply)


def apply(
    workspace: Workspace,
    data: Data = None,
    *,
    yes: Yes = False,
    backfill: Annotated[
        bool,
        typer.Option("--backfill/--from-now", help="Compute over history what is new, or begin to count from now on."),
    ] = True,
    quiet: Annotated[
        bool, typer.Option("--quiet", metavar="", help="No effect tells who is moved by the new definitions alone.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", metavar="", help="Do not wait for what is computed over history.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a workspace directory changes, and make it the next version of the definitions.

    A running platform takes it up within a second and judges every profile again; a stopped one when it starts. What
    new definitions ask of the past is computed over history first: until then the old ones stay in force.

    Examples:

        onefold apply examples/retail

        onefold apply . --yes --json

        onefold apply . --quiet --detach
    """
    wanted = load_workspace(workspace)
    place = Place.open(settings(data))
    with closing(place.catalog()) as catalog:
        old = catalog.definitions()
        changes = difference(old, wanted)
        plan = planned(old, wanted, backfill=backfill and has_past(place), quiet=quiet)
        if not as_json:
            _show(changes)
        if changes and not yes and not as_json:
            agree("Apply?")
        saved = catalog.save_definitions(plan, getpass.getuser(), base=old.version) if changes else old
    coming = saved.coming is not None
    if as_json:
        print_json({"version": saved.version, "changes": changes, "coming": coming})
    elif not changes:
        out.print(f"nothing changes: version {saved.version} says the same")
    elif not coming:
        out.print(f"[green]✓[/] version {saved.version}: {summary(saved)}")
    else:
        _follow(data, detach=detach)


def _follow(data: Path | None, *, detach: bool) -> None:
    """Tell that definitions are being computed over history, and unless detached wait for them."""
    out.print("computing over history what is new; the old definitions stay in force until then")
    if detach:
        out.print("[dim]how far it is: onefold backfill; to call it off: onefold backfill cancel[/]")
        return
    with opening.engines(data) as engines:
        try:
            wait(engines)
        except KeyboardInterrupt:
            out.print("[dim]it goes on without you: onefold backfill[/]")
            return
        saved = engines.catalog.definitions()
    out.print(f"[green]✓[/] version {saved.version}: {summary(saved)}")


def _show(changes: list[str]) -> None:
    for change in changes:
        style = _STYLES.get(change[:1], "dim")
        out.print(f"[{style}]{escape(change)}[/]")
