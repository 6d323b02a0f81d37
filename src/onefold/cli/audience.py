"""`onefold audience`: which audiences there are, and who is in them."""

from pathlib import Path
from typing import Annotated

import typer

from onefold.cli import opening
from onefold.cli.options import AsJson, Data, Limit
from onefold.cli.printing import instant, out, plain, print_json, table
from onefold.errors import InvalidRequest, NotFoundError
from onefold.model import position
from onefold.model.definitions import Definitions
from onefold.runtime.versions import shadowed
from onefold.server import instants
from onefold.server.export import DESCRIPTION, INCLUDE, Counted, columns, rows
from onefold.server.export_formats import FORMATS, write_whole, written
from onefold.server.route import hint

_app = typer.Typer(help="Audiences: list them with their sizes, list or export their members.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="audience")


@_app.command("list")
def list_audiences(data: Data = None, *, as_json: AsJson = False) -> None:
    """List the audiences with their sizes, also those that run in shadow: `NAME@shadow`.

    Examples:

        onefold audience list
    """
    with opening.engines(data) as engines:
        definitions = engines.catalog.definitions()
        sizes = engines.state.sizes()
    audiences = {one.name: one for one in definitions.audiences} | shadowed(definitions)
    rows = [(name, sizes.get(name, 0), one.expression) for name, one in audiences.items()]
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
        _require(engines.catalog.definitions(), audience)
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


@_app.command("export")
def export_members(
    audience: Annotated[str, typer.Argument(help="The audience's name.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to; made anew.")],
    data: Data = None,
    *,
    form: Annotated[
        str, typer.Option("--format", help=f"One of: {', '.join(FORMATS)}. Default: by the file's name.")
    ] = "",
    include: Annotated[str, typer.Option(help=DESCRIPTION)] = INCLUDE,
    as_json: AsJson = False,
) -> None:
    """Write who is in an audience into a file, with identifiers and traits, while the platform runs.

    Whoever is a member from beginning to end is in it, once; whoever comes or goes meanwhile may be in it or not.
    The file appears when it is whole.

    Examples:

        onefold audience export cart_abandoners -o abandoners.csv --include identifiers.email,traits.plan

        onefold audience export win_back --format parquet -o win_back.parquet --json
    """
    chosen = form or output.suffix.removeprefix(".")
    if chosen not in FORMATS:
        raise InvalidRequest(f"--format: unknown {chosen!r}{hint(chosen, FORMATS)}")
    with opening.engines(data) as engines:
        definitions = engines.catalog.definitions()
        _require(definitions, audience)
        wanted = columns(definitions, audience, include)
        pages = Counted(rows(engines.state, audience, wanted))
        write_whole(output, written(pages, FORMATS[chosen].writer(wanted)))
    if as_json:
        print_json({"audience": audience, "members": pages.rows, "file": str(output)})
    else:
        out.print(f"[green]✓[/] {pages.rows:,} members of {audience} in {plain(str(output))}")


def _require(definitions: Definitions, audience: str) -> None:
    if audience not in {one.name for one in definitions.audiences} | shadowed(definitions).keys():
        raise NotFoundError(f"there is no audience {audience!r}; `onefold audience list` shows those there are")
