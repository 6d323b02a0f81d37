"""`onefold apply`: put a workspace directory into force."""

import getpass

import typer
from rich.markup import escape

from onefold.cli.check import Workspace, summary
from onefold.cli.options import AsJson, Data, Yes, settings
from onefold.cli.printing import agree, out, print_json
from onefold.runtime.difference import difference
from onefold.runtime.workspace import load_workspace
from onefold.storage.place import Place

_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("apply")(apply)


def apply(workspace: Workspace, data: Data = None, *, yes: Yes = False, as_json: AsJson = False) -> None:
    """Show what a workspace directory changes, and make it the next version of the definitions.

    A running platform takes it up within a second and judges every profile again; a stopped one when it starts.

    Examples:

        onefold apply examples/retail

        onefold apply . --yes --json
    """
    wanted = load_workspace(workspace)
    catalog = Place.open(settings(data)).catalog()
    try:
        old = catalog.definitions()
        changes = difference(old, wanted)
        if not as_json:
            _show(changes)
        if changes and not yes and not as_json:
            agree("Apply?")
        saved = catalog.save_definitions(wanted, getpass.getuser(), base=old.version) if changes else old
    finally:
        catalog.close()
    if as_json:
        print_json({"version": saved.version, "changes": changes})
    elif changes:
        out.print(f"[green]✓[/] version {saved.version}: {summary(saved)}")
    else:
        out.print(f"nothing changes: version {saved.version} says the same")


def _show(changes: list[str]) -> None:
    for change in changes:
        style = _STYLES.get(change[:1], "dim")
        out.print(f"[{style}]{escape(change)}[/]")
