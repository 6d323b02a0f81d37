"""Passwords in files."""

from pathlib import Path

import pytest

from onefold.errors import SettingsError
from onefold.storage.secret import MAX_BYTES, secret


@pytest.mark.parametrize(("held", "found"), [("pa ss\n", "pa ss"), ("päß\r\n", "päß"), ("x", "x")])
def test_a_file_holds_one_line(tmp_path: Path, held: str, found: str) -> None:
    """The end of the line is no part of the password; all else is."""
    file = tmp_path / "password"
    file.write_bytes(held.encode())
    assert secret("database_password", "", str(file)) == found


@pytest.mark.parametrize(
    "held", [b"", b"\n", b"two\nlines", b"nul\0", b"\xff", b"x" * (MAX_BYTES + 1)],
    ids=["empty", "only an end", "lines", "nul", "bytes", "long"],
)  # fmt: skip
def test_what_is_no_password_is_refused(tmp_path: Path, held: bytes) -> None:
    """The error names the setting and the file, and shows nothing of what is in it."""
    file = tmp_path / "password"
    file.write_bytes(held)
    with pytest.raises(SettingsError, match="`database_password_file`") as caught:
        secret("database_password", "", str(file))
    assert "two" not in str(caught.value)


def test_the_setting_itself_is_taken_without_a_file() -> None:
    """And nothing is empty."""
    assert secret("database_password", "x", "") == "x"
    assert secret("database_password", "", "") == ""
