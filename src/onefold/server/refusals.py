"""How the API says no: one shape for every error, with the stable codes of `errors.py`."""

import traceback
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Struct

from onefold import errors
from onefold.runtime.defining.workspace import WorkspaceError

_log = structlog.get_logger()

_STATUS: tuple[tuple[type[errors.OnefoldError], int], ...] = (
    (errors.Forbidden, 403),
    (errors.Unauthorized, 401),
    (errors.NotFoundError, 404),
    (errors.AlreadyExists, 409),
    (errors.Conflict, 409),
    (errors.PreconditionFailed, 412),
    (errors.InvalidRequest, 400),
    (errors.DefinitionError, 400),
    (errors.NotInSql, 400),
    (errors.StorageFull, 507),
    (errors.StorageError, 503),
    (errors.Overloaded, 503),
    (errors.NotFolded, 504),
    (errors.Cancelled, 503),
)
"""The first that fits counts; what is not here is our own mistake: 500."""

_HTTP_CODES = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
}


class Mistake(Struct):
    """One mistake in definitions: where it is, such as `audiences.buyers.expression`, and what was probably meant.

    `line` and `column` count from 1 in that value; `text` is the line.
    """

    at: str
    line: int
    column: int
    length: int
    code: str
    message: str
    suggestion: str
    text: str


class Problem(Struct, omit_defaults=True):
    """Why a call was refused. `code` is stable; `message` is for people; `problems` are of definitions."""

    code: str
    message: str
    problems: list[Mistake] = []


class Refusal(Struct):
    """A problem with its HTTP status and headers."""

    status: int
    problem: Problem
    headers: dict[str, str] = {}


def of(error: Exception) -> Refusal:
    """What to answer to an error. Mistakes of our own are logged, and not shown."""
    if isinstance(error, errors.OnefoldError):
        return _ours(error)
    if isinstance(error, RecursionError):
        return Refusal(400, Problem("invalid_request", "the body is nested too deeply"))
    if isinstance(error, HTTPException) and error.status_code < 500:
        code = _HTTP_CODES.get(error.status_code, "invalid_request")
        headers = {k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"}
        return Refusal(error.status_code, Problem(code, _detail(error)), headers)
    # As text, because a renderer that shows local variables would write secret keys into the log.
    _log.error("request failed", trace="".join(traceback.format_exception(error)))
    return Refusal(500, Problem("internal", "the server made a mistake; it is in its log"))


def answer(_request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Litestar's exception handler."""
    refusal = of(error)
    return Response(refusal.problem, status_code=refusal.status, headers=refusal.headers, media_type="application/json")


def _ours(error: errors.OnefoldError) -> Refusal:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = {}
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="onefold", Basic realm="onefold"'
    if error.retry:
        headers["retry-after"] = str(getattr(error, "retry_after_s", 1))
    if status >= 500:
        _log.warning("request refused", code=error.code, reason=str(error))
    return Refusal(status, Problem(error.code, str(error), _mistakes(error)), headers)


def _mistakes(error: errors.OnefoldError) -> list[Mistake]:
    found = error.found if isinstance(error, WorkspaceError) else []
    return [Mistake(p.file, p.line, p.column, p.length, p.code, p.message, p.suggestion, p.text) for p in found]


def _detail(error: HTTPException) -> str:
    """Litestar's message; for a parameter or body that does not fit, which one and why."""
    if isinstance(error, ValidationException) and isinstance(error.extra, list) and error.extra:
        parts = [f"{item.get('key', 'body')}: {item['message']}" for item in error.extra if isinstance(item, dict)]
        if parts:
            return "; ".join(parts)
    return error.detail
