"""How a route is declared: method, path, scope and summary; its refusals are added to the OpenAPI document here."""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Annotated, Any
from urllib.parse import unquote

from litestar import delete, get, post, put
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, Parameter

from onefold.errors import InvalidRequest
from onefold.language.suggest import nearest
from onefold.limits import PAGE_DEFAULT, PAGE_MAX
from onefold.server.auth import PUBLIC
from onefold.server.refusals import Problem

Limit = Annotated[int, Parameter(ge=1, le=PAGE_MAX, description="How many at most.")]
After = Annotated[str, Parameter(max_length=128, description="`next` of the page before; empty for the first page.")]
DEFAULT_LIMIT = PAGE_DEFAULT

Declare = Callable[[Callable[..., Any]], HTTPRouteHandler]
"""What the functions below return: a decorator that makes a route."""

_OURS = {"engines", "tail", "arrivals", "keyring", "request", "data"}
_REASONS = {
    400: "A parameter or the body is wrong.",
    401: "No secret key, or an unknown one.",
    403: "The key does not have the scope.",
    404: "There is no such thing.",
    409: "There is one of this name already, or it has changed meanwhile.",
    412: "What the call was made from is not the latest (any more).",
    503: "Storage cannot be read or written just now.",
    504: "What the receipt names was not folded in time; it is not lost, ask again.",
}
_FOUND, _MADE, _GONE = "What was asked for.", "Done; the answer says what came of it.", "Done."


def read(path: str, scope: str, summary: str, *, missing: bool = False, **options: Any) -> Declare:
    """`@get` of a route that answers JSON; `missing`: it may answer 404."""
    return get(path, **_declared(scope, summary, [404] if missing else [], {"response_description": _FOUND} | options))


def write(path: str, scope: str, summary: str, *, refusals: Iterable[int] = (), **options: Any) -> Declare:
    """`@post` of a route that changes something."""
    return post(path, **_declared(scope, summary, [400, *refusals], {"response_description": _MADE} | options))


def replace(path: str, scope: str, summary: str, *, refusals: Iterable[int] = (), **options: Any) -> Declare:
    """`@put` of a route that puts one thing in the place of another."""
    return put(path, **_declared(scope, summary, [400, *refusals], {"response_description": _MADE} | options))


def remove(path: str, scope: str, summary: str, *, refusals: Iterable[int] = (), **options: Any) -> Declare:
    """`@delete` of a route that removes something and answers 204."""
    return delete(path, **_declared(scope, summary, [404, *refusals], {"response_description": _GONE} | options))


async def known_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Litestar's guard against misspelt query parameters. Raises `InvalidRequest` naming the nearest."""
    if connection.scope["query_string"] and isinstance(handler, HTTPRouteHandler):
        named = handler.parsed_fn_signature.parameters.items()
        taken = {name for name, field in named if not isinstance(field.kwarg_definition, HeaderParameter)}
        taken -= _OURS | set(connection.path_params)
        check_parameters(connection.query_params.keys(), taken)


def check_parameters(given: Iterable[str], taken: Iterable[str]) -> None:
    """Raise `InvalidRequest` where a parameter was given that is not taken, naming the nearest that is."""
    taken = sorted(taken)
    for name in given:
        if name not in taken:
            raise InvalidRequest(f"unknown parameter {name!r}{hint(name, taken)}")


def hint(name: str, candidates: Iterable[str]) -> str:
    """What was most likely meant, as the end of a message."""
    candidates = sorted(candidates)
    if near := nearest(name, candidates):
        return f"; did you mean {near!r}?"
    return f"; there are: {', '.join(candidates)}" if candidates else "; this route takes none"


def choices(text: str, candidates: Iterable[str], what: str) -> frozenset[str]:
    """The names in a comma-separated text. Raises `InvalidRequest` for one that is not a candidate."""
    candidates = sorted(candidates)
    chosen = frozenset(name.strip() for name in text.split(",") if name.strip())
    for name in sorted(chosen):
        if name not in candidates:
            raise InvalidRequest(f"{what}: unknown {name!r}{hint(name, candidates)}")
    return chosen


def segment(raw: str) -> str:
    """A path parameter as it was meant: the app routes by the raw path, so that %2F in a value parts nothing."""
    return unquote(raw, errors="replace")


def page_after(text: str, *bounds: int) -> tuple[int, ...]:
    """The numbers that `page_next` hid, each below its bound. Raises `InvalidRequest` where they are none."""
    try:
        raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raw = b""
    found = tuple(int.from_bytes(raw[at : at + 8], "big") for at in range(0, len(raw), 8))
    if len(raw) != 8 * len(bounds) or any(n >= bound for n, bound in zip(found, bounds, strict=True)):
        raise InvalidRequest("after: this is not the `next` of a page of this route")
    return found


def page_next(*numbers: int) -> str:
    """An opaque text for `after`."""
    return base64.b32encode(b"".join(n.to_bytes(8, "big") for n in numbers)).decode().rstrip("=").lower()


def _declared(scope: str, summary: str, refusals: list[int], options: dict[str, Any]) -> dict[str, Any]:
    public = scope == PUBLIC
    statuses = {400, *refusals} if public else {400, 401, 403, 503, *refusals}
    responses = {status: refusal(status) for status in sorted(statuses)} | options.pop("responses", {})
    note = "" if public else f"Needs the scope {' and '.join(f'`{each}`' for each in scope.split())}."
    description = "\n\n".join(filter(None, (options.pop("description", ""), note)))
    declared: dict[str, Any] = {"scope": scope, "summary": summary, "responses": responses, "description": description}
    if public:
        declared["security"] = []
    return declared | options


def refusal(status: int) -> ResponseSpec:
    """How the OpenAPI document tells of a refusal."""
    return ResponseSpec(Problem, description=_REASONS[status], generate_examples=False)
