"""An event that was not admitted, with the reason, until it is fixed and replayed."""

from msgspec import Struct


class Quarantined(Struct, array_like=True):
    """`body` is the event as it came, as text."""

    partition: int
    position: int
    source: str
    at_ms: int
    reason: str
    body: str
