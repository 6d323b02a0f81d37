"""How far history is written, as one small file beside its tables: who asks needs no library that reads tables.

The file is replaced as a whole, and only after what it says is on the disk: no loss of power takes that back.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from onefold.errors import StorageError

_FILE = "standing.json"


class Standing(Struct, frozen=True):
    """What history has for good."""

    cursor: int = 0
    """The state's commit up to which all is there."""


def read(directory: Path) -> Standing:
    """What was said last; all zero before anything was. Raises `StorageError` where the file cannot be read."""
    try:
        return msgspec.json.decode((directory / _FILE).read_bytes(), type=Standing)
    except FileNotFoundError:
        return Standing()
    except (OSError, msgspec.MsgspecError) as error:
        raise StorageError(f"{directory / _FILE}: {error}") from error


def write(directory: Path, standing: Standing) -> None:
    """Say this from now on."""
    draft = directory / f"{_FILE}.new"
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(standing))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(directory / _FILE)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
