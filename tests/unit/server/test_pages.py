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
            },
            "post": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "responses": {"201": {"description": "Made"}},
            },
        }
    },
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "required": ["name", "parts"],
                "properties": {
                    "name": {"type": "string"},
                    "parts": {"type": "array", "items": {"type": "string"}},
                    "colour": {"type": "string"},
                },
            }
        }
    },
}


def test_the_reference_reads_well() -> None:
    """Code is set as code, bounds are whole, and a command can be pasted as it is."""
    page = pages.reference(DOCUMENT, "http://127.0.0.1:8090").decode()
    assert "<code>Bearer sk_…</code> &amp; &lt;nothing&gt; else." in page
    assert "<code>things:read</code>" in page
    assert "≥ 1, ≤ 1000" in page
    assert "http://127.0.0.1:8090/v1/things" in page


def test_a_command_with_a_body_has_one() -> None:
    """Whoever pastes the command of a route with a body sees which fields it cannot do without."""
    page = pages.reference(DOCUMENT, "http://127.0.0.1:8090").decode()
    assert (
        "curl http://127.0.0.1:8090/v1/things -H 'Authorization: Bearer sk_…' \\\n"
        '  -H \'Content-Type: application/json\' -d \'{"name": "…", "parts": ["…"]}\'</pre>'
    ) in page


def test_a_link_to_a_type_leads_inside_it() -> None:
    """A browser opens a closed `details` for a target inside it, and not for the element itself."""
    page = pages.reference(DOCUMENT, "http://127.0.0.1:8090").decode()
    assert '<a href="#Thing">' in page
    assert '</summary><div id="Thing">' in page


def test_the_landing_page_says_how_to_begin() -> None:
    """Both first commands stand there with this platform's address."""
    page = pages.landing("1.2.3", "http://127.0.0.1:8090").decode()
    assert "curl http://127.0.0.1:8090/v1/identify -u wk_…:" in page
    assert '{"userId": "42", "traits": {"email": "ann@example.com"}}' in page
    assert "curl http://127.0.0.1:8090/v1/profiles/user_id:42" in page


def test_answers_are_described_in_our_words(tmp_path: Path) -> None:
    """No answer is described in the web framework's words, which promise documents and URLs that do not follow."""
    with fakes.client(tmp_path) as client:
        assert " follows" not in client.get("/docs").text


def test_every_route_is_in_the_docs(tmp_path: Path) -> None:
    """docs/api.md names each route that the platform has, and none that it has not."""
    text = (ROOT / "docs" / "api.md").read_text().partition("## Routes")[2].partition("\n## ")[0]
    named = set(re.findall(r"/(?:v1/)?[a-z](?:[a-z/{}.-]*[a-z}])?", re.sub(r"\]\([^)]*\)", "", text))) - {"/docs"}
    with fakes.client(tmp_path) as client:
        assert named == set(client.get("/openapi.json").json()["paths"])
