"""`onefold identity why`, `history` and `graph`: who is one person, since when, and how one can see it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.tree import Tree

from onefold.cli import opening
from onefold.cli.options import AsJson, Data
from onefold.cli.printing import many, out, plain, print_json
from onefold.server.identity import graph as identity_graph
from onefold.server.identity import graph_svg
from onefold.server.identity import history as identity_history
from onefold.server.identity import why as identity_why
from onefold.server.identity.history import HistoryAnswer, TurnAnswer
from onefold.server.identity.tracing import BondAnswer, SightingAnswer
from onefold.server.identity.why import HindranceAnswer, SideAnswer, WhyOneAnswer

Who = Annotated[str, typer.Argument(metavar="NAMESPACE:VALUE", help="Any identifier of the person, or prf_….")]
First = Annotated[str, typer.Argument(metavar="A", help="An identifier, such as user_id:42, or prf_….")]
Second = Annotated[str, typer.Argument(metavar="B", help="Another one.")]
_INKS = {"merged": "blue", "refused": "red", "never": "red", "moved": "yellow", "hot": "yellow", "split": "magenta"}


def add_to(app: typer.Typer) -> None:
    """Add the commands to `onefold identity`."""
    app.command("why")(why)
    app.command("history")(history)
    app.command("graph")(graph)


def why(a: First, b: Second, data: Data = None, *, as_json: AsJson = False) -> None:
    """Say why two identifiers are one person: the shortest path of links; or why they are not: what keeps them apart.

    Each link with the event that made it, the rule, and who said it where somebody did.

    Examples:

        onefold identity why user_id:42 anonymous_id:laptop

        onefold identity why prf_0000000000010001 email:ann@example.com --json
    """
    with opening.engines(data) as engines:
        found = identity_why.why(engines, a, b)
    if as_json:
        print_json(found)
        return
    mark = "[bold green]✓[/]" if found.one else "[bold red]✗[/]"
    out.print(f"{mark} {plain(found.text)}")
    for line in _path(found) if found.one else _apart(found):
        out.print(line)


def _path(found: WhyOneAnswer) -> Iterator[str]:
    profile = found.a.profile
    yield f"[dim]{profile}, of which {many(found.a.identifiers_in_all, 'identifier')} are one person[/]"
    yield ""
    if found.path:
        yield f"[bold]{plain(found.path[0].a)}[/]"
    for link in found.path:
        yield from _link(link)
    for merged in found.merged:
        yield f"[dim]{merged.absorbed} became part of it: {merged.place}, {_when(merged.at)}[/]"
    if found.together is not None and len(found.path) != 1:
        together = found.together
        yield f"[dim]both were in {many(together.events, 'event')} themselves, first {_event(together.first)}[/]"
    if found.a.events_forgotten:
        yield _forgotten(found.a)


def _link(link: BondAnswer) -> Iterator[str]:
    ended = f", which ended {link.merged}" if link.merged else ""
    yield f"│ [cyan]{plain(link.rule)}[/]: {plain(link.text)}{ended}"
    if link.event is not None:
        yield f"│ [dim]{_event(link.event)}[/]"
    elif link.rule == "explicit":
        by = plain(link.by) or "who said it is no longer kept"
        yield f"│ [dim]{_when(link.at)}  {by}  {link.place or ''}[/]"
    elif link.rule.startswith("matched:"):
        yield f"│ [dim]{_when(link.at)}  {link.place or ''}[/]"
    else:
        yield f"│ [dim]{_when(link.at)}  {link.place or ''}  the event is no longer kept[/]"
    if link.events > 1:
        yield f"│ [dim]{link.events:,} events have both, the latest {_when(link.latest or link.at)}[/]"
    yield f"[bold]{plain(link.b)}[/]"


def _apart(found: WhyOneAnswer) -> Iterator[str]:
    for side in (found.a, found.b):
        yield f"[bold]{plain(side.asked)}[/]  [dim]{_whose(side)}[/]"
        for kind, values in side.identifiers.items():
            yield f"  [dim]{plain(kind)}:[/] {plain(', '.join(values))}"
        if (more := side.identifiers_in_all - sum(map(len, side.identifiers.values()))) > 0:
            yield f"  [dim]and {more:,} more[/]"
    yield ""
    for hindrance in found.hindrances:
        yield from _hindrance(hindrance)
    if found.hindrances_left_out:
        yield f"[dim]and {found.hindrances_left_out:,} more: --json and the API show no more, either[/]"
    for side in (found.a, found.b):
        if side.events_forgotten:
            yield _forgotten(side)


def _whose(side: SideAnswer) -> str:
    if side.profile is None:
        return "nobody has it"
    return f"{side.profile}, {many(side.identifiers_in_all, 'identifier')}"


def _hindrance(found: HindranceAnswer) -> Iterator[str]:
    yield f"[red]✗[/] {plain(found.text)}"
    if found.event is not None:
        yield f"  [dim]{_event(found.event)}[/]"
    elif found.at is not None:
        yield f"  [dim]{_when(found.at)}[/]"
    if found.events > 1:
        yield f"  [dim]{found.events:,} events show it, the latest {_when(found.latest or found.at or '')}[/]"
    if found.kind == "refused" and found.rule:
        when = "told then" if found.told else "as the rules say now"
        now = f"; such an event now: {found.rule_now or 'joins them'}" if found.rule_now != found.rule else ""
        yield f"  [dim]{plain(found.rule)}, {when}{plain(now)}[/]"
    if found.owner is not None:
        yield f"  [dim]{plain(found.shared or '')} leads to {found.owner}[/]"


def _forgotten(side: SideAnswer) -> str:
    return (
        f"[yellow]![/] {many(side.events_forgotten, 'event')} of {plain(side.asked)} are no longer kept: what they "
        "showed is not in this"
    )


def _event(event: SightingAnswer) -> str:
    message = f"  message {plain(event.message_id)}" if event.message_id else ""
    return f"{_when(event.at)}  {plain(event.name)}  {plain(event.source)} {event.id}{message}"


def history(who: Who, data: Data = None, *, as_json: AsJson = False) -> None:
    """Tell how a profile came to be: what was linked, merged, moved, refused and said, oldest first.

    Examples:

        onefold identity history user_id:42

        onefold identity history prf_0000000000010001 --json
    """
    with opening.engines(data) as engines:
        found = identity_history.history(engines, who)
    if as_json:
        print_json(found)
        return
    out.print(_told(found))
    if found.refused_left_out:
        out.print(f"[dim]and {found.refused_left_out:,} more that were refused[/]")
    if found.events_forgotten:
        forgotten = many(found.events_forgotten, "event")
        out.print(f"[yellow]![/] {forgotten} are no longer kept: what they showed is missing")


def _told(found: HistoryAnswer) -> Tree:
    top = Tree(f"[bold cyan]{found.profile}[/]")
    if found.turns_left_out:
        top.add(f"[dim]{found.turns_left_out:,} older ones are left out[/]")
    for turn in found.turns:
        branch = top.add(_turn(turn))
        if turn.event is not None and turn.kind != "created":
            branch.add(f"[dim]{_event(turn.event)}[/]")
    return top


def _turn(turn: TurnAnswer) -> str:
    ink = _INKS.get(turn.kind, "green")
    return f"[dim]{_when(turn.at)}[/]  [{ink}]{plain(turn.kind)}[/]  {plain(turn.text)}"


def graph(
    who: Who,
    data: Data = None,
    *,
    to: Annotated[Path | None, typer.Option("--output", "-o", help="Write into this file, not to the screen.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the identity graph of a profile as SVG: identifiers, the links between them, and what was refused.

    Examples:

        onefold identity graph user_id:42 -o ann.svg

        onefold identity graph user_id:42 --json
    """
    with opening.engines(data) as engines:
        found = identity_graph.graph(engines, who)
    if as_json:
        print_json(found)
    elif to is None:
        sys.stdout.write(graph_svg.drawn(found))
    else:
        to.write_text(graph_svg.drawn(found), encoding="utf-8")
        out.print(f"[green]✓[/] {plain(str(to))}: {many(len(found.nodes), 'identifier')}")


def _when(instant: str) -> str:
    return instant[:19].replace("T", " ")
