"""What an ordeal puts into force, and what it leaves behind for the reckoning."""

from typing import Any

from msgspec import Struct

from onefold.settings import Settings
from tests.e2e.crowd import Tally

TRAITS = {
    "orders": 'count("Order Completed")',
    "revenue": 'sum("Order Completed", properties.revenue)',
    "largest": 'max("Order Completed", properties.revenue)',
    "favourite": 'most_frequent("*", properties.category)',
    "categories": 'unique("*", properties.category)',
    "first_category": 'first("*", properties.category)',
    "last_category": 'last("*", properties.category)',
    "orders_2s": 'count("Order Completed", within="2s")',
}
AUDIENCES = {
    "buyers": "orders > 0",
    "pros": 'traits.plan == "pro"',
    "busy": "orders_2s >= 2",
    "silent": 'last_seen < ago("3s")',
}
LATER_AUDIENCES = {"loyal": "orders >= 3 and revenue > 30"}
"""Defined in the midst of it, over traits that were there from the beginning."""
EVENT = "Order Completed"
EFFECTS = ("created", "merged")
DESTINATION = "crm"


class Kill(Struct):
    """Who was killed, and when; `time.monotonic()`."""

    victim: str
    at_s: float


class Hook(Struct):
    """A webhook that the receiver has answered with 2xx."""

    key: str
    payload: dict[str, Any]
    at_s: float


class Evidence(Struct):
    """What an ordeal leaves behind, beside the platform's data."""

    settings: Settings
    """Where that lies."""
    tally: Tally
    kills: list[Kill] = []
    hooks: list[Hook] = []
    failed_hooks: int = 0
    starts: int = 1
    orphans_s: list[float] = []
    """For how long each orphan outlived its supervisor, or its pause."""
    stop_code: int = -1
    replay: dict[str, Any] = {}
    doctor: list[dict[str, Any]] = []
    doctor_beside: list[dict[str, Any]] = []
    """What `onefold doctor` said while the platform was still running."""
    stderr: list[str] = []
