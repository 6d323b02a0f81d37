"""`onefold profile`: what is known of one person."""

from datetime import datetime
from typing import Annotated, Any

import typer
from msgspec import UNSET
from rich.tree import Tree

from onefold.cli import opening
from onefold.cli.options import AsJson, Data
from onefold.cli.printing import out, plain, print_json, spelt
from onefold.server import profiles
from onefold.server.profiles import EventAnswer, ProfileAnswer

_app = typer.Typer(help="Profiles: show one.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="profile")


@_app.command("show")
def show(
    who: Annotated[str, typer.Argument(metavar="NAMESPACE:VALUE", help="Any identifier of the person, or prf_….")],
    data: Data = None,
    *,
    include: Annotated[str, typer.Option(help=f"Comma-separated parts of: {', '.join(profiles.PARTS)}.")] = "",
    events: Annotated[bool, typer.Option("--events", metavar="", help="Also the latest events.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a profile: traits, audiences, identifiers, and the evidence that joined them.

    Examples:

        onefold profile show email:ann@example.com

        onefold profile show user_id:42 --events --json
    """
    with opening.engines(data) as engines:
        found = profiles.find(engines.state, engines.rules(), who)
        answer = profiles.answer(found, profiles.parts(include))
        places = found.recent[::-1] if events else []
        recent = [profiles.read_event(engines, place >> 56, place & (1 << 56) - 1) for place in places]
    shown = [event for event in recent if event is not None]
    if as_json:
        print_json({"profile": answer, "events": shown} if events else answer)
        return
    out.print(tree(answer, shown))


def tree(answer: ProfileAnswer, events: list[EventAnswer]) -> Tree:
    """A profile for people."""
    seen = f"{_when(answer.first_seen_at)} to {_when(answer.last_seen_at)}"
    events_seen = f"{answer.events:,} event{'s' if answer.events != 1 else ''}"
    top = Tree(f"[bold cyan]{answer.id}[/]  {events_seen}, {seen}")
    if answer.identifiers is not UNSET:
        _branch(top, "identifiers", [
            f"{plain(namespace)}:{plain(one.value)}  [dim]since {_when(one.first_seen_at)}[/]"
            for namespace, values in answer.identifiers.items() for one in values
        ])  # fmt: skip
    for part, values in (("traits", answer.traits), ("computed", answer.computed)):
        if values is not UNSET:
            _branch(top, part, [f"{plain(name)} = {_value(value)}" for name, value in sorted(values.items())])
    if answer.audiences is not UNSET:
        _branch(top, "audiences", [f"{one.name}  [dim]since {_when(one.entered_at)}[/]" for one in answer.audiences])
    if answer.links is not UNSET:
        _branch(top, "links", [
            f"{plain(one.a)} = {plain(one.b)}  [dim]{one.rule}, event {one.event}, {_when(one.at)}[/]"
            for one in answer.links
        ])  # fmt: skip
    if answer.merges is not UNSET and answer.merges:
        _branch(top, "merges", [f"{one.absorbed}  [dim]event {one.event}, {_when(one.at)}[/]" for one in answer.merges])
    if events:
        _branch(top, "latest events", [f"[dim]{_when(one.at)}[/] {plain(_name(one))}" for one in events])
    return top


def _branch(top: Tree, name: str, lines: list[str]) -> None:
    branch = top.add(f"[bold]{name}[/]")
    for line in lines or ["[dim]none[/]"]:
        branch.add(line)


def _when(instant: str) -> str:
    return datetime.fromisoformat(instant).strftime("%Y-%m-%d %H:%M:%S")


def _value(value: Any) -> str:
    colour = "green" if isinstance(value, str) else "yellow"
    return f"[{colour}]{plain(spelt(value))}[/]"


def _name(event: EventAnswer) -> str:
    name = event.event.get("event") or event.event.get("name")
    return f"{event.type} {name}" if name else event.type
