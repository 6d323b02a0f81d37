"""`onefold backup`: a consistent copy of a data directory, taken while the platform runs, and the proof that it opens.

The parts are copied one after the other, each as of one commit of its own, in an order that makes them fit: first
history and the deliveries, whose cursors must not be ahead of the effects; then the state; then the log, which so
covers the state's cursors; then the catalog. What happened in between is folded, delivered and kept again from the
copy, under the same keys. A copy is itself a data directory. Its manifest, written last, holds the checksum of every
file: without one it is no backup.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct

from onefold import __version__
from onefold.clock import Clock
from onefold.errors import Damaged, NotFoundError, SettingsError, StorageError
from onefold.storage.directory import FORMAT, DataDirectory
from onefold.storage.embedded.catalog import SqliteCatalog
from onefold.storage.embedded.lmdb_env import Environment, Options, translated
from onefold.storage.embedded.log import LmdbLogReader
from onefold.storage.embedded.proposals import SqliteProposals
from onefold.storage.embedded.state import LmdbState

MANIFEST = "MANIFEST.json"
_FORMAT_FILE = "FORMAT"
_LMDB_FILE = "data.mdb"
_PIECE_BYTES = 1 << 20

Progress = Callable[[str], None]
"""Told the name of each part before its work begins."""


class Part(Struct, frozen=True):
    """One file of a backup."""

    path: str
    size_bytes: int
    sha256: str


class Manifest(Struct, frozen=True):
    """What a backup holds, and when it was taken."""

    onefold: str
    format: int
    created_at_ms: int
    files: list[Part]


class Opened(Struct, frozen=True):
    """What was found in a backup that was restored and opened."""

    profiles: int
    records: int
    behind_records: int
    """Records of the log that the state of the backup has still to fold."""
    definitions_version: int


def take(source: DataDirectory, target: Path, clock: Clock, progress: Progress) -> Manifest:
    """Copy `source` to `target`, which must be absent or empty; on return everything is on the disk.

    Raises `SettingsError` where `target` holds files, `StorageError`, `StorageFull`.
    """
    if target.exists() and any(target.iterdir()):
        raise SettingsError(f"{target} is not empty; a backup needs a directory of its own")
    copy = DataDirectory(target)
    with translated(target):
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        _copy_history(source, copy, progress)
    for name, environment in _environments(source):
        progress(name)
        _copy_environment(environment, target / environment.relative_to(source.path))
    for file in source.log.glob("*"):
        if file.is_file() and not file.name.startswith("."):
            shutil.copy2(file, copy.log / file.name)
    progress("catalog")
    catalog = SqliteCatalog(source.catalog, clock)
    try:
        catalog.backup(copy.catalog)
    finally:
        catalog.close()
    if source.proposals.exists():
        progress("proposals")
        with closing(SqliteProposals(source.proposals, clock)) as proposals:
            proposals.backup(copy.proposals)
    progress("manifest")
    (target / _FORMAT_FILE).write_text(f"{FORMAT}\n")
    manifest = Manifest(__version__, FORMAT, clock.now_ms(), [_describe(target, file) for file in _files(target)])
    _write_synced(target / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def verify(backup: Path, clock: Clock, progress: Progress) -> Opened:
    """Compare every checksum, restore into a scratch directory, open it there. Raises `Damaged`, `NotFoundError`."""
    manifest = _read_manifest(backup)
    progress("checksums")
    for part in manifest.files:
        path = backup / part.path
        if not path.is_file() or _describe(backup, path) != part:
            raise Damaged(f"{path} is not what its manifest says; take another backup")
    progress("restore")
    with tempfile.TemporaryDirectory(prefix="onefold-verify-", dir=backup.parent) as scratch:
        restored = Path(scratch) / "data"
        shutil.copytree(backup, restored)
        progress("open")
        return _open(DataDirectory.open(restored, create=False), clock)


def _copy_history(source: DataDirectory, copy: DataDirectory, progress: Progress) -> None:
    """Where it lies in the directory; tables elsewhere are for whoever keeps that store to copy."""
    if source.history.is_dir():
        from onefold.storage.history import copying  # lazily: loads DuckDB and the table library

        if copying.exists(source.history):
            progress("history")
            copying.copy(source.history, copy.history)


def _history_cursor(directory: DataDirectory) -> int:
    if not directory.history.is_dir():
        return 0
    from onefold.storage.history.delta import DeltaHistory  # lazily: loads DuckDB and the table library

    with closing(DeltaHistory(directory.history, readonly=True)) as history:
        return history.cursor()


def _environments(source: DataDirectory) -> Iterator[tuple[str, Path]]:
    logs = sorted(path.parent for path in source.log.rglob(_LMDB_FILE)) if source.log.is_dir() else []
    for name, paths in (("deliveries", [source.deliveries]), ("state", [source.state]), ("log", logs)):
        for path in paths:
            if (path / _LMDB_FILE).is_file():
                yield name if path.name == name else f"{name} {path.name}", path


def _copy_environment(path: Path, target: Path) -> None:
    environment = Environment(path, Options(names=(), readonly=True))
    try:
        environment.copy(target)
    finally:
        environment.close()


def _open(directory: DataDirectory, clock: Clock) -> Opened:
    catalog = SqliteCatalog(directory.catalog, clock)
    log = LmdbLogReader(directory.log)
    state = LmdbState(directory.state)
    try:
        ends = {partition: log.ends(partition) for partition in range(log.partitions)}
        behind = {partition: end - state.cursor(partition).offset for partition, (_, end) in ends.items()}
        if ahead := [partition for partition, records in behind.items() if records < 0]:
            raise Damaged(f"the state is ahead of the log in partitions {ahead}")
        if _history_cursor(directory) > state.newest():
            raise Damaged("history is ahead of the state")
        records = sum(end - first for first, end in ends.values())
        version = catalog.definitions().version
        return Opened(state.counts().get("profiles", 0), records, sum(behind.values()), version)
    finally:
        state.close()
        log.close()
        catalog.close()


def _read_manifest(backup: Path) -> Manifest:
    try:
        return msgspec.json.decode((backup / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise NotFoundError(f"{backup} has no {MANIFEST}: no backup, or one that was not finished") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise StorageError(f"{backup / MANIFEST}: {error}") from error


def _files(target: Path) -> list[Path]:
    return sorted(path for path in target.rglob("*") if path.is_file() and path.name != "lock.mdb")


def _describe(top: Path, file: Path) -> Part:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
    return Part(file.relative_to(top).as_posix(), file.stat().st_size, digest.hexdigest())


def _write_synced(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for each in (path, path.parent / _FORMAT_FILE, path.parent):
        _sync(each)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
