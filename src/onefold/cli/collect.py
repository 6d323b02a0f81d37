"""`onefold collect`: the role that takes events in."""

import typer

from onefold.cli.options import Data, settings
from onefold.cli.roles import Host, LogLevel, Port
from onefold.runtime import role


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("collect")(collect)


def collect(data: Data = None, *, host: Host = None, port: Port = None, log_level: LogLevel = None) -> None:
    """Take events in over HTTP and append them to the log, until SIGTERM.

    Any number may run at once. Without `kafka` and `database` it works on the data directory, beside the other roles.
    It answers /healthz, /readyz and /metrics, too; on SIGTERM it ends the requests that it has.

    Examples:

        onefold collect --host 0.0.0.0

        ONEFOLD_KAFKA=kafka-1:9092 ONEFOLD_DATABASE=postgresql://onefold@db/onefold onefold collect
    """
    role.run("collect", settings(data, {"host": host, "port": port, "log_level": log_level}))
