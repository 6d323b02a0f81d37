"""The pages for people."""

import re
from pathlib import Path
from typing import Any

from onefold.server import pages
from tests.tidy.source import ROOT
from tests.unit.server import fakes

DOCUMENT: dict[str, Any] = {
    "info": {"title": "An API", "version": "1", "description": "Send `Bearer sk_…` & <nothing> else."},
    "paths": {
        "/v1/things": {
            "get": {
                "tags": ["things"],
                "description": "Needs the scope `things:read`.",
                "parameters": [{"name": "limit", "schema": {"type": "integer", "minimum": 1.0, "maximum": 1000.0}}],
                "responses": {"200": {"description": "Fine"}},
            }
        }
    },
    "components": {"schemas": {}},
}


def test_the_reference_reads_well() -> None:
    """Code is set as code, bounds are whole, and a command can be pasted as it is."""
    page = pages.reference(DOCUMENT, "http://127.0.0.1:8090").decode()
    assert "<code>Bearer sk_…</code> &amp; &lt;nothing&gt; else." in page
    assert "<code>things:read</code>" in page
    assert "≥ 1, ≤ 1000" in page
    assert "http://127.0.0.1:8090/v1/things" in page


def test_every_route_is_in_the_docs(tmp_path: Path) -> None:
    """docs/api.md names each route that the platform has, and none that it has not."""
    text = (ROOT / "docs" / "api.md").read_text().partition("## Routes")[2].partition("\n## ")[0]
    named = set(re.findall(r"/(?:v1/)?[a-z][a-z/{}]*", re.sub(r"\]\([^)]*\)", "", text))) - {"/docs"}
    with fakes.client(tmp_path) as client:
        assert named == set(client.get("/openapi.json").json()["paths"])
