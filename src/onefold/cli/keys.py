"""`onefold keys`: the secret keys of the API."""

from typing import Annotated

import typer

from onefold.cli import opening
from onefold.cli.options import AsJson, Data
from onefold.cli.printing import err, instant, out, print_json, table
from onefold.errors import NotFoundError
from onefold.storage.catalog import SCOPES

_app = typer.Typer(
    help="Secret keys of the API: list, create, revoke; and the secrets that sign webhooks.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="keys")


@_app.command("list")
def list_keys(data: Data = None, *, as_json: AsJson = False) -> None:
    """List all secret keys, revoked ones too; the secrets themselves are nowhere kept.

    Examples:

        onefold keys list --json
    """
    with opening.catalog(data) as catalog:
        keys = catalog.secret_keys()
    if as_json:
        print_json(keys)
        return
    rows = [
        (key.name, f"…{key.hint}", " ".join(key.scopes), instant(key.created_at_ms), _revoked(key.revoked_at_ms))
        for key in keys
    ]
    table(("name", "key", "scopes", "created", "revoked"), rows)


@_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option("--scope", "-s", help=f"Repeatable: *, {', '.join(SCOPES)}.")],
    data: Data = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Create a secret key and print it, this once.

    Examples:

        onefold keys create website --scope profiles:read

        onefold keys create operator -s '*' --json
    """
    with opening.catalog(data) as catalog:
        secret = catalog.create_secret_key(name, scope)
    if as_json:
        print_json({"name": name, "scopes": scope, "secret_key": secret})
        return
    out.print(secret, markup=False)
    err.print("[dim]Keep it now: it is shown this once.[/]")


@_app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name.")],
    data: Data = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a secret key worthless, for ever; a running platform notices within a second.

    Examples:

        onefold keys revoke website
    """
    with opening.catalog(data) as catalog:
        catalog.revoke(name)
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        out.print(f"{name} is revoked", markup=False)


@_app.command("signing")
def signing(
    destination: Annotated[str, typer.Argument(help="The destination's name.")],
    data: Data = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the secret that a destination's webhooks are signed with (Standard Webhooks).

    Examples:

        onefold keys signing crm
    """
    with opening.catalog(data) as catalog:
        names = [one.name for one in catalog.definitions().destinations]
        if destination not in names:
            known = ", ".join(names) or "none"
            raise NotFoundError(f"there is no destination {destination!r} in the definitions; there are: {known}")
        secret = catalog.signing_secret(destination)
    if as_json:
        print_json({"destination": destination, "signing_secret": secret})
    else:
        out.print(secret, markup=False)


def _revoked(at_ms: int | None) -> str:
    return "" if at_ms is None else instant(at_ms)
