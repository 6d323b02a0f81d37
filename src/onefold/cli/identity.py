"""`onefold identity`: the rules by which identifiers become people, values that join too many, and people's word."""

import getpass
from contextlib import closing
from typing import Annotated

import typer

from onefold.cli import (
    identity_explained,
    identity_reresolve,
    identity_review,
    identity_unmerge,
    identity_whatif,
    opening,
)
from onefold.cli.options import AsJson, Data, settings
from onefold.cli.printing import out, plain, print_json, table
from onefold.clock import SystemClock
from onefold.limits import PAGE_MAX
from onefold.model.entry import Linked
from onefold.runtime.identity.saying import say
from onefold.server.identity import said as shown
from onefold.server.identity.said import HotAnswer

_app = typer.Typer(help="Identity: the rules in force, hot values, and what people say.", no_args_is_help=True)

One = Annotated[str, typer.Argument(help="An identifier, such as user_id:42.")]
Other = Annotated[str, typer.Argument(help="Another one.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    identity_explained.add_to(_app)
    identity_review.add_to(_app)
    identity_unmerge.add_to(_app)
    identity_whatif.add_to(_app)
    identity_reresolve.add_to(_app)
    app.add_typer(_app, name="identity")


@_app.command("rules")
def rules(data: Data = None, *, as_json: AsJson = False) -> None:
    """Show the rules in force: the policy, the types of identifiers by priority, and what identifies nobody.

    They are the `identity:` section of the workspace's files, put into force by `onefold apply`.

    Examples:

        onefold identity rules
    """
    with opening.engines(data) as engines:
        found = shown.rules_answer(engines.rules().identity)
    if as_json:
        print_json(found)
        return
    out.print(f"policy [bold]{found.policy}[/]")
    rows = [(number, each.name, each.rule) for number, each in enumerate(found.types, 1)]
    table(("priority", "type", "rule"), rows, "types as built in")
    if found.traits:
        table(("trait", "rule"), [(each.name, each.rule) for each in found.traits])
    blocked = [*found.blocked, *(f"/{pattern}/" for pattern in found.patterns)]
    out.print(f"blocked: {plain(', '.join(blocked) or 'what the settings block')}")
    when = f"a value that has come with {found.hot} others joins nobody any more" if found.hot else "never"
    out.print(f"hot: {when}")


@_app.command("hot")
def hot(data: Data = None, *, as_json: AsJson = False) -> None:
    """List values that have come with so many others that they join nobody any more.

    Such as the address of a team, or the device of a shop's counter. Block them in `identity:` if they identify nobody.

    Examples:

        onefold identity hot

        onefold identity hot --json
    """
    with opening.engines(data) as engines:
        found: list[HotAnswer] = []
        last = -1
        while last:
            some, last = shown.hot_identifiers(engines.state, max(last, 0), PAGE_MAX)
            found += some
    if as_json:
        print_json(found)
        return
    rows = [(each.identifier, each.met, each.profile, each.since) for each in found]
    table(("identifier", "others", "profile", "since"), rows, "no value joins too many")


@_app.command("link")
def link(a: One, b: Other, data: Data = None, *, as_json: AsJson = False) -> None:
    """Say that two identifiers are one person's: their profiles merge.

    It counts for more than the rules, but not more than `onefold identity never`.

    Examples:

        onefold identity link user_id:42 email:ann@example.com
    """
    _say(a, b, data, never=False, as_json=as_json)


@_app.command("never")
def never(a: One, b: Other, data: Data = None, *, as_json: AsJson = False) -> None:
    """Say that two identifiers are never one person's, whatever events show from now on.

    Examples:

        onefold identity never user_id:42 user_id:43
    """
    _say(a, b, data, never=True, as_json=as_json)


def _say(a: str, b: str, data: Data, *, never: bool, as_json: bool) -> None:
    clock = SystemClock()
    with opening.engines(data) as engines, closing(opening.place(settings(data)).log_writer(clock)) as writer:
        linked = Linked(0, a, b, getpass.getuser(), never)
        partition, offset = say(engines.state, writer, engines.rules(), clock, linked)
    if as_json:
        print_json({"partition": partition, "offset": offset})
    else:
        out.print(f"[green]✓[/] written: {plain(a)} and {plain(b)} are {'never ' if never else ''}one person")
