"""A delivery: one payload on its way to one destination, and the states that it goes through."""

from typing import Literal

import msgspec
from msgspec import Struct

State = Literal["waiting", "sending", "retrying", "delivered", "parked", "expired"]
Event = Literal["attempt", "success", "failure", "give_up", "switch_off", "replay", "expire"]

STATES: tuple[State, ...] = ("waiting", "sending", "retrying", "delivered", "parked", "expired")
EVENTS: tuple[Event, ...] = ("attempt", "success", "failure", "give_up", "switch_off", "replay", "expire")

TRANSITIONS: dict[tuple[State, Event], State] = {
    ("waiting", "attempt"): "sending",
    ("waiting", "switch_off"): "parked",
    ("waiting", "expire"): "expired",
    ("sending", "success"): "delivered",
    ("sending", "failure"): "retrying",
    ("sending", "give_up"): "parked",
    ("retrying", "attempt"): "sending",
    ("retrying", "switch_off"): "parked",
    ("retrying", "expire"): "expired",
    ("parked", "replay"): "retrying",
    ("parked", "expire"): "expired",
}
"""What may happen to a delivery; whatever is not here is our own mistake. `delivered` and `expired` are the ends."""

_INDEX_BITS = 24


class Delivery(Struct, array_like=True, gc=False):
    """`seq` orders the deliveries of a destination: commit number, then the effect's place in the commit."""

    seq: int
    key: str
    """The idempotency key: what the receiver sees as `webhook-id`, the same in every attempt."""
    profile: int
    """0: of no profile, in order with nothing."""
    type: str
    payload: bytes
    """The JSON body. Empty in memory where the store keeps it."""
    state: State = "waiting"
    attempts: int = 0
    due_ms: int = 0
    """Not before this instant; 0: at once."""
    status: int = 0
    """What the last attempt was answered; 0: nothing that is HTTP."""
    reason: str = ""
    """Why the last attempt failed."""
    parked_at_ms: int = 0
    since_ms: int = 0
    """It has waited since then: since its effect, or since it was last sent again. 0: an older version did not say."""

    @property
    def commit(self) -> int:
        """The number of the commit whose effect this is."""
        return commit_of(self.seq)

    @property
    def lane(self) -> int:
        """Deliveries of one lane go one after the other: those of one profile."""
        return self.profile or ~self.seq


class Request(Struct, array_like=True, frozen=True):
    """Somebody asked that parked deliveries be sent again; None: all. Later parked ones are not meant."""

    at_ms: int
    destination: str | None
    keys: frozenset[str] | None

    def asks_for(self, delivery: Delivery) -> bool:
        """Whether this parked delivery is one of those."""
        return delivery.parked_at_ms <= self.at_ms and (self.keys is None or delivery.key in self.keys)


class Progress(Struct):
    """What changed at one destination since the last one of these was written: all of it or nothing is kept."""

    destination: str
    low_water: int
    """Every effect of commits up to this one is filtered, delivered, or kept as pending or parked."""
    counts: dict[str, int]
    """Whole counts over those commits: taken = delivered + pending + sums of `parked.…` and `filtered.…`.

    What has expired is `filtered.expired`."""
    pending: dict[int, Delivery | None]
    """seq → what to keep as pending; None: no longer."""
    parked: dict[int, Delivery | None]
    """seq → what to keep as parked; None: no longer."""
    off: str = ""
    """The URL that answered 410 Gone: nothing is sent there any more. Empty: none did."""


class Standing(Struct, array_like=True):
    """Where a destination stands. `following`: it holds up the trimming of effects."""

    low_water: int = 0
    counts: dict[str, int] = {}
    off: str = ""
    following: bool = True


class Kept(Struct):
    """What the store knows of one destination, for the role to go on from. Rows come without payloads."""

    standing: Standing | None
    """None: never heard of."""
    pending: list[Delivery]
    parked_ahead: list[Delivery]
    """Parked deliveries of commits past the low-water mark."""


def sequence(commit: int, index: int) -> int:
    """The `seq` of the effect at this place in this commit."""
    assert 0 <= index < 1 << _INDEX_BITS
    return commit << _INDEX_BITS | index


def commit_of(seq: int) -> int:
    """The number of the commit in a `seq`."""
    return seq >> _INDEX_BITS


def move(delivery: Delivery, event: Event) -> None:
    """Let `event` happen to a delivery."""
    delivery.state = TRANSITIONS[delivery.state, event]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Delivery)

encode = _encoder.encode
"""A delivery as the store keeps it."""

decode = _decoder.decode
"""The delivery in these bytes."""
