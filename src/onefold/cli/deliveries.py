"""`onefold deliveries`: what went out, what waits, what was parked and why, and another try."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from onefold.cli import opening
from onefold.cli.options import AsJson, Data, Limit, Yes, settings
from onefold.cli.printing import agree, instant, out, print_json, table
from onefold.model import position
from onefold.model.delivery import Delivery, Standing
from onefold.ports import Deliveries
from onefold.runtime.doctor import delivery_waits
from onefold.server.operating.deliveries import defined, known

_app = typer.Typer(
    help="Deliveries: how many, which are parked and why, and another try for those.", no_args_is_help=True
)

EXPIRED = "filtered.expired"

Destination = Annotated[str, typer.Argument(help="The destination's name.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="deliveries")


@_app.command("list")
def list_deliveries(data: Data = None, *, as_json: AsJson = False) -> None:
    """Count the deliveries of every destination by what became of them, and say why the oldest still waits.

    Examples:

        onefold deliveries list

        onefold deliveries list --json
    """
    with _store(data) as store:
        standings = store.standings()
        waits = {name: _held_up_by(store, name, one) for name, one in standings.items()}
    if as_json:
        print_json([
            {"destination": name, "counts": s.counts, "off": s.off, "waits": waits[name]}
            for name, s in sorted(standings.items())
        ])  # fmt: skip
        return
    rows = [(name, *_columns(s), waits[name]) for name, s in sorted(standings.items())]
    table(("destination", "delivered", "pending", "parked", "filtered", "expired", "held up by"), rows, "none yet")


@_app.command("parked")
def parked(
    destination: Destination,
    data: Data = None,
    *,
    limit: Limit = 100,
    after: Annotated[int, typer.Option(min=0, help="Go on after this number (`seq`).")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the deliveries of a destination that gave up, with the reason, oldest first.

    Examples:

        onefold deliveries parked crm

        onefold deliveries parked crm --limit 1000 --json
    """
    with _store(data) as store:
        known(store, destination)
        found = store.parked(destination, after, limit)
    if as_json:
        print_json([_plain(one) for one in found])
        return
    rows = [(one.seq, one.key, one.type, one.attempts, instant(one.parked_at_ms), one.reason) for one in found]
    table(("seq", "key", "type", "attempts", "parked at", "reason"), rows)


@_app.command("replay")
def replay(
    destination: Annotated[str | None, typer.Argument(help="The destination's name; none: all of them.")] = None,
    data: Data = None,
    *,
    key: Annotated[list[str] | None, typer.Option("--key", help="Only the delivery with this key; repeatable.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Send parked deliveries again, under their old keys. A running platform does it at once, a stopped one later.

    Examples:

        onefold deliveries replay crm

        onefold deliveries replay crm --key 00-2a0001-1 --yes
    """
    with _store(data, readonly=False) as store, opening.catalog(data) as catalog:
        if destination:
            names = [defined(catalog, known(store, destination))]
        else:  # What is parked of those that are no longer defined stays, since nothing can be sent there.
            counts = store.counts()
            names = [one.name for one in catalog.definitions().destinations if one.name in counts]
        if not yes and not as_json:
            agree(f"Send what is parked for {destination or 'all destinations'} again?")
        meant = sum(store.replay(name, key or None) for name in names)
    if as_json:
        print_json({"destination": destination, "asked_for": meant})
    else:
        out.print(f"[green]✓[/] {meant:,} parked deliveries will be sent again")


@contextmanager
def _store(data: Path | None, *, readonly: bool = True) -> Iterator[Deliveries]:
    store = opening.place(settings(data)).deliveries(readonly=readonly)
    try:
        yield store
    finally:
        store.close()


def _plain(one: Delivery) -> dict[str, Any]:
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    return {**fields, "profile": position.show(one.profile) if one.profile else "", "payload": msgspec.Raw(one.payload)}


def _held_up_by(store: Deliveries, name: str, standing: Standing) -> str:
    return f"answered 410 Gone: {standing.off}" if standing.off else delivery_waits(store, name)


def _columns(standing: Standing) -> tuple[int, ...]:
    counts = standing.counts
    expired = counts.get(EXPIRED, 0)
    filtered = _sum(counts, "filtered.") - expired
    return counts.get("delivered", 0), counts.get("pending", 0), _sum(counts, "parked."), filtered, expired


def _sum(counts: dict[str, int], prefix: str) -> int:
    return sum(n for name, n in counts.items() if name.startswith(prefix))
