"""`onefold audience`: which audiences there are, and who is in them."""

from typing import Annotated

import typer

from onefold.cli import opening
from onefold.cli.options import AsJson, Data, Limit
from onefold.cli.printing import instant, out, print_json, table
from onefold.errors import NotFoundError
from onefold.model import position
from onefold.server import instants

_app = typer.Typer(help="Audiences: list them with their sizes, and their members.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="audience")


@_app.command("list")
def list_audiences(data: Data = None, *, as_json: AsJson = False) -> None:
    """List the audiences with their sizes.

    Examples:

        onefold audience list
    """
    with opening.engines(data) as engines:
        audiences = engines.catalog.definitions().audiences
        sizes = engines.state.sizes()
    rows = [(one.name, sizes.get(one.name, 0), one.expression) for one in audiences]
    if as_json:
        print_json([{"name": name, "size": size, "expression": expression} for name, size, expression in rows])
    else:
        table(("audience", "size", "expression"), rows, "none yet; `onefold apply DIR` defines some")


@_app.command("members")
def members(
    audience: Annotated[str, typer.Argument(help="The audience's name.")],
    data: Data = None,
    *,
    limit: Limit = 100,
    after: Annotated[str, typer.Option(help="Go on after this profile id.")] = "",
    as_json: AsJson = False,
) -> None:
    """List who is in an audience, by profile id, and since when.

    Examples:

        onefold audience members cart_abandoners

        onefold audience members win_back --limit 1000 --json
    """
    with opening.engines(data) as engines:
        if audience not in {one.name for one in engines.catalog.definitions().audiences}:
            raise NotFoundError(f"there is no audience {audience!r}; `onefold audience list` shows those there are")
        found = engines.state.members(audience, position.parse(after) or 0, limit)
        size = engines.state.sizes().get(audience, 0)
    shown = [(position.show(profile), entered_ms) for profile, entered_ms in found]
    if as_json:
        members = [{"id": name, "entered_at": instants.show(entered_ms)} for name, entered_ms in shown]
        print_json({"audience": audience, "size": size, "members": members})
        return
    table(("profile", "entered"), [(name, instant(entered_ms)) for name, entered_ms in shown])
    if len(shown) < size:
        out.print(f"[dim]{len(shown):,} of {size:,}; go on with --after {shown[-1][0] if shown else ''}[/]")
