"""The data directory: made once, whole, for its owner only; refused when it is somebody else's or newer."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onefold.errors import NotFoundError, SettingsError, StorageError, TooNew
from onefold.storage.directory import FORMAT, DataDirectory


def test_makes_an_absent_directory_for_its_owner_only(tmp_path: Path) -> None:
    """An absent directory is made, parents too, readable by its owner alone, with its format inside."""
    directory = DataDirectory.open(tmp_path / "a" / "b")
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert (directory.path / "FORMAT").read_text() == f"{FORMAT}\n"
    assert [file.name for file in directory.path.iterdir()] == ["FORMAT"]


def test_opens_again_without_writing(tmp_path: Path) -> None:
    """Opening what is there changes nothing."""
    DataDirectory.open(tmp_path / "data")
    before = (tmp_path / "data" / "FORMAT").stat()
    DataDirectory.open(tmp_path / "data", create=False)
    assert (tmp_path / "data" / "FORMAT").stat().st_ino == before.st_ino


def test_refuses_a_newer_format(tmp_path: Path) -> None:
    """A directory of a newer Onefold is refused with a message that says what to do."""
    directory = DataDirectory.open(tmp_path / "data")
    (directory.path / "FORMAT").write_text(f"{FORMAT + 1}\n")
    with pytest.raises(TooNew, match="upgrade"):
        DataDirectory.open(tmp_path / "data")


@pytest.mark.parametrize("text", ["", "one", "0", "\x00", "-1"])
def test_refuses_a_damaged_format(tmp_path: Path, text: str) -> None:
    """A FORMAT file that holds no version is an error, never taken for an older or empty directory."""
    directory = DataDirectory.open(tmp_path / "data")
    (directory.path / "FORMAT").write_text(text)
    with pytest.raises(StorageError, match="damaged"):
        DataDirectory.open(tmp_path / "data")


def test_refuses_a_directory_with_other_files(tmp_path: Path) -> None:
    """A directory that holds something else is not taken over."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SettingsError, match=r"thesis\.txt"):
        DataDirectory.open(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_settings_file_may_be_there_first(tmp_path: Path) -> None:
    """`onefold.toml` may lie in the directory before it is one, and a half-made one is made again."""
    (tmp_path / "onefold.toml").write_text("port = 8090\n")
    (tmp_path / "FORMAT.123").write_text("")
    assert DataDirectory.open(tmp_path).path == tmp_path


def test_absent_is_an_error_for_those_who_only_read(tmp_path: Path) -> None:
    """Without `create`, nothing is made."""
    with pytest.raises(NotFoundError):
        DataDirectory.open(tmp_path / "data", create=False)
    assert not (tmp_path / "data").exists()


def test_a_file_in_the_way_is_a_storage_error(tmp_path: Path) -> None:
    """What the file system refuses is reported as ours, with the path."""
    (tmp_path / "data").write_text("")
    with pytest.raises(StorageError, match="data"):
        DataDirectory.open(tmp_path / "data")


def test_many_may_make_it_at_once(tmp_path: Path) -> None:
    """Processes that start together all get the same directory."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(DataDirectory.open, [tmp_path / "data"] * 32))
    assert {directory.path for directory in found} == {tmp_path / "data"}


def test_knows_its_paths(tmp_path: Path) -> None:
    """The layout is as ARCHITECTURE says."""
    directory = DataDirectory.open(tmp_path / "data")
    assert directory.partition(3) == tmp_path / "data" / "log" / "3"
    assert directory.state.name == "state"
    assert directory.deliveries.name == "deliveries"
    assert directory.catalog.name == "catalog.sqlite"
    assert directory.free_bytes() > 0
