"""Delta tables on a disk that may lose its power: what a commit wrote is synced, and a torn last commit is undone.

The library writes a table's files without syncing them. `sync` does, commit by commit, so that after a loss of power
only the last commit can be torn: its own file, or a data file that it names. Nobody has relied on it yet, as its writer
had not been told that it was done; so `mend` takes it back, and it is written again.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from onefold.errors import Damaged

_MAGIC = b"PAR1"
"""A Parquet file begins and ends with it."""
_LAST_CHECKPOINT = "_last_checkpoint"
"""Names the newest summary of the log; without it the log is listed."""


class _Add(Struct):
    path: str
    size: int


class _Action(Struct):
    add: _Add | None = None


_decode_action = msgspec.json.Decoder(_Action).decode


def sync(table: Path, version: int) -> None:
    """Bring a commit and all that it added to the disk."""
    log = table / "_delta_log"
    commit = log / f"{version:020}.json"
    folders = {log, table}
    for add in _added(commit):
        file = table / unquote(add.path)
        _sync(file)
        folders |= {file.parent, file.parent.parent}
    for file in (commit, *log.glob(f"{version:020}.checkpoint*"), log / _LAST_CHECKPOINT):
        if file.exists():
            _sync(file)
    for folder in folders:
        _sync(folder)


def mend(table: Path) -> int | None:
    """Take back the last commit where it, or what it added, is not whole; its version, or None: it is whole.

    Only for who holds the table, before it is opened. Raises `Damaged` where that is the commit that made the table.
    """
    log = table / "_delta_log"
    commits = sorted(log.glob("[0-9]*.json"))
    if not commits:
        return None
    version, whole = int(commits[-1].stem), _whole(table, commits[-1])
    checkpoints = list(log.glob(f"{version:020}.checkpoint*"))
    torn = [file for file in checkpoints if not whole or not _is_parquet(file)]
    if whole and not torn:
        return None
    if version == 0:
        raise Damaged(f"{commits[-1]} is damaged")
    for file in (*torn, log / _LAST_CHECKPOINT, *(() if whole else commits[-1:])):
        file.unlink(missing_ok=True)
    _sync(log)
    return None if whole else version


def _whole(table: Path, commit: Path) -> bool:
    try:
        return all(_is_parquet(table / unquote(add.path), add.size) for add in _added(commit))
    except (OSError, msgspec.MsgspecError):
        return False


def _is_parquet(file: Path, size_bytes: int | None = None) -> bool:
    with file.open("rb") as stream:
        begins = stream.read(len(_MAGIC)) == _MAGIC
        size = stream.seek(0, os.SEEK_END)
        if not begins or size < 2 * len(_MAGIC) or size_bytes not in {None, size}:
            return False
        stream.seek(-len(_MAGIC), os.SEEK_END)
        return stream.read() == _MAGIC


def _added(commit: Path) -> Iterator[_Add]:
    text = commit.read_bytes()
    if not text:
        raise msgspec.DecodeError("an empty commit")
    for line in text.splitlines():
        if line and (add := _decode_action(line).add) is not None:
            yield add


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
