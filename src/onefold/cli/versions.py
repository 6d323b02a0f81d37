"""`onefold versions`: every version of the definitions: who made it, when, and what it changed."""

from typing import Annotated

import typer
from rich.markup import escape

from onefold.cli import opening
from onefold.cli.apply import show_changes
from onefold.cli.options import AsJson, Data, Limit
from onefold.cli.printing import instant, out, plain, print_json
from onefold.runtime.defining import versions as runtime
from onefold.runtime.defining.difference import difference
from onefold.server import instants

_app = typer.Typer(help="Versions of the definitions: list them with what each changed, compare two.")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="versions")


@_app.callback(invoke_without_command=True)
def versions(context: typer.Context, data: Data = None, *, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List the latest versions, as `onefold versions list` does; or compare two."""
    if context.invoked_subcommand is None:
        list_versions(data, limit=limit, as_json=as_json)


@_app.command("list")
def list_versions(data: Data = None, *, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List the latest versions, newest first: who made each, when, and what it changed.

    Examples:

        onefold versions

        onefold versions list --limit 100 --json
    """
    with opening.catalog(data) as catalog:
        found = list(runtime.history(catalog, catalog.versions()[: -limit - 1 : -1]))
    if as_json:
        print_json(
            [
                {
                    "version": one.version,
                    "author": one.author,
                    "created_at": instants.show(one.created_at_ms),
                    "note": one.note,
                    "changes": one.changes,
                }
                for one in found
            ]
        )
        return
    for one in found:
        note = f", {one.note}" if one.note else ""
        out.print(f"[bold]{one.version}[/]  {instant(one.created_at_ms)}  {plain(one.author)}{escape(note)}")
        show_changes(one.changes, "    ")
    if not found:
        out.print("[dim]none yet; `onefold apply DIR` makes the first[/]")


@_app.command("diff")
def diff(
    before: Annotated[int, typer.Argument(min=0, help="A version; 0 is the empty beginning.")],
    after: Annotated[int, typer.Argument(min=0, help="Another one.")],
    data: Data = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what differs from one version to another.

    Examples:

        onefold versions diff 3 5

        onefold versions diff 5 3 --json
    """
    with opening.catalog(data) as catalog:
        changes = difference(catalog.definitions(before), catalog.definitions(after))
    if as_json:
        print_json({"before": before, "after": after, "changes": changes})
    elif changes:
        show_changes(changes)
    else:
        out.print(f"versions {before} and {after} say the same")
