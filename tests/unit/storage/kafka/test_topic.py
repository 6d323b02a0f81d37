"""Trimming on Kafka, by answers that a broker gives now and then: nothing goes that is not surely old."""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

import pytest

from onefold.storage.kafka.client import KafkaOptions, Link
from onefold.storage.kafka.topic import trim

UNTIL_MS = 1_000


class Found(NamedTuple):
    """What a broker says of an offset that was asked for."""

    offset: int
    timestamp: int


class Trimmed(NamedTuple):
    """What a broker says after it removed records."""

    low_watermark: int


class Broker:
    """An administrator's view of a partition whose leader says this of it."""

    def __init__(self, young: int, newest_ms: int) -> None:
        self._young, self._newest_ms = young, newest_ms
        self.cuts: list[int] = []

    def list_offsets(self, asked: Mapping[Any, Any], **_: object) -> dict[Any, "Future[Found]"]:
        """Where the first record is that is young enough to stay, or when the newest one was written."""
        ((place, spec),) = asked.items()
        newest = type(spec).__name__ == "MaxTimestampSpec"
        return {place: _done(Found(9, self._newest_ms) if newest else Found(self._young, -1))}

    def delete_records(self, places: list[Any], **_: object) -> dict[Any, "Future[Trimmed]"]:
        """Remove what lies before."""
        self.cuts += [place.offset for place in places]
        return {places[0]: _done(Trimmed(places[0].offset))}


def _done(answer: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(answer)
    return future


@pytest.mark.parametrize(
    ("young", "newest_ms", "cuts"),
    [
        (7, 5_000, [7]),  # The first of those that are young enough is after what is done with.
        (3, 5_000, [3]),
        (-1, 900, [8]),  # All are old.
        (-1, 1_000, []),  # One is not, whatever was said of it.
        (-1, -1, []),  # A leader that has just begun finds nothing at all.
    ],
)
def test_only_what_is_surely_old_goes(young: int, newest_ms: int, cuts: list[int]) -> None:
    """Of what everybody is done with, up to offset 8."""
    broker: Any = Broker(young, newest_ms)
    removed = trim(Link(KafkaOptions("127.0.0.1:9")), broker, (0, 0, 8), UNTIL_MS)
    assert broker.cuts == cuts
    assert removed == sum(cuts)
