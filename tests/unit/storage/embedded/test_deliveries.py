"""The store of deliveries in a directory: what the port's suite cannot say of files."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from onefold.errors import StorageError, Superseded
from onefold.storage.embedded.deliveries import DeliveryStore
from onefold.testing.conformance.deliveries import progress

HOLDER = """
import signal, sys
from pathlib import Path
from onefold.storage.embedded.deliveries import DeliveryStore
assert DeliveryStore(Path(sys.argv[1])).try_hold()
print("held", flush=True)
signal.pause()
"""


def test_readers_may_come_before_the_store(tmp_path: Path) -> None:
    """A read-only store is empty until the role has made one, and cannot write."""
    reader = DeliveryStore(tmp_path / "d", readonly=True)
    assert (reader.counts(), reader.low_water(), reader.pending("crm", 5)) == ({}, 0, [])
    with closing(DeliveryStore(tmp_path / "d2")) as store:
        store.write([progress(5, [], [])], 7, ["crm"])
    with closing(DeliveryStore(tmp_path / "d2", readonly=True)) as reader:
        assert reader.counts() == {"crm": {"taken": 5, "delivered": 5}}
        for write in (lambda: reader.replay("crm", None), reader.try_hold, lambda: reader.write([], 1, [])):
            with pytest.raises(StorageError, match="for reading only"):
                write()


def test_a_killed_process_lets_go_of_the_book(tmp_path: Path) -> None:
    """Nobody takes the book from a process that lives, and its end is at once the end of its hold."""
    with (
        closing(DeliveryStore(tmp_path / "d")) as store,
        subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "d")], stdout=subprocess.PIPE) as child,
    ):
        assert child.stdout
        assert child.stdout.readline() == b"held\n"
        assert not store.try_hold()
        with pytest.raises(Superseded):
            store.write([], 1, [])
        child.kill()
        child.wait(60)
        assert store.try_hold()
        store.write([], 1, [])
