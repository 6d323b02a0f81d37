"""`onefold rollback`: what an older version said, as the next one."""

from typing import Annotated

import typer

from onefold.cli.apply import Backfill, Detach, How, Quiet, put_into_force
from onefold.cli.options import AsJson, Data, Yes
from onefold.runtime.defining.versions import rolled_back


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("rollback")(rollback)


def rollback(
    version: Annotated[int, typer.Argument(min=0, help="The version to go back to; 0 defines nothing.")],
    data: Data = None,
    *,
    yes: Yes = False,
    backfill: Backfill = True,
    quiet: Quiet = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Show what going back to an older version changes, and make its content the next version of the definitions.

    Nothing is taken out of the history: `onefold rollback` with the version before undoes it. As with `onefold apply`,
    what the version that is left did not count is computed over history first.

    Examples:

        onefold rollback 3

        onefold rollback 3 --yes --json
    """
    put_into_force(data, lambda catalog: rolled_back(catalog, version), How(yes, as_json, backfill, quiet, detach))
