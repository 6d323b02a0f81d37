"""The pages for people: a landing page, and the OpenAPI document rendered as HTML without a script or another host."""

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
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { margin-top: 2.5rem; font-size: 1.2rem; text-transform: capitalize }
a { color: inherit } code, pre { font: .88em/1.5 ui-monospace, monospace; background: var(--code); border-radius: 4px }
code { padding: .1em .3em } pre { padding: .8rem 1rem; overflow-x: auto }
details { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0 } details > div { padding: 0 1rem 1rem }
summary { padding: .6rem 1rem; cursor: pointer; display: flex; gap: .8rem; align-items: baseline; flex-wrap: wrap }
summary .path { font-family: ui-monospace, monospace } summary .what { color: var(--soft); margin-left: auto }
.verb { font: 700 .75rem ui-monospace, monospace; color: #fff; border-radius: 4px; padding: .15rem .45rem;
  background: var(--get) } .post { background: var(--post) } .delete { background: var(--delete) }
table { border-collapse: collapse; width: 100%; font-size: .92rem }
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


def landing(version: str) -> bytes:
    """The page at `/`."""
    links = "".join(
        f'<li><a href="{path}">{name}</a> <span class="soft">{escape(what)}</span></li>' for path, name, what in _LINKS
    )
    return _page(
        "Onefold",
        f"<h1>Onefold</h1><p class=soft>Many channels, one customer. Version {escape(version)}.</p>"
        f"<ul class=links>{links}</ul>"
        "<p>Send events to <code>/v1/track</code>, <code>/v1/batch</code>… with a write key; "
        "ask about people at <code>/v1/profiles/{namespace}:{value}</code> with a secret key.</p>",
    )


def reference(document: dict[str, Any], base: str) -> bytes:
    """The page at `/docs`, from an OpenAPI document; `base` is the URL that its commands name."""
    info = document["info"]
    link = '<a href="/openapi.json">openapi.json</a>'
    parts = [
        f"<h1>{escape(info['title'])}</h1><p class=soft>Version {escape(info['version'])} · {link}</p>",
        *(f"<p>{_text(text)}</p>" for text in str(info.get("description", "")).split("\n\n")),
    ]
    for tag, operations in _by_tag(document).items():
        parts.append(f"<h2>{escape(tag)}</h2>")
        parts += [_operation(base, path, verb, operation) for path, verb, operation in operations]
    parts.append("<h2>types</h2>")
    parts += [_type(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
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


def _operation(base: str, path: str, verb: str, operation: dict[str, Any]) -> str:
    inner = [f"<p>{_text(text)}</p>" for text in str(operation.get("description") or "").split("\n\n") if text]
    if parameters := operation.get("parameters"):
        rows = "".join(_parameter(parameter) for parameter in parameters)
        inner.append(f"<table><tr><th>Parameter</th><th>Type</th><th></th></tr>{rows}</table>")
    if body := operation.get("requestBody"):
        inner.append(f"<p>Body: {_contents(body)}</p>")
    rows = "".join(_response(status, response) for status, response in sorted(operation["responses"].items()))
    inner.append(f"<table><tr><th>Status</th><th>Answer</th><th></th></tr>{rows}</table>")
    inner.append(f"<pre>{_curl(base, path, verb, operation)}</pre>")
    title = f'<span class="verb {verb}">{verb.upper()}</span><span class="path">{escape(path)}</span>'
    what = f'<span class="what">{escape(operation.get("summary") or "")}</span>'
    return f"<details><summary>{title}{what}</summary><div>{''.join(inner)}</div></details>"


def _curl(base: str, path: str, verb: str, operation: dict[str, Any]) -> str:
    key = "" if operation.get("security") == [] else " -H 'Authorization: Bearer sk_…'"
    method = "" if verb == "get" else f" -X {verb.upper()}"
    return f"curl{method}{key} {escape(base)}{escape(path)}"


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
        f'<details id="{escape(name)}"><summary><span class=path>{escape(name)}</span></summary>'
        f"<div><p>{text}</p><table>{rows}</table></div></details>"
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
