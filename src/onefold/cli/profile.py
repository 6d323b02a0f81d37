"""`onefold profile`: what is known of one person."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer
from msgspec import UNSET
from rich.tree import Tree

from onefold.cli import opening
from onefold.cli.options import AsJson, AsOf, Data
from onefold.cli.printing import many, out, plain, print_json, spelt
from onefold.errors import InvalidRequest
from onefold.server.identity.household import HouseholdAnswer, household
from onefold.server.people import as_of as as_ofs
from onefold.server.people import profiles
from onefold.server.people.profile_answer import IdentityAnswer, ProfileAnswer, ProvenanceAnswer, answer
from onefold.server.people.profiles import EventAnswer
from onefold.server.people.projection import OPTIONAL, PARTS, projection
from onefold.server.people.provenance import provenance

_app = typer.Typer(help="Profiles: show one.", no_args_is_help=True)
_INCLUDE = f"Comma-separated parts of: {', '.join((*PARTS, *OPTIONAL))}; or names in them, such as traits.email."


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="profile")


@_app.command("show")
def show(
    who: Annotated[str, typer.Argument(metavar="NAMESPACE:VALUE", help="Any identifier of the person, or prf_….")],
    data: Data = None,
    *,
    include: Annotated[str, typer.Option(help=_INCLUDE)] = "",
    events: Annotated[bool, typer.Option("--events", metavar="", help="Also the latest events.")] = False,
    as_of: AsOf = "",
    late: Annotated[
        bool,
        typer.Option("--late", metavar="", help="With --as-of: with events that had happened by then and came later."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a profile: traits, audiences, identifiers, and the evidence that joined them.

    Examples:

        onefold profile show email:ann@example.com

        onefold profile show user_id:42 --events --json

        onefold profile show user_id:42 --include traits.email,computed.revenue,provenance

        onefold profile show user_id:42 --as-of 2025-11-23T21:05:00Z
    """
    wanted = projection(include)
    _check(as_of, events=events, late=late)
    with opening.engines(data) as engines:
        found = profiles.find(engines.state, engines.rules(), who)
        if as_of:
            at_ms = as_ofs.instant(as_of, engines.clock.now_ms())
            shown = as_ofs.shown(as_ofs.person(engines, found, who, at_ms, late=late), wanted, late=late)
        else:
            shown = answer(found, wanted)
        lives = household(engines, found) if engines.settings.matching and not as_of else None
        if "provenance" in wanted:
            shown.provenance = provenance(engines, found, wanted)
        places = found.recent[::-1] if events else []
        recent = [profiles.read_event(engines, place >> 56, place & (1 << 56) - 1) for place in places]
    kept = [event for event in recent if event is not None]
    if as_json:
        print_json({"profile": shown, "events": kept} if events else shown)
        return
    top = tree(shown, kept)
    if lives is not None and len(lives.members) > 1:
        _branch(top, f"household {lives.household}", list(_living(lives)))
    out.print(top)


def _living(found: HouseholdAnswer) -> Iterator[str]:
    """Who lives together, each with by whom and what they belong to it."""
    for one in found.members:
        why = ", ".join(f"{each.comparison} {each.level}" for each in one.why)
        tied = f"[dim]{one.together:.3f} with {one.tied_to}: {plain(why)}[/]" if one.why else "[dim]this one[/]"
        yield f"{one.profile}  {plain(one.name)}  {tied}"


def _check(as_of: str, *, events: bool, late: bool) -> None:
    if as_of and events:
        raise InvalidRequest("--events shows the latest events of now: leave it out, or --as-of")
    if late and not as_of:
        raise InvalidRequest("--late: is said with --as-of")


def tree(shown: ProfileAnswer, events: list[EventAnswer]) -> Tree:
    """A profile for people."""
    top = _head(shown)
    if shown.identifiers is not UNSET:
        _branch(top, "identifiers", [
            f"{plain(namespace)}:{plain(one.value)}  [dim]since {_when(one.first_seen_at)}[/]"
            for namespace, values in shown.identifiers.items() for one in values
        ])  # fmt: skip
    for part, values in (("traits", shown.traits), ("computed", shown.computed)):
        if values is not UNSET:
            _branch(top, part, [f"{plain(name)} = {_value(value)}" for name, value in sorted(values.items())])
    if shown.audiences is not UNSET:
        _branch(top, "audiences", [f"{one.name}  [dim]since {_when(one.entered_at)}[/]" for one in shown.audiences])
    if shown.links is not UNSET:
        _branch(top, "links", [
            f"{plain(one.a)} = {plain(one.b)}  [dim]{one.rule}, event {one.event}, {_when(one.at)}[/]"
            for one in shown.links
        ])  # fmt: skip
    if shown.merges is not UNSET and shown.merges:
        _branch(top, "merges", [f"{one.absorbed}  [dim]event {one.event}, {_when(one.at)}[/]" for one in shown.merges])
    _asked_for(top, shown)
    if events:
        _branch(top, "latest events", [f"[dim]{_when(one.at)}[/] {plain(_name(one))}" for one in events])
    return top


def _asked_for(top: Tree, shown: ProfileAnswer) -> None:
    """The parts that not every profile has, or that are shown only to who asks."""
    if shown.identity is not UNSET:
        _branch(top, "identity", list(_noted(shown.identity)))
    if shown.provenance is not UNSET:
        _branch(top, "provenance", [*_said(shown.provenance), *_reckoned(shown.provenance)])
    if shown.shadow is not UNSET:
        computed = [f"{name} = {_value(value)}" for name, value in sorted(shown.shadow.computed.items())]
        since = [f"{one.name}  [dim]since {_when(one.entered_at)}[/]" for one in shown.shadow.audiences]
        _branch(top, "in shadow", [*computed, *since])


def _noted(found: IdentityAnswer) -> Iterator[str]:
    """What the rules of identity have noted: limits first, as they say that something is missing."""
    for limit in found.at_limit:
        yield f"[yellow]{plain(limit.rule)}[/] has kept something out  [dim]last {_when(limit.at)}[/]"
    for what, seen in (("is hot", found.hot), ("leads here as a former one", found.former), ("was seen", found.seen)):
        yield from (f"{plain(one.identifier)} {what}  [dim]{_when(one.at)}[/]" for one in seen)
    yield from (f"never {plain(identifier)}" for identifier in found.never)
    yield from (f"{plain(each.identifier)} is not linked to {plain(each.other)} any more" for each in found.apart)
    yield from (f"{plain(identifier)} joins nobody" for identifier in found.loose)
    yield from (f"{plain(each.by)}: {plain(each.why)}  [dim]{_when(each.at)}[/]" for each in found.undone)


def _head(shown: ProfileAnswer) -> Tree:
    seen = f"{_when(shown.first_seen_at)} to {_when(shown.last_seen_at)}"
    top = Tree(f"[bold cyan]{shown.id}[/]  {many(shown.events, 'event')}, {seen}{_account(shown)}")
    for line in _then(shown):
        top.add(f"[dim]{line}[/]")
    return top


def _then(shown: ProfileAnswer) -> Iterator[str]:
    """Which past is shown; nothing where it is the present."""
    then = shown.as_of
    if then is UNSET:
        return
    yield f"as of {then.at}, {'with what is known of it now' if then.late else 'with what was known then'}"
    if then.memberships == "computed":
        yield "audiences are computed from the events"
    if then.profile_now != shown.id:
        yield f"has become part of {then.profile_now}"
    if then.events_forgotten:
        yield f"{then.events_forgotten:,} events of this person are no longer kept: values may lack them"


def _account(shown: ProfileAnswer) -> str:
    return "" if shown.account is UNSET else f", of account {plain(shown.account)}"


def _said(found: ProvenanceAnswer) -> Iterator[str]:
    for name, said in sorted(found.traits.items()):
        source = f"source {said.source}" if said.source else "source not in the log any more"
        event = f"event {said.event}, {source}" if said.event else "event not known"
        yield f"traits.{plain(name)}  [dim]{event}, {_when(said.at)}[/]"
        for one in said.parts:
            part, at = plain(one.part or "before there was a rule"), _when(one.at)
            event = one.event or "not known"
            yield f"  [dim]{said.keep} of[/] {part} = {_value(one.value)}  [dim]event {event}, {at}[/]"


def _reckoned(found: ProvenanceAnswer) -> Iterator[str]:
    for name, reckoned in sorted(found.computed.items()):
        yield f"{name}  [dim]version {reckoned.definitions_version}:[/] {plain(reckoned.expression)}"


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
