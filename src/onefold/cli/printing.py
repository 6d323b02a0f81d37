"""What every verb prints with: text for people on stdout, trouble on stderr, JSON for machines on demand."""

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onefold.cli import exits
from onefold.errors import DefinitionError, OnefoldError, SettingsError

PIPE_COLUMNS = 200
"""Into a pipe or a file nothing is cut at the edge of a screen that is not there."""


_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys instead of showing it: controls, separators of lines, directions of writing."""

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
err = Console(stderr=True, highlight=False, soft_wrap=True, width=None if sys.stderr.isatty() else PIPE_COLUMNS)


def agree(question: str) -> None:
    """Ask before something is changed; a no ends the command. Raises `SettingsError` where nobody answers."""
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        out.print()
        raise SettingsError("nobody answered, nothing was changed; in a script say --yes") from None
    if not agreed:
        out.print("nothing was changed")
        raise typer.Exit(exits.PROBLEM)


def plain(text: str) -> str:
    """Text that strangers may have written, as one line of markup: nothing in it is obeyed, by rich or a terminal."""
    return escape(_UNSEEN.sub(_seen, text))


def _seen(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def spelt(value: Any) -> str:
    """A value as the language and JSON write it, text without its quotes."""
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()


def print_json(value: Any) -> None:
    """One value as one line of JSON on stdout; a stream is one line a value."""
    sys.stdout.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")
    sys.stdout.flush()


def table(title: Sequence[str], rows: Iterable[Sequence[Any]], empty: str = "none") -> None:
    """A plain table with one line a row, numbers to the right; `empty` where there is no row."""
    lines = [[_cell(cell) for cell in row] for row in rows]
    shown = Table(box=None, pad_edge=False, header_style="bold dim")
    for n, name in enumerate(title):
        numeric = bool(lines) and all(row[n].replace(",", "").replace(".", "").isdigit() for row in lines)
        shown.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in lines:
        shown.add_row(*(plain(cell) for cell in row))
    if lines:
        out.print(shown)
    else:
        out.print(f"[dim]{plain(empty)}[/]")


def many(n: int, one: str, more: str = "") -> str:
    """So many of something, in words that fit: `1 event`, `1,204 events`. `more`: where it is not `one` with an `s`."""
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def instant(at_ms: int) -> str:
    """A time as people read it, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def print_error(error: Exception) -> None:
    """What went wrong, where, and what to do, as one clear red line; several where a file has several mistakes."""
    if isinstance(error, DefinitionError):
        for problem in error.problems:
            err.print(f"[red]✗[/] {_lines(problem)}")
        err.print(f"[bold red]{many(len(error.problems), 'problem')}[/]")
        return
    text = str(error) or type(error).__name__
    if not isinstance(error, OnefoldError) and isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    err.print(f"[bold red]error:[/] [red]{_lines(text)}[/]")


def _lines(text: str) -> str:
    return "\n".join(map(plain, text.split("\n")))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)
