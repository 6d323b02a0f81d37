"""Options that many verbs share, each written once, and how they become `Settings`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from onefold.settings import Settings, load

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        "-d",
        metavar="DIR",
        help="The data directory (default: ONEFOLD_DATA, else ./onefold-data).",
        show_default=False,
    ),
]
AsOf = Annotated[
    str,
    typer.Option(
        "--as-of",
        metavar="TIME",
        help="As it was then: RFC 3339, a date (its midnight in UTC), or so long ago, such as 7d.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON for machines instead of text for people.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")]


def settings(data: Path | None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings from files, environment and these flags; None is a flag that was not given. Raises `SettingsError`."""
    return load({"data": data, **(flags or {})})
