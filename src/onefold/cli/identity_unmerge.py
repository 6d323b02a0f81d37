"""`onefold identity unmerge`: people are taken apart as if a link had never been."""

import getpass
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from onefold.cli import opening
from onefold.cli.options import AsJson, Data, settings
from onefold.cli.printing import many, out, plain, print_json, spelt
from onefold.clock import SystemClock
from onefold.errors import InvalidRequest
from onefold.runtime.identity import unmerge as undoing
from onefold.server.identity import unmerge as shown
from onefold.server.identity.unmerge import Asked, PersonAnswer, UnmergeAnswer

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[A B]", help="Two identifiers that are not one person's; with --after, one of a person."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to `onefold identity`."""
    app.command("unmerge")(unmerge)


def unmerge(
    names: Names = None,
    data: Data = None,
    *,
    event: Annotated[
        str | None, typer.Option(metavar="ID", help="What this event has joined: its message id, or place (00-3f0000).")
    ] = None,
    identifier: Annotated[str | None, typer.Option(metavar="NAMESPACE:VALUE", help="It joins nobody.")] = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="What was joined after it, of the person A: 2025-11-23T21:05:00Z."),
    ] = None,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, which is kept.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", metavar="", help="Only show who there would be.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take people apart as if a link had never been: traits, windows, audiences, consent, accounts, and history.

    The same evidence does not join them again; other evidence may. Who leaves or enters audiences by it is told to
    destinations. It needs the history of everybody concerned.

    Examples:

        onefold identity unmerge user_id:42 anonymous_id:tablet --dry-run

        onefold identity unmerge user_id:42 anonymous_id:tablet --why "the tablet is her sister's"

        onefold identity unmerge --event 00-3f0000

        onefold identity unmerge --identifier email:team@example.com

        onefold identity unmerge user_id:42 --after 2025-11-23T21:05:00Z
    """
    wished = shown.wish(_asked(names or [], event, identifier, after))
    clock = SystemClock()
    with opening.engines(data) as engines, closing(opening.place(settings(data)).log_writer(clock)) as writer:
        sources = shown.sources_of(engines)
        if dry_run:
            plan, found = undoing.planned(sources, wished)
            answer = UnmergeAnswer(plan.said, True, False, "", found.events, shown.people(found))
        else:
            answer = shown.done(undoing.unmerge(sources, writer, clock, wished, (getpass.getuser(), why)))
    if as_json:
        print_json(answer)
        return
    out.print(_head(answer))
    for person in answer.people:
        out.print(_person(person))


def _asked(names: list[str], event: str | None, identifier: str | None, after: str | None) -> Asked:
    if after is not None:
        if len(names) != 1:
            raise InvalidRequest("--after: name one person, by any identifier or prf_…")
        return Asked(event=event, identifier=identifier, profile=names[0], after=after)
    return Asked(link=names or None, event=event, identifier=identifier)


def _head(found: UnmergeAnswer) -> str:
    events = many(found.events, "event")
    if found.dry_run:
        return f"{plain(found.said)}: nothing is done yet; of {events} there would be"
    if not found.folded:
        return f"[yellow]written[/], and no worker has folded it yet: {plain(found.said)}"
    return f"[green]✓[/] {plain(found.said)}, {events} folded again; there are"


def _person(found: PersonAnswer) -> Tree:
    person = found.person
    is_new = "  [green]on their own again[/]" if found.is_new else ""
    top = Tree(f"[bold cyan]{person.id}[/]{is_new}  [dim]{many(found.events, 'event')}[/]")
    for line in _lines(found):
        top.add(_folding(line))
    return top


def _folding(markup: str) -> Text:
    """A line that goes on below where it is too long, whatever the rest of the page does."""
    text = Text.from_markup(markup, overflow="fold")
    text.no_wrap = False
    return text


def _lines(found: PersonAnswer) -> Iterator[str]:
    person = found.person
    identifiers = person.identifiers or {}
    yield ", ".join(plain(f"{kind}:{one.value}") for kind, values in identifiers.items() for one in values)
    values = {f"traits.{name}": value for name, value in (person.traits or {}).items()} | (person.computed or {})
    if values:
        yield ", ".join(f"{plain(name)} = {plain(spelt(value))}" for name, value in sorted(values.items()))
    moved = [(f"+{name}", "green") for name in found.entered] + [(f"-{name}", "yellow") for name in found.left]
    stays = sorted({each.name for each in person.audiences or ()} - set(found.entered))
    audiences = [f"[{ink}]{plain(name)}[/]" for name, ink in moved] + [plain(name) for name in stays]
    yield "audiences: " + (", ".join(audiences) or "none")
