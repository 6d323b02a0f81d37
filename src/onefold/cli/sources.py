"""`onefold sources`: where events come from, and their write keys."""

from typing import Annotated

import typer

from onefold.cli import opening
from onefold.cli.options import AsJson, Data
from onefold.cli.printing import out, print_json, table
from onefold.model.catalog import SourceRow
from onefold.ports import Catalog

_app = typer.Typer(help="Sources and their write keys: list, create, enable, disable, rotate.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The source's name.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="sources")


@_app.command("list")
def list_sources(data: Data = None, *, as_json: AsJson = False) -> None:
    """List the sources with their write keys.

    Examples:

        onefold sources list
    """
    with opening.catalog(data) as catalog:
        sources = catalog.sources()
    if as_json:
        print_json(sources)
        return
    table(("name", "kind", "enabled", "write key"), ((s.name, s.kind, s.enabled, s.write_key) for s in sources))


@_app.command("create")
def create(
    name: Name,
    kind: Annotated[str, typer.Option(help="The kind of source.")] = "http",
    data: Data = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Create a source and print its write key.

    Examples:

        onefold sources create website
    """
    with opening.catalog(data) as catalog:
        catalog.create_source(name, kind)
        _show(catalog, name, as_json=as_json)


@_app.command("rotate")
def rotate(name: Name, data: Data = None, *, as_json: AsJson = False) -> None:
    """Give a source a new write key; the old one stops within a second.

    Examples:

        onefold sources rotate website
    """
    with opening.catalog(data) as catalog:
        catalog.rotate_write_key(name)
        _show(catalog, name, as_json=as_json)


@_app.command("disable")
def disable(name: Name, data: Data = None, *, as_json: AsJson = False) -> None:
    """Refuse this source's events until it is enabled again.

    Examples:

        onefold sources disable website
    """
    with opening.catalog(data) as catalog:
        catalog.enable_source(name, enabled=False)
        _show(catalog, name, as_json=as_json)


@_app.command("enable")
def enable(name: Name, data: Data = None, *, as_json: AsJson = False) -> None:
    """Take this source's events again.

    Examples:

        onefold sources enable website
    """
    with opening.catalog(data) as catalog:
        catalog.enable_source(name, enabled=True)
        _show(catalog, name, as_json=as_json)


def _show(catalog: Catalog, name: str, *, as_json: bool) -> None:
    found: SourceRow = next(source for source in catalog.sources() if source.name == name)
    if as_json:
        print_json(found)
    else:
        out.print(found.write_key, markup=False)
