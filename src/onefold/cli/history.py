"""`onefold history`: the role that writes every admitted event into columnar tables."""

import typer

from onefold.cli.options import Data, settings
from onefold.cli.roles import HealthPort, LogLevel
from onefold.runtime import role


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("history")(history)


def history(data: Data = None, *, health_port: HealthPort = None, log_level: LogLevel = None) -> None:
    """Write every admitted event into the tables of history, until SIGTERM.

    One of these writes; on one machine any others stand by and go on where it ends.

    Examples:

        onefold history --health-port 8097

        ONEFOLD_HISTORY_LOCATION=s3://lake/onefold ONEFOLD_DATABASE=postgresql://onefold@db/onefold onefold history
    """
    role.run("history", settings(data, {"health_port": health_port, "log_level": log_level}))
