"""`onefold events`: what happens, as it happens."""

import time
from typing import Annotated

import typer

from onefold.cli import opening
from onefold.cli.options import AsJson, Data
from onefold.cli.printing import out, plain, print_json, spelt
from onefold.errors import InvalidRequest
from onefold.model import effect as effects
from onefold.server.operating.tail import AT_ONCE_BYTES, KINDS, Filter, Shown
from onefold.server.operating.tail import show as show_effect

POLL_S = 0.1
_STYLES = {
    "created": "green", "merged": "bold magenta", "split": "bold magenta", "recast": "bold", "entered": "bold green",
    "left": "yellow",
    "rejected": "red", "link_refused": "red", "moved": "magenta", "hot": "bold red", "admitted": "", "changed": "dim",
}  # fmt: skip

_app = typer.Typer(help="Events and their effects: follow them live.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="events")


@_app.callback()
def _events() -> None:
    """Events and their effects: follow them live."""


@_app.command("tail")
def tail(
    data: Data = None,
    *,
    kind: Annotated[str, typer.Option(help=f"Comma-separated kinds of: {', '.join(KINDS)}.")] = "",
    name: Annotated[str, typer.Option(help="Comma-separated names of events, such as `Order Completed`.")] = "",
    audience: Annotated[str, typer.Option(help="Comma-separated audiences that are entered or left.")] = "",
    past: Annotated[int, typer.Option("--past", min=0, help="Begin so many commits ago.")] = 0,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", metavar="", help="Wait for more.")] = True,
    as_json: AsJson = False,
) -> None:
    """Follow events and their effects: profiles made and merged, traits changed, audiences entered and left.

    Examples:

        onefold events tail

        onefold events tail --kind entered,left --json

        onefold events tail --past 1000 --no-follow --name 'Order Completed'
    """
    wanted = Filter(_kinds(kind), _names(name), _names(audience))
    with opening.engines(data) as engines:
        after, decode = max(0, engines.state.newest() - past), effects.decoder(wanted.types())
        while True:
            commits = engines.state.commits(after, AT_ONCE_BYTES)
            for commit in commits:
                after = commit.number
                for effect in wanted.choose(decode(commit.effects)):
                    shown = show_effect(commit.partition, effect)
                    print_json(shown) if as_json else out.print(line(shown))
            if not commits and not follow:
                return
            if not commits:
                time.sleep(POLL_S)


def line(shown: Shown) -> str:
    """An effect for people, in one line."""
    said = {
        "merged": f"{shown.absorbed} is the same person: {shown.a} = {shown.b}",
        "split": f"{', '.join(shown.identifiers)}: no longer a part of {shown.former}",
        "recast": f"{shown.by}: {shown.why}"
        + ("" if shown.applied else " (stale: nothing is done, it is tried again)"),
        "link_refused": f"{shown.a} is not {shown.b} ({shown.rule})",
        "moved": f"{shown.identifier} is no longer {shown.former} ({shown.rule})",
        "hot": f"{shown.identifier} has come with {shown.others} others, and joins nobody any more",
        "changed": ", ".join(f"{name} = {spelt(value)}" for name, value in (shown.traits or {}).items()),
        "left": f"{shown.audience} ({shown.reason})",
        "rejected": f"{shown.reason} from {shown.source}",
    }.get(shown.kind, shown.audience or shown.name)
    style = _STYLES.get(shown.kind, "")
    kind = f"[{style}]{shown.kind:<12}[/]" if style else f"{shown.kind:<12}"
    return f"[dim]{shown.at[11:23]}[/] {kind} {shown.profile or '-':<20} {plain(said)}"


def _kinds(text: str) -> frozenset[str]:
    kinds = _names(text)
    if unknown := kinds - set(KINDS):
        raise InvalidRequest(f"unknown kind {', '.join(sorted(unknown))}; there are: {', '.join(KINDS)}")
    return kinds


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
