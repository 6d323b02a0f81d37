"""The flags of `collect`, `worker`, `deliver`, `history` and `api`, which run one role in this process."""

from typing import Annotated

import typer

Host = Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0: reached from elsewhere.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on.")]
HealthPort = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port of /healthz and /readyz; 0: there is none.")
]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]
