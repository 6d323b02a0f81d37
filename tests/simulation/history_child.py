"""The role that writes history, in a hurry and until there is nothing more to write: to be killed on the way."""

from contextlib import closing
from multiprocessing.synchronize import Event
from pathlib import Path

from onefold.clock import SystemClock
from onefold.runtime.history import writing
from onefold.settings import Settings
from onefold.storage.place import Place


def write(data: Path, begun: Event) -> None:
    """Write the history of this directory; `begun` is set once the role holds it."""
    place = Place.open(Settings(data=data))
    with (
        closing(place.state(readonly=True)) as state,
        closing(place.log_reader()) as log,
        closing(place.history()) as history,
    ):
        while not history.try_hold():
            pass
        writing.EVENTS_MAX = 7
        historian = writing.Historian(writing.Sources(state, log), history, SystemClock(), 0.001)
        begun.set()
        more = True
        while more:
            more = historian.turn()
            more = history.tidy() or more
        historian.stop()
