"""Deliveries: how many went out, which wait, which were parked, another try for those, and new signing secrets."""

from collections.abc import Iterable
from typing import Annotated

from litestar import Router
from litestar.params import JSONBody, Parameter
from msgspec import Meta, Struct

from onefold.errors import NotFoundError, StorageError
from onefold.language.suggest import nearest
from onefold.limits import SIGNING_OLD_VALID_MAX_S, SIGNING_OLD_VALID_S
from onefold.model import position
from onefold.model.delivery import Delivery
from onefold.ports import Catalog, Deliveries
from onefold.server import instants
from onefold.server.engines import Engines, Given
from onefold.server.instants import Instant
from onefold.server.route import DEFAULT_LIMIT, After, Limit, page_after, page_next, read, segment, write

_SEQ_BOUND = 1 << 63


class DestinationAnswer(Struct):
    """One destination: `taken` = `delivered` + `pending` + all `parked.…` + all `filtered.…`.

    `off` is the URL that answered 410 Gone, after which nothing is sent there until a replay; else empty.
    """

    destination: str
    counts: dict[str, int]
    off: str


class DestinationsAnswer(Struct):
    """Every destination that anything was ever due to."""

    destinations: list[DestinationAnswer]


class DeliveryAnswer(Struct):
    """A delivery that waits or is parked. `key` is its idempotency key, the receiver's `webhook-id`."""

    key: str
    type: str
    profile: str
    state: str
    attempts: int
    status: int
    reason: str
    due_at: Instant | None
    parked_at: Instant | None
    payload: str


class PendingAnswer(Struct):
    """The oldest deliveries that wait for a retry, or behind one."""

    destination: str
    deliveries: list[DeliveryAnswer]


class ParkedAnswer(Struct):
    """A page of parked deliveries, oldest first; `next` is empty on the last one."""

    destination: str
    deliveries: list[DeliveryAnswer]
    next: str


class Replay(Struct, forbid_unknown_fields=True):
    """Which parked deliveries to send again: those with these keys; without keys, all."""

    keys: list[str] | None = None


class Rotation(Struct, forbid_unknown_fields=True):
    """For how long the former signing secrets stay in force, in seconds; 0 ends them at once."""

    old_valid_s: Annotated[int, Meta(ge=0, le=SIGNING_OLD_VALID_MAX_S)] = SIGNING_OLD_VALID_S


class RotatedSecret(Struct):
    """A new signing secret. Until `former_until` webhooks bear a signature of the former one too; null: no more."""

    destination: str
    signing_secret: str
    former_until: Instant | None


class Replayed(Struct):
    """How many will be sent again, soon."""

    deliveries: int


Name = Annotated[str, Parameter(description="The destination's name.")]


@read("/", "deliveries:read", "Destinations, with their deliveries counted", sync_to_thread=True)
def get_destinations(engines: Given) -> DestinationsAnswer:
    """Answer with the counts of every destination."""
    found = sorted(_store(engines).standings().items())
    return DestinationsAnswer([DestinationAnswer(name, dict(one.counts), one.off) for name, one in found])


@read("/{name:str}/pending", "deliveries:read", "Deliveries that wait", missing=True, sync_to_thread=True)
def get_pending(engines: Given, name: Name, limit: Limit = DEFAULT_LIMIT) -> PendingAnswer:
    """Answer with the oldest pending deliveries of a destination."""
    destination = _known(engines, name)
    found = _store(engines).pending(destination, limit)
    return PendingAnswer(destination, [_answer(delivery) for delivery in found])


@read("/{name:str}/parked", "deliveries:read", "Deliveries that gave up", missing=True, sync_to_thread=True)
def get_parked(engines: Given, name: Name, limit: Limit = DEFAULT_LIMIT, after: After = "") -> ParkedAnswer:
    """Answer with a page of the parked deliveries of a destination."""
    destination = _known(engines, name)
    (last,) = page_after(after, _SEQ_BOUND) if after else (0,)
    found = _store(engines).parked(destination, last, limit)
    rest = page_next(found[-1].seq) if len(found) == limit else ""
    return ParkedAnswer(destination, [_answer(delivery) for delivery in found], rest)


@write(
    "/{name:str}/replay",
    "deliveries:write",
    "Send parked deliveries again",
    refusals=[404],
    sync_to_thread=True,
    status_code=202,
)
def replay(engines: Given, name: Name, data: JSONBody[Replay]) -> Replayed:
    """Ask for parked deliveries to be sent again; the deliver role does it soon."""
    destination = defined(engines.catalog, _known(engines, name))
    return Replayed(_store(engines).replay(destination, data.keys))


@write("/{name:str}/signing", "keys:write", "A new signing secret", refusals=[404], sync_to_thread=True)
def rotate_signing_secret(engines: Given, name: Name, data: JSONBody[Rotation]) -> RotatedSecret:
    """Give a destination a new signing secret; the deliver role signs with it within a second."""
    catalog, wanted = engines.catalog, defined(engines.catalog, segment(name))
    secret = catalog.rotate_signing_secret(wanted, data.old_valid_s)
    former = catalog.signing_secrets(wanted)[1:]
    return RotatedSecret(wanted, secret, instants.show(former[0].until_ms) if former else None)


router = Router(
    "/v1/deliveries",
    route_handlers=[get_destinations, get_pending, get_parked, replay, rotate_signing_secret],
    tags=["deliveries"],
)


def _store(engines: Engines) -> Deliveries:
    if engines.deliveries is None:
        raise StorageError("the delivery store is not open in this process")
    return engines.deliveries


def known(store: Deliveries, name: str) -> str:
    """The name, where anything was ever due to such a destination. Else `NotFoundError`, which says the nearest."""
    return _among(name, store.counts(), "nothing was ever due to a destination")


def defined(catalog: Catalog, name: str) -> str:
    """The name, where such a destination is defined, so that it can be sent to. Else `NotFoundError`, as `known`."""
    names = [one.name for one in catalog.definitions().destinations]
    return _among(name, names, "there is no definition of a destination")


def _among(name: str, names: Iterable[str], what: str) -> str:
    names = sorted(names)
    if name in names:
        return name
    near = nearest(name, names)
    rest = f"did you mean {near!r}?" if near else f"there are: {', '.join(names) or 'none yet'}"
    raise NotFoundError(f"{what} {name!r}; {rest}")


def _known(engines: Engines, raw_name: str) -> str:
    return known(_store(engines), segment(raw_name))


def _answer(delivery: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer(
        delivery.key,
        delivery.type,
        position.show(delivery.profile) if delivery.profile else "",
        delivery.state,
        delivery.attempts,
        delivery.status,
        delivery.reason,
        instants.show(delivery.due_ms) if delivery.due_ms else None,
        instants.show(delivery.parked_at_ms) if delivery.parked_at_ms else None,
        delivery.payload.decode(errors="replace"),
    )
