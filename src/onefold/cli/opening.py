"""How verbs open a data directory: for reading, beside a platform that runs or without one."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from onefold.cli.options import settings
from onefold.clock import SystemClock
from onefold.errors import NotFoundError, SettingsError, StorageError
from onefold.ports import Catalog
from onefold.runtime.identity.proposed import Proposed
from onefold.runtime.past.archive import Archive
from onefold.server.engines import Engines
from onefold.settings import Settings
from onefold.storage.directory import DataDirectory
from onefold.storage.place import Place


def directory(chosen: Settings) -> DataDirectory:
    """The data directory that holds everything. Raises `StorageError` with what to do where there is none.

    Raises `SettingsError` where the settings name other engines.
    """
    if chosen.kafka or chosen.database:
        raise SettingsError(
            "this command works on a data directory, and the settings name Kafka or PostgreSQL: docs/scaling.md says "
            "what to do instead"
        )
    found = place(chosen).directory
    assert found is not None
    return found


def place(chosen: Settings) -> Place:
    """The place of these settings, which is there already. Raises `StorageError` with what to do where it is not."""
    try:
        return Place.open(chosen, create=False)
    except NotFoundError as error:
        raise StorageError(str(error)) from error


@contextmanager
def catalog(data: Path | None) -> Iterator[Catalog]:
    """The catalog of a data directory, for reading and writing."""
    opened = place(settings(data)).catalog()
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def engines(data: Path | None) -> Iterator[Engines]:
    """Everything in a data directory, opened for reading."""
    chosen = settings(data)
    opened = place(chosen)
    with (
        closing(opened.catalog()) as names,
        closing(opened.log_reader()) as log,
        closing(opened.state(readonly=True)) as state,
        closing(Archive(opened)) as archive,
        closing(Proposed(opened, SystemClock())) as proposed,
    ):
        yield Engines(chosen, SystemClock(), opened, names, log, state, history=archive, proposals=proposed)
