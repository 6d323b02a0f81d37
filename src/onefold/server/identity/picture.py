"""The routes of a profile's identity graph: as JSON, and as a picture."""

from typing import Any

from litestar import Response, Router
from litestar.openapi.datastructures import ResponseSpec

from onefold.server.engines import Given
from onefold.server.identity import graph_svg
from onefold.server.identity.graph import GraphAnswer, graph
from onefold.server.people.profiles import Name
from onefold.server.route import read, segment

SCOPE = "profiles:read events:read"


@read(
    "/{name:str}/graph",
    SCOPE,
    "A profile's identity graph",
    missing=True,
    sync_to_thread=True,
    description="Its identifiers, the links that tie them, and what was refused, each with rule, event and time.",
)
def get_graph(engines: Given, name: Name) -> GraphAnswer:
    """Answer with the graph."""
    return graph(engines, segment(name))


_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
    "content-disposition": "inline; filename=identity.svg",
}
"""Whoever opens the picture as a page gets a picture: nothing in it runs, and nothing is loaded."""


@read(
    "/{name:str}/graph.svg",
    SCOPE,
    "The same as a picture",
    missing=True,
    sync_to_thread=True,
    media_type="image/svg+xml",
    responses={200: ResponseSpec(str, description="SVG.", media_type="image/svg+xml", generate_examples=False)},
)
def get_picture(engines: Given, name: Name) -> Response[Any]:
    """Answer with the picture."""
    return Response(graph_svg.drawn(graph(engines, segment(name))), media_type="image/svg+xml", headers=_HEADERS)


router = Router("/v1/profiles", route_handlers=[get_graph, get_picture], tags=["profiles"])
