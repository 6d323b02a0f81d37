"""`onefold accounts`: what is known of an account, and who is in it."""

from typing import Annotated

import typer
from rich.tree import Tree

from onefold.cli import opening
from onefold.cli.options import AsJson, Data, Limit
from onefold.cli.printing import many, out, plain, print_json, spelt, table
from onefold.model import position
from onefold.model.account import members_of
from onefold.server.people import accounts
from onefold.server.people.accounts import AccountAnswer

_app = typer.Typer(help="Accounts: show one, list its members.", no_args_is_help=True)

Account = Annotated[str, typer.Argument(metavar="ID", help="The `groupId` that events name it by.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="accounts")


@_app.command("show")
def show(account: Account, data: Data = None, *, as_json: AsJson = False) -> None:
    """Show an account: its traits, and how many members it has.

    Examples:

        onefold accounts show acme

        onefold accounts show acme --json
    """
    with opening.engines(data) as engines:
        shown = accounts.answer(engines.state, accounts.find(engines.state, engines.rules(), account))
    if as_json:
        print_json(shown)
    else:
        out.print(tree(shown))


@_app.command("members")
def members(
    account: Account,
    data: Data = None,
    *,
    limit: Limit = 100,
    after: Annotated[str, typer.Option(help="Go on after this profile id.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the members of an account, by profile id.

    Examples:

        onefold accounts members acme --limit 1000
    """
    with opening.engines(data) as engines:
        relation = members_of(accounts.find(engines.state, engines.rules(), account).id)
        found = engines.state.members(relation, position.parse(after) or 0, limit)
        size = engines.state.size(relation)
    shown = [position.show(profile) for profile, _ in found]
    if as_json:
        print_json({"account": account, "size": size, "members": shown})
        return
    table(("profile",), [(one,) for one in shown], "nobody")
    if len(shown) < size:
        out.print(f"[dim]{len(shown):,} of {size:,}; go on with --after {shown[-1] if shown else ''}[/]")


def tree(shown: AccountAnswer) -> Tree:
    """An account for people."""
    members, events = many(shown.members, "member"), many(shown.events, "event")
    top = Tree(f"[bold cyan]{plain(shown.id)}[/]  {members}, {events}, {shown.first_seen_at} to {shown.last_seen_at}")
    for part, values in (("traits", shown.traits), ("computed", shown.computed)):
        branch = top.add(f"[bold]{part}[/]")
        for name, value in values.items():
            branch.add(f"{plain(name)} = {plain(spelt(value))}")
        if not values:
            branch.add("[dim]none[/]")
    if not shown.told:
        top.add("[dim]members are being judged by these values, some at a time[/]")
    return top
