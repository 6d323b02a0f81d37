"""What peers are measured with is what it says: seeded events of one size, and an answer that is checked."""

import sys
from pathlib import Path

import msgspec
import pytest

from bench import peers
from bench.peers import EVENT_BYTES, LATE_MAX_MS, Failed, Peer, lines
from onefold.language.values import milliseconds
from onefold.model.event import Event


def test_every_line_is_an_event_of_the_published_size() -> None:
    """500 bytes, the same for the same seed."""
    found = list(lines(2_000))
    assert {len(line) for line in found} == {EVENT_BYTES}
    assert found == list(lines(2_000))
    assert {msgspec.json.decode(line, type=Event).event for line in found} == {"Product Viewed"}


def test_events_are_in_order_but_for_some() -> None:
    """One in twenty comes late, and none by more than ten minutes."""
    happened = [msgspec.json.decode(line, type=Event).timestamp for line in lines(5_000)]
    latest, lateness = 0, []
    for at_ms in map(milliseconds, filter(None, happened)):
        lateness.append(max(0, latest - at_ms))
        latest = max(latest, at_ms)
    assert 0 < max(lateness) <= LATE_MAX_MS
    assert sum(each > 0 for each in lateness) / len(happened) == pytest.approx(peers.LATE_SHARE, abs=0.02)


def test_our_own_job_counts_every_event(tmp_path: Path) -> None:
    """In all, and of the last hour before the end."""
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines(1_000)))
    cost = peers.run(peers.ONEFOLD, Path(sys.executable), file, 1_000)
    assert cost.said["lifetime"] == 1_000
    assert 0 < cost.said["hours"] < 1_000
    assert cost.cpu_s > 0


def test_a_job_that_fails_is_no_result(tmp_path: Path) -> None:
    """Whoever does not run here is left out with what it said."""
    with pytest.raises(Failed, match="nobody_counts"):
        peers.run(Peer("nobody", (), ""), Path(sys.executable), tmp_path / "none.jsonl", 1)
