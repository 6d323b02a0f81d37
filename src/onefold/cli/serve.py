"""`onefold serve`: run the platform."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel

from onefold import __version__
from onefold.cli.options import Data, settings
from onefold.cli.printing import err
from onefold.runtime import supervisor
from onefold.runtime.supervisor import FirstKeys
from onefold.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("serve")(serve)


def serve(
    data: Data = None,
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0: reached from elsewhere.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    collectors: Annotated[int | None, typer.Option(min=1, help="HTTP processes that share the port.")] = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=0, max=256, help="Partitions of the log; fixed at the first start. 0: as many as workers."),
    ] = None,
    phone_region: Annotated[
        str | None, typer.Option(help="Region of phone numbers without a country code, such as DE.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Run the platform: collect, fold, deliver, and answer, until Ctrl-C or SIGTERM.

    The first start makes the data directory, a source and an admin key, and prints both keys once.
    Everything else that can be set stands in docs/settings.md.

    Examples:

        onefold serve

        onefold serve --data /var/lib/onefold --host 0.0.0.0 --workers 2
    """
    flags = {
        "host": host, "port": port, "workers": workers, "collectors": collectors,
        "partitions": partitions, "phone_region": phone_region, "log_level": log_level,
    }  # fmt: skip
    raise typer.Exit(supervisor.serve(settings(data, flags), announce))


def announce(settings: Settings, keys: FirstKeys | None) -> None:
    """Say where the platform is; after the first start also with which keys, and how to send a first event."""
    url = supervisor.url(settings)
    if not err.is_terminal:
        said = {"event": "ready", "url": url, "data": str(settings.data)}
        err.print(json.dumps(said | (keys._asdict() if keys else {})), markup=False)
        return
    lines = [f"[bold]Onefold {__version__}[/] is up", ""]
    lines += [f"  events to   [cyan]{url}/v1/batch[/]", f"  the API     [cyan]{url}/docs[/]"]
    lines += [f"  data in     {_shown(settings.data)}"]
    if keys:
        lines += ["", f"  write key   [green]{keys.write_key}[/]   source [bold]default[/]"]
        lines += [f"  secret key  [green]{keys.secret_key}[/]   shown this once"]
    err.print(Panel.fit("\n".join(lines), border_style="cyan", padding=(1, 2)))
    if keys:
        err.print("Your first event, and the profile that it makes:\n")
        err.print(first_steps(url, keys), markup=False)
    err.print("[dim]Ctrl-C stops it; nothing that was acknowledged is lost.[/]\n")


def first_steps(url: str, keys: FirstKeys) -> str:
    """Commands to paste: an event, and the profile that it makes."""
    event = json.dumps({"userId": "42", "traits": {"email": "ann@example.com"}})
    return (
        f"  curl {url}/v1/identify -u {keys.write_key}: -H 'content-type: application/json' -d '{event}'\n"
        f"  curl {url}/v1/profiles/user_id:42 -H 'authorization: Bearer {keys.secret_key}'\n"
    )


def _shown(path: Path) -> str:
    here = path.resolve()
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)
