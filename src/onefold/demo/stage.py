"""A performance of the demo before those who watch: a live screen on a terminal, lines anywhere else."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from rich.console import Console
from rich.live import Live

from onefold.demo import screen
from onefold.demo.measures import Measures
from onefold.demo.play import Play
from onefold.errors import OnefoldError

FRAMES_PER_S = 4
LINE_EVERY_S = 2.0
_LOOK_S = 0.25
_HINT = "Ctrl-C ends it with a summary"
_ENDING = "nothing more is sent; waiting until the platform has dealt with all of it"

Beside = Callable[[asyncio.Event], Awaitable[None]]
"""What goes on while the play goes on; it ends soon after the event is set, and may set it to end the play."""


class Spectators(NamedTuple):
    """Who watches."""

    out: Console
    """Gets the live screen, where it is a terminal."""
    err: Console
    """Gets lines otherwise."""
    where: str
    """The platform, for the title."""
    quiet: bool = False
    """No screen, also on a terminal."""


async def perform(play: Play, measures: Measures, spectators: Spectators, beside: Beside | None = None) -> None:
    """Play until the time is over or SIGINT or SIGTERM comes, and show it; what goes wrong is `measures.trouble`."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    lines = spectators.quiet or not spectators.out.is_terminal
    showing = asyncio.create_task(_lines(measures, spectators) if lines else _show(measures, spectators, stopped))
    try:
        await _play(play, stopped, beside)
    except OnefoldError as error:
        measures.trouble = str(error)
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing


def retell(measures: Measures, console: Console) -> None:
    """Leave on the terminal what happened when the live screen is gone."""
    for text in _happenings(measures, 0, 0):
        console.print(text, markup=False, soft_wrap=False)


async def _play(play: Play, stopped: asyncio.Event, beside: Beside | None) -> None:
    """The play, with what goes on beside it; whichever fails ends both."""
    aside = asyncio.ensure_future(_aside(stopped, beside))
    try:
        await play.run(stopped)
    finally:
        stopped.set()
        await aside


async def _aside(stopped: asyncio.Event, beside: Beside | None) -> None:
    try:
        if beside is not None:
            await beside(stopped)
    except BaseException:
        stopped.set()
        raise


async def _show(measures: Measures, spectators: Spectators, stopped: asyncio.Event) -> None:
    with Live(console=spectators.out, refresh_per_second=FRAMES_PER_S, transient=True) as live:
        while True:
            hint = _ENDING if stopped.is_set() else _HINT
            live.update(screen.fitting(measures, spectators.where, hint, spectators.out))
            await asyncio.sleep(1 / FRAMES_PER_S)


async def _lines(measures: Measures, spectators: Spectators) -> None:
    chapters = incidents = 0
    since_s = 0.0
    while True:
        await asyncio.sleep(_LOOK_S)
        since_s += _LOOK_S
        for text in _happenings(measures, chapters, incidents):
            spectators.err.print(text, markup=False)
        chapters, incidents = len(measures.story), len(measures.incidents)
        if since_s >= LINE_EVERY_S:
            spectators.err.print(screen.line(measures), markup=False)
            since_s = 0.0


def _happenings(measures: Measures, chapters: int, incidents: int) -> list[str]:
    """The story after so many chapters, and what was done after so many incidents, as lines in order of time."""
    told = [(one.at_s, screen.chapter_line(measures.heroine, one)) for one in measures.story[chapters:]]
    done = [(one.at_s, screen.incident_line(one)) for one in measures.incidents[incidents:]]
    return [text for _, text in sorted(told + done)]
