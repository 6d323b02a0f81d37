"""A consistent copy of history's tables, taken while they are written: one snapshot of each, and what leads to it.

Files of a snapshot stay for hours after they were replaced, so that none goes while it is copied.
"""

import shutil
from pathlib import Path

from onefold.storage import history_standing
from onefold.storage.delta_table import Table, translated
from onefold.storage.history_delta import EVENTS, MERGES
from onefold.storage.history_standing import Standing


def exists(source: Path) -> bool:
    """Whether anything was written there yet."""
    return (source / "merges" / "_delta_log").is_dir()


def copy(source: Path, target: Path) -> None:
    """Copy both tables, the merges last: they may be ahead of the events, but not behind. Raises `StorageError`."""
    with translated(str(source)):
        events = Table(str(source / "events"), EVENTS, {}, create=False)
        _copy_snapshot(events, source / "events", target / "events")
        merges = Table(str(source / "merges"), MERGES, {}, create=False)
        _copy_snapshot(merges, source / "merges", target / "merges")
        history_standing.write(target, Standing(events.cursor))


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
