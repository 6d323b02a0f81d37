"""The OpenAPI document against the API: generated requests, and every answer is as the document says."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from litestar.routes import HTTPRoute
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from onefold.server.app import ROUTERS
from tests.unit.server import fakes

logging.getLogger("httpx").setLevel(logging.WARNING)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
STREAMS = ("/v1/events/tail", "/v1/profiles/{name}/changes")
OPERATIONS = sorted(
    (route.path_format, str(method))
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, HTTPRoute) and route.path_format not in STREAMS
    for method in route.methods
    if method != "OPTIONS"
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app."""
    with fakes.client(tmp_path_factory.mktemp("schema")) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: fakes.Client) -> Any:
    """Load the document as anybody can."""
    return schemathesis.openapi.from_dict(client.get("/openapi.json").json())


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_are_as_documented(
    client: fakes.Client, document: Any, path: str, method: str, mode: GenerationMode
) -> None:
    """Whatever is asked, right or wrong, the answer's status, type and body are in the document, and never 500."""

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=document[path][method].as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        case.validate_response(schemathesis.Response.from_any(_send(client, case)), checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # a route without parameters cannot be asked wrongly
        ask()


def test_the_document_has_every_route(document: Any) -> None:
    """The operations above are those of the document, but for the streams, which never end."""
    found = {(one.ok().path, one.ok().method.upper()) for one in document.get_all_operations()}
    assert found == {*OPERATIONS, *((path, "GET") for path in STREAMS)}


def _send(client: fakes.Client, case: schemathesis.Case[Any]) -> Any:
    arguments = case.as_transport_kwargs(base_url="http://testserver.local")
    headers = {k: v for k, v in dict(arguments.get("headers") or {}).items() if k.lower() != "authorization"}
    sent: dict[str, Any] = {
        name: value for name, value in arguments.items() if name in {"method", "url", "params", "json"}
    }
    if isinstance(data := arguments.get("data"), str | bytes):
        sent["content"] = data
    return client.request(**sent, headers=headers)
