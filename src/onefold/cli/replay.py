"""`onefold replay`: prove that the state is what the log says."""

from typing import Annotated

import typer
from msgspec.structs import asdict
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from onefold.cli import exits, opening
from onefold.cli.options import AsJson, Data, settings
from onefold.cli.printing import err, out, print_json, table
from onefold.errors import SettingsError
from onefold.runtime import replay as replays
from onefold.runtime.replay import Verification


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("replay")(replay)


def replay(
    data: Data = None,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", metavar="", help="Compare with the live state; changes nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fold the whole log again into a scratch directory, and compare digests with the live state.

    Works beside a running platform. Exits with 1 where the digests differ. The log says all that the state depends on,
    so no setting matters here but where the data are.

    Examples:

        onefold replay --verify

        onefold replay --verify --data /var/lib/onefold --json
    """
    if not verify:
        raise SettingsError("say `onefold replay --verify`: a replay compares, and never changes the live state")
    place = opening.place(settings(data))
    columns = (TextColumn("folding"), BarColumn(), MofNCompleteColumn(), TextColumn("records"), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("folding", total=None)
        found = replays.verify(place, lambda done, total: progress.update(task, completed=done, total=total))
    if as_json:
        print_json({**asdict(found), "equal": found.equal, "same_people": found.same_people})
    else:
        _show(found)
    if not found.same_people:
        raise typer.Exit(exits.PROBLEM)


def _show(found: Verification) -> None:
    parts = sorted({*found.live, *found.replayed})
    rows = [(part, _short(found.live.get(part)), _short(found.replayed.get(part))) for part in parts]
    rows.append(("people", _short(found.people_live), _short(found.people_replayed)))
    table(("part", "live", "replayed", ""), [(*row, "same" if row[1] == row[2] else "DIFFERENT") for row in rows])
    counted = f"{found.events:,} events of {found.records:,} records"
    if found.equal:
        out.print(f"[green]✓[/] the state is what the log says, byte for byte: {counted}")
    elif found.same_people:
        out.print(f"[green]✓[/] the same people, traits and memberships; the bytes interleave differently: {counted}")
    else:
        out.print(f"[bold red]✗[/] the state is not what the log says: {counted}")


def _short(digest: str | None) -> str:
    return "missing" if digest is None else digest[:16]
