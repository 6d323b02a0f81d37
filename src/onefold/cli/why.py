"""`onefold why`: why somebody has a trait's value, or is in an audience or not."""

from typing import Annotated

import typer

from onefold.cli import explained, opening
from onefold.cli.options import AsJson, AsOf, Data
from onefold.cli.printing import instant, out, print_json
from onefold.server.engines import Engines
from onefold.server.people import why as whys


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("why")(why)


def why(
    who: Annotated[str, typer.Argument(metavar="NAMESPACE:VALUE", help="Any identifier of the person, or prf_….")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The audience or trait to explain.")],
    data: Data = None,
    *,
    events: Annotated[int, typer.Option("--events", "-n", min=0, help="Show so many deciding events of a part.")] = 3,
    as_of: AsOf = "",
    as_json: AsJson = False,
) -> None:
    """Say why a person is in an audience or not, or has a trait's value: each condition, and the events behind it.

    Examples:

        onefold why user_id:42 cart_abandoners

        onefold why email:ann@example.com net_revenue --events 50

        onefold why prf_0000000000010001 vip --json

        onefold why user_id:42 cart_abandoners --as-of 7d
    """
    with opening.engines(data) as engines:
        found = whys.why(engines, who, name, as_of)
        if as_json:
            print_json(whys.answer(engines, found))
            return
        applied = _applied(engines, found.version)
    for line in explained.lines(found, who, applied, events):
        out.print(line)


def _applied(engines: Engines, version: int) -> str:
    """Who made this version, and when."""
    for row in engines.catalog.versions():
        if row.version == version:
            return f", applied by {row.author} on {instant(row.created_at_ms)}"
    return ""
