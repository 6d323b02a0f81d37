"""`onefold match`: the role that compares profiles that no identifier joins."""

import typer

from onefold.cli.options import Data, settings
from onefold.cli.roles import HealthPort, LogLevel
from onefold.runtime import role


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("match")(match)


def match(data: Data = None, *, health_port: HealthPort = None, log_level: LogLevel = None) -> None:
    """Compare profiles by name, address, birthday and contacts as they change, and propose links, until SIGTERM.

    `serve` runs it where `matching = true` is set. One of these is enough for a workspace.

    Examples:

        onefold match

        ONEFOLD_DATABASE=postgresql://onefold@db/onefold onefold match --health-port 8098
    """
    role.run("match", settings(data, {"health_port": health_port, "log_level": log_level}))
