"""`onefold audience`: which audiences there are, and who is in them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from msgspec import structs

from onefold.cli import opening
from onefold.cli.options import AsJson, AsOf, Data, Limit
from onefold.cli.printing import instant, out, plain, print_json, table
from onefold.errors import InvalidRequest, NotFoundError
from onefold.model import position
from onefold.model.definitions import Definitions
from onefold.runtime.defining.versions import shadowed
from onefold.runtime.past.told import Audiences
from onefold.server import instants
from onefold.server.audiences.export import DESCRIPTION, INCLUDE, Counted, columns, columns_then, rows, rows_then
from onefold.server.audiences.export_formats import FORMATS, write_whole, written
from onefold.server.engines import Engines
from onefold.server.people import as_of as as_ofs
from onefold.server.route import hint

_app = typer.Typer(help="Audiences: list them with their sizes, list or export their members.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="audience")


@_app.command("list")
def list_audiences(data: Data = None, *, as_of: AsOf = "", as_json: AsJson = False) -> None:
    """List the audiences with their sizes, also those that run in shadow: `NAME@shadow`.

    With --as-of those of then, as the platform told them; nothing is told of what runs in shadow.

    Examples:

        onefold audience list

        onefold audience list --as-of 30d
    """
    with opening.engines(data) as engines:
        if as_of:
            at_ms = as_ofs.instant(as_of, engines.clock.now_ms())
            definitions = structs.replace(as_ofs.definitions(engines, at_ms), shadow=None)
            with as_ofs.audiences(engines, at_ms) as then:
                sizes = then.sizes()
        else:
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
    as_of: AsOf = "",
    as_json: AsJson = False,
) -> None:
    """List who is in an audience, by profile id, and since when; or who was, as the platform told it then.

    Examples:

        onefold audience members cart_abandoners

        onefold audience members win_back --limit 1000 --json

        onefold audience members win_back --as-of 7d
    """
    last = position.parse(after) if after else -1
    if last is None:
        raise InvalidRequest("--after is a profile id, prf_…")
    with opening.engines(data) as engines:
        if as_of:
            with _then(engines, audience, as_of) as then:
                found, size = then.members(audience, last, limit), then.size(audience)
        else:
            _require(engines.catalog.definitions(), audience)
            found = engines.state.members(audience, last, limit)
            size = engines.state.sizes().get(audience, 0)
    shown = [(position.show(profile), entered_ms) for profile, entered_ms in found]
    if as_json:
        members = [{"id": name, "entered_at": instants.show(entered_ms)} for name, entered_ms in shown]
        print_json({"audience": audience, "size": size, "members": members} | ({"as_of": as_of} if as_of else {}))
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
    as_of: AsOf = "",
    as_json: AsJson = False,
) -> None:
    """Write who is in an audience into a file, with identifiers and traits, while the platform runs.

    Whoever is a member from beginning to end is in it, once; whoever comes or goes meanwhile may be in it or not.
    The file appears when it is whole. With --as-of it has who was in then and since when, without more of them.

    Examples:

        onefold audience export cart_abandoners -o abandoners.csv --include identifiers.email,traits.plan

        onefold audience export win_back --format parquet -o win_back.parquet --json

        onefold audience export win_back --as-of 2025-11-23 -o then.csv
    """
    chosen = form or output.suffix.removeprefix(".")
    if chosen not in FORMATS:
        raise InvalidRequest(f"--format: unknown {chosen!r}{hint(chosen, FORMATS)}")
    with opening.engines(data) as engines, ExitStack() as stack:
        if as_of:
            wanted = columns_then(include)
            pages = Counted(rows_then(stack.enter_context(_then(engines, audience, as_of)), audience))
        else:
            definitions = engines.catalog.definitions()
            _require(definitions, audience)
            wanted = columns(definitions, audience, include)
            pages = Counted(rows(engines.state, audience, wanted))
        write_whole(output, written(pages, FORMATS[chosen].writer(wanted)))
    if as_json:
        print_json({"audience": audience, "members": pages.rows, "file": str(output)})
    else:
        out.print(f"[green]✓[/] {pages.rows:,} members of {audience} in {plain(str(output))}")


@contextmanager
def _then(engines: Engines, audience: str, as_of: str) -> Iterator[Audiences]:
    """Who was in this audience then."""
    at_ms = as_ofs.instant(as_of, engines.clock.now_ms())
    as_ofs.audience(engines, audience, at_ms)
    with as_ofs.audiences(engines, at_ms) as then:
        yield then


def _require(definitions: Definitions, audience: str) -> None:
    if audience not in {one.name for one in definitions.audiences} | shadowed(definitions).keys():
        raise NotFoundError(f"there is no audience {audience!r}; `onefold audience list` shows those there are")
