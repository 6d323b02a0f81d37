"""`onefold bench`: measure this machine and what docs/performance.md claims."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from onefold.cli.options import AsJson
from onefold.errors import SettingsError

_BENCH = Path(__file__).parents[3] / "bench"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("bench")(bench)


def bench(
    claims: Annotated[list[str] | None, typer.Argument(metavar="CLAIM", help="Which ones; all by default.")] = None,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", metavar="", help="One short run each: for a look, not for the docs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure each published claim on this machine, beside the machine's own limits. Needs a source checkout.

    Examples:

        onefold bench

        onefold bench --quick

        onefold bench path collect --json
    """
    if not (_BENCH / "__main__.py").is_file():
        raise SettingsError("the benchmarks are not installed with the package; run this in a source checkout")
    words = [*(claims or []), *(["--quick"] if quick else []), *(["--json"] if as_json else [])]
    done = subprocess.run([sys.executable, "-m", "bench", *words], cwd=_BENCH.parent, check=False)  # noqa: S603 - our own
    raise typer.Exit(done.returncode)
