"""The store of deliveries: rows, payloads, counts and the queue of replays."""

from pathlib import Path

import pytest

from onefold.errors import NotFoundError, StorageError
from onefold.model.delivery import Delivery, Progress, sequence
from onefold.storage.deliveries_lmdb import DeliveryStore
from onefold.testing.clock import ManualClock


def row(commit: int, state: str = "retrying", payload: bytes = b"{}", parked_at_ms: int = 0) -> Delivery:
    """A delivery of that commit."""
    seq = sequence(commit, 0)
    return Delivery(seq, f"k{commit}", 7, "event", payload, state, 1, 5, 500, "http_500", parked_at_ms)  # type: ignore[arg-type]


def progress(low_water: int, pending: list[Delivery], parked: list[Delivery], name: str = "crm") -> Progress:
    """New rows of a destination."""
    counts = {"taken": low_water, "delivered": low_water}
    return Progress(name, low_water, counts, {r.seq: r for r in pending}, {r.seq: r for r in parked})


def test_what_is_written_is_there_after_reopening(tmp_path: Path) -> None:
    """Standing, rows in order, payloads; parked rows ahead of the low-water mark stand out."""
    store = DeliveryStore(tmp_path / "d")
    store.write([progress(5, [row(9), row(3)], [row(4, "parked"), row(8, "parked")])], 6, ["crm"])
    store.close()
    store = DeliveryStore(tmp_path / "d")
    kept = store.load("crm")
    assert kept.standing
    assert (kept.standing.low_water, kept.standing.following) == (5, True)
    assert [r.key for r in kept.pending] == ["k3", "k9"]
    assert [r.key for r in kept.parked_ahead] == ["k8"]
    assert [r.payload for r in store.pending("crm", 1)] == [b"{}"]
    assert [r.key for r in store.parked("crm", row(4).seq, 10)] == ["k8"]
    assert store.load("other").standing is None
    store.close()


def test_a_payload_lives_as_long_as_its_row(tmp_path: Path) -> None:
    """It outlasts updates and parking without being written again, and goes with the last row."""
    store = DeliveryStore(tmp_path / "d")
    seq = row(3).seq
    store.write([progress(1, [row(3, payload=b"body")], [])], 1, ["crm"])
    store.write([progress(1, [row(3, payload=b"")], [])], 1, ["crm"])
    parks = progress(1, [], [row(3, "parked", payload=b"")])
    parks.pending[seq] = None
    store.write([parks], 1, ["crm"])
    assert store.payload("crm", seq) == b"body"
    assert (store.pending("crm", 9), [r.payload for r in store.parked("crm", 0, 9)]) == ([], [b"body"])
    goes = progress(1, [], [])
    goes.parked[seq] = None
    store.write([goes], 1, ["crm"])
    with pytest.raises(AssertionError):
        store.payload("crm", seq)
    store.close()


def test_parked_rows_of_long_ago(tmp_path: Path) -> None:
    """The oldest come first, as far as they were parked before an instant."""
    store = DeliveryStore(tmp_path / "d")
    rows = [row(n, "parked", parked_at_ms=n * 100) for n in (1, 2, 3, 4)]
    store.write([progress(9, [], rows), progress(9, [], [row(1, "parked")], "crm2")], 9, ["crm"])
    assert [r.key for r in store.parked_before("crm", 300, 9)] == ["k1", "k2"]
    assert [r.key for r in store.parked_before("crm", 999, 3)] == ["k1", "k2", "k3"]
    assert store.parked_before("none", 999, 3) == []
    store.close()


def test_destinations_do_not_mix(tmp_path: Path) -> None:
    """Rows of `a` and `ab` stay apart though one name begins with the other."""
    store = DeliveryStore(tmp_path / "d")
    store.write([progress(1, [row(3)], [], "a"), progress(1, [row(4)], [], "ab")], 1, ["a", "ab"])
    assert [[r.key for r in store.pending(name, 9)] for name in ("a", "ab")] == [["k3"], ["k4"]]
    store.close()


def test_low_water_is_that_of_the_slowest_that_is_followed(tmp_path: Path) -> None:
    """Destinations that are not followed hold up nothing; those to come begin after the mark."""
    store = DeliveryStore(tmp_path / "d")
    assert store.low_water() == 0
    both = [progress(5, [], [], "a"), progress(8, [], [], "b")]
    store.write(both, 9, ["a", "b"])
    assert (store.low_water(), store.lag(10)) == (5, {"a": 5, "b": 2})
    store.write([], 9, ["b"])
    assert (store.low_water(), store.lag(10)) == (8, {"b": 2})
    store.write([], 9, [])
    assert store.low_water() == 9
    store.close()


def test_replays_are_a_queue(tmp_path: Path) -> None:
    """A request says how many it means, waits until it is finished, and does not mean what parks later."""
    clock = ManualClock(1000)
    store = DeliveryStore(tmp_path / "d", clock=clock)
    parked = [row(n, "parked", parked_at_ms=n * 300) for n in (1, 2, 3, 4)]
    store.write([progress(9, [], parked)], 9, ["crm"])
    assert store.replay("crm", None) == 3
    assert store.replay(None, ["k2", "k4", "none"]) == 1
    first, second = store.requests().items()
    assert [r.key for r in store.parked_rows("crm", first[1], -1, 2)] == ["k1", "k2"]
    assert [r.key for r in store.parked_rows("crm", first[1], parked[1].seq, 2)] == ["k3"]
    store.finish(first[0])
    assert store.requests() == dict([second])
    with pytest.raises(NotFoundError):
        store.replay("unknown", None)
    store.close()


def test_readers_may_come_before_the_store(tmp_path: Path) -> None:
    """A read-only store is empty until the role has made one, and cannot write."""
    reader = DeliveryStore(tmp_path / "d", readonly=True)
    assert (reader.counts(), reader.low_water(), reader.pending("crm", 5)) == ({}, 0, [])
    store = DeliveryStore(tmp_path / "d2")
    store.write([progress(5, [], [])], 7, ["crm"])
    store.close()
    reader = DeliveryStore(tmp_path / "d2", readonly=True)
    assert reader.counts() == {"crm": {"taken": 5, "delivered": 5}}
    with pytest.raises(StorageError):
        reader.replay("crm", None)
    reader.close()
