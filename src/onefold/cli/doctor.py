"""`onefold doctor`: what is wrong, and what to do."""

import typer

from onefold.cli import exits
from onefold.cli.options import AsJson, Data, settings
from onefold.cli.printing import out, plain, print_json
from onefold.runtime.doctor import examine

_SIGNS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[bold red]✗[/]"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def doctor(data: Data = None, *, as_json: AsJson = False) -> None:
    """Look at a data directory: does everything open, do the counts close, is anything behind, parked or full.

    Exits with 1 where something failed; warnings alone exit with 0.

    Examples:

        onefold doctor

        onefold doctor --data /var/lib/onefold --json
    """
    found = examine(settings(data))
    if as_json:
        print_json(found)
    else:
        for one in found:
            advice = f"\n    [dim]→ {plain(one.advice)}[/]" if one.advice else ""
            out.print(f"{_SIGNS[one.verdict]} [bold]{one.name:<12}[/] {plain(one.detail)}{advice}")
    if any(one.verdict == "fail" for one in found):
        raise typer.Exit(exits.PROBLEM)
