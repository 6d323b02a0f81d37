"""The pages for people: a landing page, and the OpenAPI document rendered as HTML without a script or another host."""

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any

POLICY = "default-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy of every page: nothing is loaded from anywhere else, and no script runs."""

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#ddd, #3a3a3f); --soft: light-dark(#666, #a0a0a8);
  --code: light-dark(#f5f5f7, #26262b); --get: #1a7f5a; --post: #2f5fd0; --delete: #b3362b }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 2rem 1.25rem 6rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { margin-top: 2.5rem; font-size: 1.2rem }
h2::first-letter { text-transform: uppercase }
a { color: inherit } code, pre { font: .88em/1.5 ui-monospace, monospace; background: var(--code); border-radius: 4px }
code { padding: .1em .3em } pre { padding: .8rem 1rem; overflow-x: auto }
p code { overflow-wrap: anywhere } [id] { scroll-margin-top: 4rem }
details { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0 } details > div { padding: 0 1rem 1rem }
summary { padding: .6rem 1rem; cursor: pointer; display: flex; gap: .8rem; align-items: baseline; flex-wrap: wrap }
summary .path { font-family: ui-monospace, monospace } summary .what { color: var(--soft); margin-left: auto }
.verb { font: 700 .75rem ui-monospace, monospace; color: #fff; border-radius: 4px; padding: .15rem .45rem;
  background: var(--get) } .post, .put { background: var(--post) } .delete { background: var(--delete) }
table { border-collapse: collapse; width: 100%; font-size: .92rem; margin: 1rem 0 }
td, th { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line) }
td { vertical-align: top } .soft { color: var(--soft) }
ul.links { list-style: none; padding: 0 } ul.links li { padding: .35rem 0 }
"""

_LINKS = (
    ("/docs", "The API", "every route, with its parameters and answers"),
    ("/openapi.json", "OpenAPI document", "the same for machines"),
    ("/readyz", "Readiness", "log, state, disk and workers"),
    ("/healthz", "Health", "the process answers"),
    ("/metrics", "Metrics", "for Prometheus; needs a key with metrics:read"),
)


_SEND = """\
curl {base}/v1/identify -u wk_…: -H 'Content-Type: application/json' \\
  -d '{{"userId": "42", "traits": {{"email": "ann@example.com"}}}}'"""
_SEE = "curl {base}/v1/profiles/user_id:42 -H 'Authorization: Bearer sk_…'"


def landing(version: str, base: str) -> bytes:
    """The page at `/`; `base` is the URL that its commands name."""
    links = "".join(
        f'<li><a href="{path}">{name}</a> <span class="soft">{escape(what)}</span></li>' for path, name, what in _LINKS
    )
    return _page(
        "Onefold",
        f"<h1>Onefold</h1><p class=soft>Many channels, one customer. Version {escape(version)}.</p>"
        f"<h2>Send an event</h2>{_command(_SEND, base)}"
        f"<h2>See the person</h2>{_command(_SEE, base)}"
        "<p>The first <code>onefold serve</code> printed both keys. <code>onefold sources list</code> shows the write "
        "keys again; <code>onefold keys create NAME --scope profiles:read</code> makes another secret key.</p>"
        f"<h2>Look further</h2><ul class=links>{links}</ul>",
    )


def reference(document: dict[str, Any], base: str) -> bytes:
    """The page at `/docs`, from an OpenAPI document; `base` is the URL that its commands name."""
    info, schemas = document["info"], document["components"]["schemas"]
    link = '<a href="/openapi.json">openapi.json</a>'
    parts = [
        f"<h1>{escape(info['title'])}</h1><p class=soft>Version {escape(info['version'])} · {link}</p>",
        *(f"<p>{_text(text)}</p>" for text in str(info.get("description", "")).split("\n\n")),
    ]
    for tag, operations in _by_tag(document).items():
        parts.append(f"<h2>{escape(tag)}</h2>")
        parts += [
            _operation(path, verb, operation, _curl(f"{base}{path}", verb, operation, schemas))
            for path, verb, operation in operations
        ]
    parts.append("<h2>types</h2>")
    parts += [_type(name, schema) for name, schema in sorted(schemas.items())]
    return _page(info["title"], "".join(parts))


def _page(title: str, body: str) -> bytes:
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8"><title>{escape(title)}</title>{viewport}<style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'.encode()


def _by_tag(document: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    tags: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, item in sorted(document["paths"].items()):
        for verb, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                tags.setdefault((operation.get("tags") or ["other"])[0], []).append((path, verb, operation))
    return dict(sorted(tags.items()))


def _operation(path: str, verb: str, operation: dict[str, Any], command: str) -> str:
    inner = [f"<p>{_text(text)}</p>" for text in str(operation.get("description") or "").split("\n\n") if text]
    if parameters := operation.get("parameters"):
        rows = "".join(_parameter(parameter) for parameter in parameters)
        inner.append(f"<table><tr><th>Parameter</th><th>Type</th><th></th></tr>{rows}</table>")
    if body := operation.get("requestBody"):
        inner.append(f"<p>Body: {_contents(body)}</p>")
    rows = "".join(_response(status, response) for status, response in sorted(operation["responses"].items()))
    inner.append(f"<table><tr><th>Status</th><th>Answer</th><th></th></tr>{rows}</table>")
    inner.append(f"<pre>{escape(command, quote=False)}</pre>")
    title = f'<span class="verb {verb}">{verb.upper()}</span><span class="path">{escape(path)}</span>'
    what = f'<span class="what">{escape(operation.get("summary") or "")}</span>'
    return f"<details><summary>{title}{what}</summary><div>{''.join(inner)}</div></details>"


def _curl(url: str, verb: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    """A command for the operation: what has to be filled in is `…` or in braces."""
    key = "" if operation.get("security") == [] else " -H 'Authorization: Bearer sk_…'"
    body = ""
    if content := operation.get("requestBody", {}).get("content", {}).get("application/json"):
        example = json.dumps(_example(content["schema"], schemas), ensure_ascii=False)
        body = f" \\\n  -H 'Content-Type: application/json' -d '{example}'"
    method = "" if verb == "get" or (verb == "post" and body) else f" -X {verb.upper()}"
    return f"curl{method} {url}{key}{body}"


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """The least value that a schema takes, with `…` where a text is wanted."""
    if reference := schema.get("$ref"):
        return _example(schemas[reference.rpartition("/")[2]], schemas)
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        return {name: _example(fields[name], schemas) for name in schema.get("required", ())}
    if schema.get("type") == "array":
        return [_example(schema.get("items", {}), schemas)]
    return "…"


def _command(text: str, base: str) -> str:
    return f"<pre>{escape(text.format(base=base), quote=False)}</pre>"


def _response(status: str, response: dict[str, Any]) -> str:
    text = _text(response.get("description", ""))
    return f"<tr><td>{escape(status)}</td><td>{_contents(response)}</td><td>{text}</td></tr>"


def _parameter(parameter: dict[str, Any]) -> str:
    need = "" if parameter.get("required") else ' <span class="soft">optional</span>'
    text = _text(parameter.get("description") or "")
    name = f"<code>{escape(parameter['name'])}</code>{need}"
    return f"<tr><td>{name}</td><td>{_name(parameter['schema'])}</td><td>{text}</td></tr>"


def _contents(holder: dict[str, Any]) -> str:
    return ", ".join(_name(content.get("schema", {})) for content in holder.get("content", {}).values())


def _type(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{'' if field in required else ' <span class=soft>optional</span>'}</td>"
        f"<td>{_name(inner)}</td></tr>"
        for field, inner in schema.get("properties", {}).items()
    )
    text = _text(schema.get("description", ""))
    return (
        # The name stands inside, so that a browser opens the type when a link leads to it.
        f"<details><summary><span class=path>{escape(name)}</span></summary>"
        f'<div id="{escape(name)}"><p>{text}</p><table>{rows}</table></div></details>'
    )


def _text(text: str) -> str:
    """A sentence, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _name(schema: dict[str, Any]) -> str:
    return "".join(_words(schema))


def _words(schema: dict[str, Any]) -> Iterator[str]:
    if reference := schema.get("$ref"):
        name = escape(reference.rpartition("/")[2])
        yield f'<a href="#{name}">{name}</a>'
    elif options := schema.get("oneOf") or schema.get("anyOf"):
        yield " or ".join(_name(option) for option in options)
    elif schema.get("type") == "array":
        yield f"list of {_name(schema.get('items', {}))}"
    elif inner := schema.get("additionalProperties"):
        yield f"map to {_name(inner) if isinstance(inner, dict) else 'any'}"
    else:
        yield escape(str(schema.get("format") or schema.get("type") or "any"))
        bounds = [f"{sign} {schema[key]:.15g}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in schema]
        if bounds:
            yield f' <span class="soft">{", ".join(bounds)}</span>'
