"""A consistent copy of history's tables, taken while they are written: one snapshot of each, and what leads to it.

Files of a snapshot stay for hours after they were replaced, so that none goes while it is copied.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from onefold.errors import NotFoundError
from onefold.storage.history import audience_moves, name_pairs, recast_events, standing
from onefold.storage.history.delta import EVENTS, MERGES
from onefold.storage.history.standing import Standing
from onefold.storage.history.table import Shape, Table, translated


def exists(source: Path) -> bool:
    """Whether anything was written there yet."""
    return (source / "merges" / "_delta_log").is_dir()


def copy(source: Path, target: Path) -> None:
    """Copy all tables, the events first: the others may be ahead of them, but not behind. Raises `StorageError`."""
    with translated(str(source)):
        cursor = _copy_table("events", EVENTS, source, target)
        _copy_table("merges", MERGES, source, target)
        with suppress(NotFoundError):
            _copy_table("recasts", recast_events.SHAPE, source, target)
        with suppress(NotFoundError):  # An older Onefold has written this, and nobody since.
            _copy_table("moves", audience_moves.SHAPE, source, target)
        with suppress(NotFoundError):
            _copy_table("names", name_pairs.SHAPE, source, target)
        standing.write(target, Standing(cursor))


def _copy_table(name: str, shape: Shape, source: Path, target: Path) -> int:
    """Copy one snapshot; the cursor that is in it."""
    table = Table(str(source / name), shape, {}, create=False)
    _copy_snapshot(table, source / name, target / name)
    return table.cursor


def _copy_snapshot(table: Table, source: Path, target: Path) -> None:
    for uri in table.uris():
        file = Path(uri)
        copied = target / file.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy2(file, copied)
    log = source / "_delta_log"
    (target / "_delta_log").mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in _leading_to(log, table.version):
        shutil.copy2(file, target / "_delta_log" / file.name)


def _leading_to(log: Path, version: int) -> list[Path]:
    """The newest summary of the table's log up to this version, and the commits from there on."""
    summed = [n for file in log.glob("[0-9]*.checkpoint*.parquet") if (n := _version(file)) <= version]
    since = max(summed, default=0)
    checkpoint = list(log.glob(f"{since:020}.checkpoint*.parquet")) if summed else []
    return checkpoint + [file for file in log.glob("[0-9]*.json") if since <= _version(file) <= version]


def _version(file: Path) -> int:
    return int(file.name.partition(".")[0])
