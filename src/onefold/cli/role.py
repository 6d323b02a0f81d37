"""`onefold role`: one role in this process, for those who run roles under a supervisor of their own."""

from typing import Annotated

import typer

from onefold.cli.options import Data, settings
from onefold.runtime import role as roles


def register(app: typer.Typer) -> None:
    """Add the verb, which help does not list: `serve` is what most people want."""
    app.command("role", hidden=True)(role)


def role(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(roles.ROLES)}.")],
    index: Annotated[int, typer.Option(min=0, help="Which of the processes of this role.")] = 0,
    data: Data = None,
) -> None:
    """Run one role in this process until SIGTERM; settings come from files and ONEFOLD_* variables.

    Examples:

        onefold role http --data /var/lib/onefold

        onefold role worker --index 1
    """
    roles.run(name, settings(data), index)
