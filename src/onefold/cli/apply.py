"""`onefold apply`: put a workspace directory into force."""

import getpass
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.markup import escape

from onefold.cli import identity_reresolve, opening
from onefold.cli.backfill import wait
from onefold.cli.check import Workspace, summary
from onefold.cli.options import AsJson, Data, Yes, settings
from onefold.cli.printing import agree, out, print_json
from onefold.errors import SettingsError
from onefold.model.definitions import Definitions
from onefold.ports import Catalog
from onefold.runtime.backfill.plan import has_past, planned
from onefold.runtime.defining.difference import difference
from onefold.runtime.defining.versions import in_shadow
from onefold.runtime.defining.workspace import load_workspace
from onefold.runtime.supervisor import running
from onefold.storage.place import Place

_STYLES = {"+": "green", "-": "red", "~": "yellow"}

Backfill = Annotated[
    bool,
    typer.Option("--backfill/--from-now", help="Compute over history what is new, or begin to count from now on."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", metavar="", help="No effect tells who is moved by the new definitions alone.")
]
Detach = Annotated[bool, typer.Option("--detach", metavar="", help="Do not wait for what is computed over history.")]

Reresolve = Annotated[
    bool, typer.Option("--reresolve", metavar="", help="Its rules of identity hold for the past, too.")
]


class How(NamedTuple):
    """How new definitions come into force, and how that is told."""

    yes: bool
    as_json: bool
    backfill: bool = True
    quiet: bool = False
    detach: bool = False


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("apply")(apply)


def apply(
    workspace: Workspace,
    data: Data = None,
    *,
    shadow: Annotated[
        bool, typer.Option("--shadow", metavar="", help="Judge and count what differs, and tell it to nobody.")
    ] = False,
    yes: Yes = False,
    backfill: Backfill = True,
    quiet: Quiet = False,
    detach: Detach = False,
    reresolve: Reresolve = False,
    as_json: AsJson = False,
) -> None:
    """Show what a workspace directory changes, and make it the next version of the definitions.

    A running platform takes it up within a second and judges every profile again; a stopped one when it starts. What
    new definitions ask of the past is computed over history first: until then the old ones stay in force.

    With `--shadow` what is live stays so, and what differs runs beside it: `onefold shadow` shows and promotes it.
    Without, what runs in shadow ends.

    Examples:

        onefold apply examples/retail

        onefold apply . --yes --json

        onefold apply . --quiet --detach

        onefold apply . --shadow

        onefold apply . --reresolve
    """
    wanted = load_workspace(workspace)

    def make(catalog: Catalog) -> Definitions:
        return in_shadow(catalog.definitions(), wanted) if shadow else wanted

    if reresolve and (shadow or detach):
        raise SettingsError("--reresolve waits until the rules are in force: not with --shadow or --detach")
    put_into_force(data, make, How(yes, as_json, backfill, quiet, detach))
    if reresolve:
        found = identity_reresolve.run(data)
        if as_json:
            print_json(found)
        else:
            identity_reresolve.show(found)


def put_into_force(data: Path | None, make: Callable[[Catalog], Definitions], how: How) -> None:
    """Show what differs from the latest version, ask, and save: what was shown, or it is a conflict."""
    place = Place.open(settings(data))
    with closing(place.catalog()) as catalog:
        old = catalog.definitions()
        wanted = make(catalog)
        changes = difference(old, wanted)
        plan = planned(old, wanted, backfill=how.backfill and has_past(place), quiet=how.quiet)
        if not how.as_json:
            show_changes(changes)
        if changes and not how.yes and not how.as_json:
            agree("Apply?")
        saved = catalog.save_definitions(plan, getpass.getuser(), base=old.version) if changes else old
    coming = saved.coming is not None
    if how.as_json:
        print_json({"version": saved.version, "changes": changes, "coming": coming})
    elif not changes:
        out.print(f"nothing changes: version {saved.version} says the same")
    elif not coming:
        out.print(f"[green]✓[/] version {saved.version}: {summary(saved)}")
    else:
        _follow(place, data, detach=how.detach)


def _follow(place: Place, data: Path | None, *, detach: bool) -> None:
    """Tell that definitions are being computed over history, and unless detached wait for them."""
    if place.directory is not None and running(place.directory.path) is None:
        out.print("nothing is served here now: what is new is computed over history when it is started")
        return
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


def show_changes(changes: Iterable[str], indent: str = "") -> None:
    """A difference, a line for each change."""
    for change in changes:
        style = _STYLES.get(change[:1], "dim")
        out.print(f"{indent}[{style}]{escape(change)}[/]")
