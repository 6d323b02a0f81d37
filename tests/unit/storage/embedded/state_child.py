"""A process of its own that writes to or reads from a state: run as `python state_child.py WHAT PATH …`."""

import resource
import signal
import sys
from pathlib import Path

from onefold.errors import Conflict, StorageError, StorageFull
from onefold.model.changes import Cursor
from onefold.model.position import profile_id
from onefold.storage.embedded.state import LmdbState, Options
from onefold.testing.conformance.state import NOW_MS, changes, message

SHARED = [profile_id(0, n << 16) for n in range(5)]


def write(state: LmdbState, partition: int, until: int) -> None:
    """Add one to some of the shared profiles, commit by commit; say each commit that was acknowledged."""
    while (offset := state.cursor(partition).offset) < until:
        wanted = [SHARED[(offset + partition) % 5], SHARED[(offset * 3) % 5]]
        fingerprint = message(partition << 32 | offset)
        loaded = state.load((), wanted, [fingerprint])
        if loaded.seen or state.cursor(partition).offset != offset:
            raise AssertionError(f"{offset} is there already, the cursor is not")
        encoded = {p: str(int(loaded.profiles.get(p, b"0")) + 1).encode() for p in dict.fromkeys(wanted)}
        made = changes(partition, profiles=encoded, messages={fingerprint: NOW_MS}, counts={"added": len(encoded)},
                       cursor=Cursor(offset + 1, NOW_MS))  # fmt: skip
        try:
            state.commit([made], loaded, encoded)
        except Conflict:
            continue
        print(offset + 1, flush=True)  # noqa: T201 - to the test that started this process


def fill(state: LmdbState, limit_bytes: int) -> None:
    """Write until the files may not grow any more, show that nothing is lost, get room, and go on."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    done = 0
    while True:
        data = {profile_id(0, done << 16): b"x" * 50_000}
        made = changes(offset=done + 1, profiles=data, messages={message(done): NOW_MS})
        try:
            state.commit([made], state.load((), (), ()), data)
        except StorageFull:
            break
        done += 1
    for _ in range(3):
        try:
            state.commit([made], state.load((), (), ()), data)
        except StorageFull:
            continue
        raise AssertionError("there was room after all")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if len(state.profile_ids(0, -1, 1 << 20)) != done or state.cursor(0).offset != done:
        raise AssertionError("something was lost or half done")
    state.commit([made], state.load((), (), ()), data)
    if state.cursor(0).offset != done + 1 or len(state.load((), (), map(message, range(done + 1))).seen) != done + 1:
        raise AssertionError("the commit after the full disk is not whole")
    print(done, flush=True)  # noqa: T201 - as above


def grow(state: LmdbState, until: int) -> None:
    """Commit so many profiles of 50,000 bytes."""
    for offset in range(1, until + 1):
        data = {profile_id(0, offset << 16): b"x" * 50_000}
        state.commit([changes(offset=offset, profiles=data)], state.load((), (), ()), data)


def survive(state: LmdbState, until: int) -> None:
    """Commit, and try again what failed; say each commit, and each failure."""
    for offset in range(1, until + 1):
        data = {SHARED[offset % 5]: b"%d" % offset}
        made = changes(offset=offset, profiles=data, messages={message(offset): NOW_MS}, counts={"commits": 1})
        while True:
            try:
                state.commit([made], state.load((), (), ()), data)
            except StorageError as error:
                print(type(error).__name__, flush=True)  # noqa: T201 - as above
            else:
                break
        print(offset, flush=True)  # noqa: T201 - as above


def hold(state: LmdbState) -> None:
    """Begin to read, and never end."""
    items = state.items()
    next(items)
    print("reading", flush=True)  # noqa: T201 - as above
    signal.pause()


def main() -> None:
    """Do what the first argument says to the state at the second."""
    what, path, *numbers = sys.argv[1:]
    options = Options(map_bytes=1 << 20, move_messages=20)
    state = LmdbState(Path(path), readonly=what == "hold", options=options)
    {"write": write, "fill": fill, "hold": hold, "grow": grow, "survive": survive}[what](state, *map(int, numbers))  # type: ignore[operator]
    state.close()


if __name__ == "__main__":
    main()
