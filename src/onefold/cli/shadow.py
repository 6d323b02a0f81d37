"""`onefold shadow`: definitions that are judged and counted beside the live ones, and told to nobody."""

import typer

from onefold.cli import opening
from onefold.cli.apply import How, Quiet, put_into_force, show_changes
from onefold.cli.options import AsJson, Data, Yes
from onefold.cli.printing import out, print_json, table
from onefold.runtime.defining.versions import dropped, promoted
from onefold.server.defining import shadow as shown

_app = typer.Typer(help="Definitions in shadow: what they would change, promote them, drop them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="shadow")


@_app.command("show")
def show(data: Data = None, *, as_json: AsJson = False) -> None:
    """Show what runs in shadow: sizes beside the live ones, and who would enter and leave if it were promoted now.

    `onefold apply DIR --shadow` puts a workspace into shadow; `onefold audience members NAME@shadow` lists members.

    Examples:

        onefold shadow show

        onefold shadow show --json
    """
    with opening.engines(data) as engines:
        found = shown.compared(engines)
    if as_json:
        print_json(found)
        return
    show_changes(found.changes)
    rows = [(one.name, one.size, one.shadow_size, one.entering, one.leaving, one.staying) for one in found.audiences]
    table(("audience", "live", "in shadow", "would enter", "would leave", "would stay"), rows, "no audience differs")
    if not found.settled:
        out.print("[yellow]not everybody has been judged under it yet: look again in a while[/]")


@_app.command("promote")
def promote(data: Data = None, *, yes: Yes = False, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Show what changes, and make what runs in shadow live: the next version of the definitions.

    What its traits and audiences have counted in shadow stays.

    Examples:

        onefold shadow promote

        onefold shadow promote --yes --json
    """
    how = How(yes, as_json, quiet=quiet)
    put_into_force(data, lambda catalog: promoted(catalog.definitions()), how)


@_app.command("drop")
def drop(data: Data = None, *, yes: Yes = False, as_json: AsJson = False) -> None:
    """Show what ends, and go on without what runs in shadow.

    Examples:

        onefold shadow drop

        onefold shadow drop --yes
    """
    put_into_force(data, lambda catalog: dropped(catalog.definitions()), How(yes, as_json))
