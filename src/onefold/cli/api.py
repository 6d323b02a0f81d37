"""`onefold api`: the role that answers about profiles, audiences and the rest."""

import typer

from onefold.cli.options import Data, settings
from onefold.cli.roles import Host, LogLevel, Port
from onefold.runtime import role


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("api")(api)


def api(data: Data = None, *, host: Host = None, port: Port = None, log_level: LogLevel = None) -> None:
    """Answer the HTTP API, without taking events in, until SIGTERM.

    Any number may run at once. `onefold keys create` makes the first secret key.

    Examples:

        onefold api --port 8091

        ONEFOLD_KAFKA=kafka-1:9092 ONEFOLD_DATABASE=postgresql://onefold@db/onefold onefold api --host 0.0.0.0
    """
    role.run("api", settings(data, {"host": host, "port": port, "log_level": log_level}))
