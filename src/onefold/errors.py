"""Every error that Onefold raises: whose fault it is, whether a retry can help, and a stable code.

Bad data is not here: it is returned as a `Rejection`, counted and kept. Our own mistakes are assertions.
"""

from typing import ClassVar, Literal


class OnefoldError(Exception):
    """The root. `code` is stable and appears in API answers and `--json` output."""

    code: ClassVar[str] = "internal"
    fault: ClassVar[Literal["caller", "operator", "world"]] = "world"
    retry: ClassVar[bool] = False


class SettingsError(OnefoldError):
    """A setting or a command-line option is wrong."""

    code = "settings"
    fault = "operator"


class DefinitionError(OnefoldError):
    """A workspace file is wrong; `problems` lists every mistake found, each with file, line and suggestion."""

    code = "definitions"
    fault = "caller"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class NotInSql(OnefoldError):
    """A definition uses what cannot be computed over history yet; the message names the construct."""

    code = "not_in_sql"
    fault = "caller"

    def __init__(self, construct: str) -> None:
        super().__init__(f"cannot be computed over history yet: {construct}")
        self.construct = construct


class NotFoundError(OnefoldError):
    """What was asked for does not exist."""

    code = "not_found"
    fault = "caller"


class NotInHistory(NotFoundError):
    """What was asked for of the past is not kept: history is off, begins later, has let go of it, or is behind."""

    code = "not_in_history"


class Unauthorized(OnefoldError):
    """No key, an unknown key, or a key without the scope that the call needs."""

    code = "unauthorized"
    fault = "caller"


class Forbidden(Unauthorized):
    """The key is known, but does not have the scope that the call needs."""

    code = "forbidden"


class InvalidRequest(OnefoldError):
    """A call's path, parameters or body are wrong; the message says which and, where it can, what was meant."""

    code = "invalid_request"
    fault = "caller"


class PreconditionFailed(OnefoldError):
    """What the call was made from is not the latest (any more): read it again, and make the change to that."""

    code = "precondition_failed"
    fault = "caller"


class AlreadyExists(OnefoldError):
    """Something of this name is there already."""

    code = "already_exists"
    fault = "caller"


class StorageError(OnefoldError):
    """A log, state or catalog could not be read or written."""

    code = "storage"


class Conflict(StorageError):
    """Another worker changed what this batch had loaded: load again and run the step again."""

    code = "conflict"
    retry = True


class Unavailable(StorageError):
    """An engine on another machine cannot be reached or is too slow; what was under way may have happened."""

    code = "unavailable"
    retry = True


class Refused(StorageError):
    """An engine on another machine does not let this process in, or cannot be trusted: password, certificate, rights.

    The message says which, and what to do. The same call succeeds once that is done, and not before.
    """

    code = "refused"
    fault = "operator"


class Superseded(StorageError):
    """Another process has taken over what this one kept: what it still has in memory is old, and was not written."""

    code = "superseded"


class StorageFull(StorageError):
    """The disk is full, or so nearly full that writing was refused. Nothing was lost; free space and go on."""

    code = "storage_full"
    fault = "operator"
    retry = True


class Damaged(StorageError):
    """Stored bytes do not match their checksum. Nothing is served from them; restore from a backup."""

    code = "damaged"


class TooNew(StorageError):
    """The data directory was written by a newer Onefold; this one would damage it and writes nothing."""

    code = "too_new"
    fault = "operator"


class Overloaded(OnefoldError):
    """Past its limits; refused, not lost. `retry_after_s` says when to come back."""

    code = "overloaded"
    retry = True

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotFolded(OnefoldError):
    """What a receipt names is in the log and not folded yet, though it was waited for. It is not lost: ask again."""

    code = "not_folded"
    retry = True


class Cancelled(OnefoldError):
    """A long question was ended before it was answered, by whoever asked it or by its time limit."""

    code = "cancelled"
    retry = True

    def __init__(self, why: str) -> None:
        super().__init__(f"ended without an answer: {why}")


class ForbiddenAddress(OnefoldError):
    """A destination resolves to a private, loopback or link-local address that the workspace does not allow."""

    code = "forbidden_address"
    fault = "operator"
