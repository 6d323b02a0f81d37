"""`onefold keys`: the secret keys of the API."""

from typing import Annotated

import typer

from onefold.cli import opening
from onefold.cli.options import AsJson, Data
from onefold.cli.printing import err, instant, out, print_json, table
from onefold.errors import NotFoundError
from onefold.limits import SIGNING_OLD_VALID_MAX_S, SIGNING_OLD_VALID_S
from onefold.model.catalog import SCOPES
from onefold.ports import Catalog

_app = typer.Typer(
    help="Secret keys of the API: list, create, revoke; and the secrets that sign webhooks: show, rotate.",
    no_args_is_help=True,
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
        _known(catalog, destination)
        current, *former = catalog.signing_secrets(destination)
    if as_json:
        old = [{"secret": one.secret, "until_ms": one.until_ms} for one in former]
        print_json({"destination": destination, "signing_secret": current.secret, "former": old})
        return
    out.print(current.secret, markup=False)
    for one in former:
        err.print(f"[dim]a former one signs too, until {instant(one.until_ms)}[/]")


@_app.command("rotate-signing")
def rotate_signing(
    destination: Annotated[str, typer.Argument(help="The destination's name.")],
    data: Data = None,
    *,
    old_valid_s: Annotated[
        int,
        typer.Option(min=0, max=SIGNING_OLD_VALID_MAX_S, help="For how long the former secret signs too, in seconds."),
    ] = SIGNING_OLD_VALID_S,
    as_json: AsJson = False,
) -> None:
    """Give a destination a new signing secret and print it; a running platform signs with it within a second.

    Until the former secret ends each webhook bears a signature of either, so that the receiver verifies with the one
    that it has: give it the new one within that time. 0 ends all former secrets at once, as when one has leaked.

    Examples:

        onefold keys rotate-signing crm

        onefold keys rotate-signing crm --old-valid-s 0
    """
    with opening.catalog(data) as catalog:
        _known(catalog, destination)
        secret = catalog.rotate_signing_secret(destination, old_valid_s)
        _, *former = catalog.signing_secrets(destination)
    if as_json:
        until_ms = former[0].until_ms if former else None
        print_json({"destination": destination, "signing_secret": secret, "former_until_ms": until_ms})
        return
    out.print(secret, markup=False)
    ends = f"signs too, until {instant(former[0].until_ms)}" if former else "signs no more"
    err.print(f"[dim]Give it to the receiver; the former one {ends}.[/]")


def _known(catalog: Catalog, destination: str) -> None:
    names = [one.name for one in catalog.definitions().destinations]
    if destination not in names:
        known = ", ".join(names) or "none"
        raise NotFoundError(f"there is no destination {destination!r} in the definitions; there are: {known}")


def _revoked(at_ms: int | None) -> str:
    return "" if at_ms is None else instant(at_ms)
