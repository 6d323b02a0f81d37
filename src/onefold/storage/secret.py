"""Passwords that settings name: themselves, or the file that holds them."""

from pathlib import Path

from onefold.errors import SettingsError

MAX_BYTES = 64 * 1024
"""Longer than any password, and than tokens that stand for one."""


def secret(name: str, value: str, file: str) -> str:
    """The setting `name`, or what the file that its kin `<name>_file` names holds, without the end of its line.

    Empty where neither is given. Raises `SettingsError`, which shows neither.
    """
    if not file:
        return value
    if value:
        raise SettingsError(f"`{name}` and `{name}_file` are both given: leave one out")
    try:
        with Path(file).open("rb") as opened:
            held = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"`{name}_file`: {file} cannot be read: {error.strerror}") from error
    try:
        found = held.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError(f"`{name}_file`: {file} holds no text") from None
    if not found or len(held) > MAX_BYTES or "\n" in found or "\0" in found:
        raise SettingsError(f"`{name}_file`: {file} holds no password: it must be one line that is not empty")
    return found
