"""Exit codes that scripts can trust, the same for every verb."""

from onefold.errors import (
    Conflict,
    ForbiddenAddress,
    InvalidRequest,
    OnefoldError,
    Overloaded,
    SettingsError,
    StorageError,
)

OK = 0
PROBLEM = 1
"""The command worked and found something wrong: a mistake in a file, a missing profile, digests that differ."""
USAGE = 2
"""The command line or a setting is wrong."""
UNREACHABLE = 3
"""Something could not be opened or reached: a data directory, a port, the disk, the platform."""
INTERRUPTED = 130

MEANINGS = {
    OK: "done, nothing wrong",
    PROBLEM: "done, and something is wrong: a mistake in a file, no such profile, digests that differ",
    USAGE: "the command line or a setting is wrong",
    UNREACHABLE: "something could not be opened or reached: a data directory, a port, the disk",
    INTERRUPTED: "interrupted by Ctrl-C",
}


def code_of(error: OnefoldError | OSError) -> int:
    """The exit code that an error ends a command with."""
    if isinstance(error, SettingsError | InvalidRequest):
        return USAGE
    if isinstance(error, StorageError | Conflict | ForbiddenAddress | Overloaded | OSError):
        return UNREACHABLE
    return PROBLEM
