"""`onefold backup`: copy a data directory while the platform runs."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import asdict

from onefold.cli import opening
from onefold.cli.options import AsJson, Data, settings
from onefold.cli.printing import err, out, print_json
from onefold.clock import SystemClock
from onefold.runtime import backup as backups


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("backup")(backup)


def backup(
    target: Annotated[Path, typer.Argument(help="Where to; absent or empty. With --verify: the backup to prove.")],
    data: Data = None,
    *,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", metavar="", help="Compare checksums, restore into a scratch directory, and open it there."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy a data directory consistently, beside a running platform or without one.

    A backup is itself a data directory: to go back, copy it to where the data was and start `onefold serve`.

    Examples:

        onefold backup /backups/monday

        onefold backup --verify /backups/monday
    """
    with err.status("…") as status:
        if verify:
            opened = backups.verify(target, SystemClock(), status.update)
        else:
            manifest = backups.take(opening.directory(settings(data)), target, SystemClock(), status.update)
    if verify:
        said = f"[green]✓[/] checksums hold and it opens: {opened.profiles:,} profiles, {opened.records:,} records"
        print_json(asdict(opened)) if as_json else out.print(said)
        return
    size = sum(part.size_bytes for part in manifest.files)
    if as_json:
        print_json({"target": str(target), "files": len(manifest.files), "bytes": size})
    else:
        out.print(f"[green]✓[/] {target}: {len(manifest.files)} files, {size / 1e6:,.1f} MB")
