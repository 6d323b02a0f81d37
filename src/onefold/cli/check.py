"""`onefold check`: find every mistake in a workspace directory."""

from pathlib import Path
from typing import Annotated

import typer

from onefold.cli import exits
from onefold.cli.options import AsJson
from onefold.cli.printing import many, out, print_error, print_json
from onefold.model.definitions import Definitions
from onefold.runtime.defining.workspace import WorkspaceError, load_workspace

Workspace = Annotated[Path, typer.Argument(metavar="DIR", help="The workspace directory, with its YAML files.")]
PARTS = ("sources", "traits", "account_traits", "audiences", "destinations")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("check")(check)


def check(workspace: Workspace, *, as_json: AsJson = False) -> None:
    """Find every mistake in a workspace directory at once, each with file, line and a suggestion.

    Examples:

        onefold check examples/retail

        onefold check . --json | jq .problems
    """
    try:
        found = load_workspace(workspace)
    except WorkspaceError as error:
        if as_json:
            print_json({"ok": False, "problems": error.found})
        else:
            print_error(error)
        raise typer.Exit(exits.PROBLEM) from error
    if as_json:
        print_json({"ok": True, "problems": [], **{part: len(getattr(found, part)) for part in PARTS}})
    else:
        out.print(f"[green]✓[/] {summary(found)}")


def summary(definitions: Definitions) -> str:
    """How many of each kind there are; traits of accounts are named where there are any."""
    counts = {part: len(getattr(definitions, part)) for part in PARTS}
    return ", ".join(
        many(n, part.removesuffix("s").replace("_", " ")) for part, n in counts.items() if n or part != "account_traits"
    )
