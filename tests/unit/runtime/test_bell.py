"""Who follows is told of news, and otherwise left in peace."""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from onefold.runtime import bell
from onefold.runtime.bell import Bell, Rest, Signs
from onefold.storage.embedded import file_watch
from onefold.storage.embedded.state import LmdbState
from onefold.testing.conformance.state import admitted, commit
from onefold.testing.memory.state import MemoryState

linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@linux
def test_a_commit_ends_the_rest(tmp_path: Path) -> None:
    """A follower that has found nothing for long hears of each commit without waiting for its next look."""
    state = LmdbState(tmp_path)

    async def follow() -> list[int]:
        loop, after = asyncio.get_running_loop(), 0
        heard: list[int] = []
        with contextlib.closing(Bell(state, seldom_s=3_600.0)) as rested:
            for _ in range(3):
                writing = loop.run_in_executor(
                    None, lambda: commit(state, offset=len(heard) + 1, effects=[admitted(1)])
                )
                while not (found := state.commits(after, 1)):
                    await rested.rest(found=False)
                after = found[0].number
                heard.append(after)
                await writing
        return heard

    assert asyncio.run(asyncio.wait_for(follow(), 60)) == [1, 2, 3]
    state.close()


def test_without_signs_the_clock_decides() -> None:
    """Where an engine gives no signs, looks follow each other all the same."""

    async def follow() -> None:
        with contextlib.closing(Bell(MemoryState(), seldom_s=3_600.0)) as quiet:
            for _ in range(5):
                await quiet.rest(found=False)

    asyncio.run(asyncio.wait_for(follow(), 60))


@linux
def test_a_write_ends_the_rest_of_a_thread(tmp_path: Path) -> None:
    """However long a rest may last, a write to any of the files ends it, and so does whoever stops the loop."""
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file in files:
        file.touch()
    with contextlib.closing(Rest()) as rest:
        rest.hear(file_watch.written(*files[:2]), file_watch.written(files[2]))
        told: list[Callable[[], object]] = [*(partial(file.write_text, "news") for file in files), rest.wake]
        for news in told:
            rest._seldom_s = 3_600.0
            teller = threading.Timer(0.01, news)
            teller.start()
            rest.rest(3_600.0)
            teller.join()


def test_a_rest_without_a_sign_is_no_longer_than_asked_for(tmp_path: Path) -> None:
    """What is due sooner than a sign ends it, also where it is overdue."""
    file = tmp_path / "file"
    file.touch()
    with contextlib.closing(Rest()) as rest:
        rest.hear(file_watch.written(file))
        rest._seldom_s = 3_600.0
        for due_s in (0.002, 0.0, -60.0):
            rest.rest(due_s)


def test_a_rest_without_a_watch_is_short() -> None:
    """Where one of the watches is missing only looking tells, every few milliseconds."""
    with contextlib.closing(Rest()) as rest:
        rest.hear(None)
        assert rest._seldom_s == bell.UNTOLD_S
        rest.rest(3_600.0)


@linux
def test_signs_say_when_it_is_time_to_look(tmp_path: Path) -> None:
    """A write makes the next look due once, a failed look the next one, and without any it comes seldom."""
    file = tmp_path / "file"
    file.touch()
    signs = Signs(file_watch.written(file), 0.25)
    assert signs.complete
    assert [signs.due(0.0), signs.due(1.0)] == [True, False]
    writer = threading.Thread(target=file.write_text, args=("news",))
    writer.start()
    writer.join()
    assert [signs.due(1.1), signs.due(1.2)] == [True, False]
    signs.again()
    assert [signs.due(1.3), signs.due(1.4), signs.due(1.3 + bell.UNASKED_S)] == [True, False, True]
    signs.close()
    signs.close()


def test_without_signs_looks_are_regular(tmp_path: Path) -> None:
    """A file that cannot be watched is looked at every so often."""
    signs = Signs(file_watch.written(tmp_path / "nothing"), 0.25)
    assert not signs.complete
    assert [signs.due(0.0), signs.due(0.2), signs.due(0.25), signs.due(0.5)] == [True, False, True, True]


def test_a_pause_is_not_ended_by_news() -> None:
    """Who waits for an engine to come back waits as long as it means to, however much arrives; `wake` ends it."""
    news, sender = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    with contextlib.closing(Rest()) as rest:
        rest.hear(news)
        os.write(sender, b"\0")
        began_s = time.monotonic()
        rest.pause(0.05)
        assert time.monotonic() - began_s >= 0.05
        rest.wake()
        began_s = time.monotonic()
        rest.pause(60.0)
        assert time.monotonic() - began_s < 30
    os.close(sender)
