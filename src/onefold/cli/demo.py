"""`onefold demo`: the platform at work, from a shop's events to profiles, audiences and signed webhooks."""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from msgspec.structs import replace

from onefold.cli import exits
from onefold.cli.options import AsJson, settings
from onefold.cli.printing import err, out, print_json
from onefold.demo import screen, stage
from onefold.demo.client import Target
from onefold.demo.measures import Measures
from onefold.demo.play import PROBE_EVENT, Options, Play, summary
from onefold.demo.receiver import Receiver
from onefold.demo.stage import Spectators
from onefold.errors import StorageError
from onefold.model.definitions import Definitions, Destination
from onefold.runtime import supervisor
from onefold.runtime.defining.workspace import load_workspace
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.place import Place

LOG_FILE = "demo.log"
PROBES = "latency_probe"
KEY = "demo"
STOP_WITHIN_S = 15.0
_EXAMPLES = (Path(__file__).parents[1] / "examples", Path(__file__).parents[3] / "examples")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo")(demo)


def demo(
    data: Annotated[
        Path | None, typer.Option("--data", "-d", metavar="DIR", help="Where to keep the data (default: nowhere).")
    ] = None,
    *,
    rate: Annotated[float, typer.Option(min=0.1, help="Events a second.")] = 50.0,
    for_s: Annotated[
        float | None, typer.Option("--for", min=1, metavar="SECONDS", help="Stop after so long (default: Ctrl-C).")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another workspace than the retail example.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the platform; 0: any free one.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another shop.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Watch the platform at work: a simulated shop, its people, their audiences, and signed webhooks.

    Starts real processes on a free port, sends events over the public HTTP API only, and receives the webhooks.
    Exits with 0 only if the account closes: every event sent is admitted, a duplicate or in quarantine, and every
    webhook was delivered and its signature verified.

    Examples:

        onefold demo

        onefold demo --for 20 --rate 200

        onefold demo --for 60 --json > summary.json
    """
    definitions = load_workspace(workspace or retail())
    options = Options(rate, for_s, seed)
    with _directory(data) as place:
        measures = asyncio.run(_demo(settings(place, {"port": port}), definitions, options, quiet=as_json))
        if as_json:
            print_json(summary(measures))
        else:
            if out.is_terminal:
                stage.retell(measures, out)
            screen.report(measures, out)
        fine = measures.account_closes() and not measures.trouble
        if not fine:
            err.print((place / LOG_FILE).read_text()[-2000:], markup=False)
        elif data:
            err.print(f"[dim]The data stays in {data}: try `onefold serve --data {data}`.[/]")
    raise typer.Exit(exits.OK if fine else exits.PROBLEM)


async def _demo(settings: Settings, definitions: Definitions, options: Options, *, quiet: bool) -> Measures:
    measures = Measures()
    receiver = Receiver()
    await receiver.start()
    try:
        write_key, secret_key, receiver.secrets = prepare(settings, definitions, receiver.url)
        async with _platform(settings) as url:
            play = Play(Target((url,), (url,), write_key, secret_key), receiver, options, measures)
            receiver.on_message = play.heard
            await stage.perform(play, measures, Spectators(out, err, url, quiet))
    finally:
        await receiver.close()
    return measures


@contextlib.asynccontextmanager
async def _platform(settings: Settings) -> AsyncIterator[str]:
    """The platform as processes of their own, as `onefold serve` starts them; yields its URL."""
    command = [sys.executable, "-m", "onefold", "serve", "--data", str(settings.data), "--port", str(settings.port)]
    with (settings.data / LOG_FILE).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield await _address(settings, process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
            except TimeoutError:
                process.kill()


async def _address(settings: Settings, process: asyncio.subprocess.Process) -> str:
    for _ in range(600):
        if found := supervisor.running(settings.data):
            return found.url
        if process.returncode is not None:
            break
        await asyncio.sleep(0.05)
    raise StorageError(f"the platform did not start: {(settings.data / LOG_FILE).read_text().strip()[-1000:]}")


def prepare(settings: Settings, definitions: Definitions, url: str) -> tuple[str, str, list[str]]:
    """Put the workspace into force with its webhooks sent to `url`: write key, secret key, signing secrets."""
    catalog = Place.open(settings).catalog()
    try:
        sent = [replace(one, url=url) for one in definitions.destinations]
        probes = Destination(PROBES, url=url, events=(PROBE_EVENT,))
        hosts = (*definitions.allow_private_hosts, urlsplit(url).hostname or "")
        played = replace(definitions, destinations=(*sent, probes), allow_private_hosts=hosts)
        saved = catalog.save_definitions(played, "demo")
        if any(key.name == KEY and key.revoked_at_ms is None for key in catalog.secret_keys()):
            catalog.revoke(KEY)
        if KEY not in {source.name for source in catalog.sources()}:
            catalog.create_source(KEY)
        write_key = next(source.write_key for source in catalog.sources() if source.name == KEY)
        secret_key = catalog.create_secret_key(KEY, ["profiles:read", "events:read", "metrics:read"])
        return write_key, secret_key, [catalog.signing_secret(one.name) for one in saved.destinations]
    finally:
        catalog.close()


def retail() -> Path:
    """The example that is played. Raises `StorageError` where it is not installed."""
    for examples in _EXAMPLES:
        if (examples / "retail").is_dir():
            return examples / "retail"
    raise StorageError("the retail example is not installed; name a workspace with --workspace")


@contextlib.contextmanager
def _directory(data: Path | None) -> Iterator[Path]:
    if data:
        DataDirectory.open(data)
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="onefold-demo-") as scratch:
        yield Path(scratch)
