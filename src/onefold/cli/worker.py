"""`onefold worker`: the role that folds the log into the state."""

from typing import Annotated

import typer

from onefold.cli.options import Data, settings
from onefold.cli.roles import HealthPort, LogLevel
from onefold.runtime import role


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("worker")(worker)


def worker(
    data: Data = None,
    *,
    index: Annotated[
        int, typer.Option(min=0, help="Which of `workers` this is, where the data directory keeps the log.")
    ] = 0,
    health_port: HealthPort = None,
    log_level: LogLevel = None,
) -> None:
    """Fold events into profiles, until SIGTERM.

    Where Kafka keeps the log any number may run at once, up to its partitions: Kafka shares these among them, and gives
    those of a worker that died to the others. One that has a `worker_name` has its own back when it is started again.

    Examples:

        onefold worker --health-port 8095

        ONEFOLD_WORKERS=2 onefold worker --index 1
    """
    role.run("worker", settings(data, {"health_port": health_port, "log_level": log_level}), index)
