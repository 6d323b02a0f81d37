"""The data directory: where everything of one workspace lies, and which version of the layout it has.

`FORMAT` is written last when a directory is made and read first when it is opened, so a directory that was
made halfway is made again, and one from a newer Onefold is refused before anything in it is touched.
"""

import os
import shutil
import tempfile
from pathlib import Path

from onefold.errors import NotFoundError, SettingsError, StorageError, TooNew

FORMAT = 1
"""The layout that this code reads and writes."""

_FORMAT_FILE = "FORMAT"
_HARMLESS = {"onefold.toml", "lost+found", ".gitignore"}
"""What may lie in a directory that is to become a data directory."""


class DataDirectory:
    """Paths within one data directory. `open` is the way to get one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log"
        self.state = path / "state"
        self.deliveries = path / "deliveries"
        self.catalog = path / "catalog.sqlite"
        self.history = path / "history"
        self.proposals = path / "proposals.sqlite"

    @classmethod
    def open(cls, path: Path, *, create: bool = True) -> "DataDirectory":
        """The directory at `path`, made first if it is absent or empty and `create` says so.

        Safe to call from many processes at once. Raises `NotFoundError` (absent, not `create`), `TooNew` (a newer
        layout), `SettingsError` (other files lie there), `StorageError` (the file system refuses, `FORMAT` is damaged).
        """
        directory = cls(path)
        try:
            if (found := _read_format(path)) is None:
                if not create:
                    raise NotFoundError(f"{path} is not a data directory; `onefold serve --data {path}` makes one")
                _make(path)
                found = _read_format(path)
        except OSError as error:
            raise StorageError(f"data directory {path}: {error.strerror or error}") from error
        if found is None or found < 1:
            raise StorageError(f"{path / _FORMAT_FILE} is damaged: expected a version, such as {FORMAT}")
        if found > FORMAT:
            raise TooNew(f"{path} has format {found}; this Onefold knows formats up to {FORMAT}: please upgrade it")
        return directory

    def partition(self, partition: int) -> Path:
        """Where the log keeps this partition."""
        return self.log / str(partition)

    def free_bytes(self) -> int:
        """Free disk for this user. Raises `StorageError` where the file system does not say."""
        try:
            return shutil.disk_usage(self.path).free
        except OSError as error:
            raise StorageError(f"data directory {self.path}: {error.strerror or error}") from error


def _read_format(path: Path) -> int | None:
    try:
        text = (path / _FORMAT_FILE).read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isascii() and text.isdecimal() else 0


def _make(path: Path) -> None:
    path.mkdir(parents=True, mode=0o700, exist_ok=True)
    for other in path.iterdir():
        # Another process may be making the same directory right now; its files are ours.
        ours = other.name.startswith(_FORMAT_FILE) or (path / _FORMAT_FILE).exists()
        if not ours and other.name not in _HARMLESS:
            raise SettingsError(
                f"{path} holds other files ({other.name}, …) and no {_FORMAT_FILE}; use an empty directory"
            )
    path.chmod(0o700)
    descriptor, draft = tempfile.mkstemp(prefix=f"{_FORMAT_FILE}.", dir=path)
    try:
        os.write(descriptor, f"{FORMAT}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    Path(draft).replace(path / _FORMAT_FILE)
    _sync(path)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
