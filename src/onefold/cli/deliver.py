"""`onefold deliver`: the role that brings effects to destinations."""

import typer

from onefold.cli.options import Data, settings
from onefold.cli.roles import HealthPort, LogLevel
from onefold.runtime import role


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("deliver")(deliver)


def deliver(data: Data = None, *, health_port: HealthPort = None, log_level: LogLevel = None) -> None:
    """Send effects and events to the destinations, until SIGTERM.

    One of these delivers, any others stand by and go on where it ends.

    Examples:

        onefold deliver --health-port 8096

        ONEFOLD_KAFKA=kafka-1:9092 ONEFOLD_DATABASE=postgresql://onefold@db/onefold onefold deliver
    """
    role.run("deliver", settings(data, {"health_port": health_port, "log_level": log_level}))
