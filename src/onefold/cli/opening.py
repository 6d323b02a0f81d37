"""How verbs open a data directory: for reading, beside a platform that runs or without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onefold.cli.options import settings
from onefold.clock import SystemClock
from onefold.errors import NotFoundError, StorageError
from onefold.server.engines import Engines
from onefold.storage.catalog import Catalog
from onefold.storage.directory import DataDirectory
from onefold.storage.log_lmdb import LmdbLogReader
from onefold.storage.state_lmdb import LmdbState


def directory(data: Path) -> DataDirectory:
    """An existing data directory. Raises `StorageError` with what to do where there is none."""
    try:
        return DataDirectory.open(data, create=False)
    except NotFoundError as error:
        raise StorageError(str(error)) from error


@contextmanager
def catalog(data: Path | None) -> Iterator[Catalog]:
    """The catalog of a data directory, for reading and writing."""
    opened = Catalog(directory(settings(data).data).catalog, SystemClock())
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def engines(data: Path | None) -> Iterator[Engines]:
    """Everything in a data directory, opened for reading."""
    chosen = settings(data)
    place = directory(chosen.data)
    with catalog(chosen.data) as names:
        log = LmdbLogReader(place.log)
        state = LmdbState(place.state, readonly=True)
        try:
            yield Engines(chosen, SystemClock(), place, names, log, state)
        finally:
            state.close()
            log.close()
