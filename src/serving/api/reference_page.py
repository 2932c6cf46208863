"""`/docs` as one page: the requests by group, each with its parameters, its ends and a `curl`."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import Any, Final

from agentflow.contracts import Registry
from serving.api.curl_examples import Sample, curl, sample_of
from serving.api.openapi import Document

_EACH_METRIC: Final = "each metric"
_ORDER: Final = (
    "events", "metrics", "streams", "entities", "lineage", "dead letters", "contracts",
    "operation", "reference", _EACH_METRIC,
)  # fmt: skip


def page(document: Document, registry: Registry, *, url: str) -> str:
    """Return the API reference as HTML; examples go to *url*."""
    sample, keyed = sample_of(registry), "security" in document
    groups: dict[str, list[str]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            command = _command(sample, (method, path), operation, url=url, keyed=keyed)
            groups[_group(path, operation)].append(_section(method, path, operation, command))
    names = sorted(groups, key=lambda name: (_ORDER.index(name) if name in _ORDER else 99, name))
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in names)
    sections = "".join(
        f'<section id="{_anchor(name)}" aria-labelledby="{_anchor(name)}-title">'
        f'<h2 id="{_anchor(name)}-title">{escape(name.capitalize())}</h2>'
        f"{''.join(groups[name])}</section>"
        for name in names
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>AgentFlow API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="/page/icon.svg"><link rel="stylesheet" href="/page/style.css">'
        '<link rel="stylesheet" href="/page/reference.css">'
        '<script type="module" src="/page/reference.js"></script></head><body>'
        '<a class="skip" href="#requests">To the requests</a>'
        f'<header class="reference"><h1>AgentFlow API</h1>{_introduction(document, keyed=keyed)}'
        '<form role="search" id="search" hidden><label for="words">Search</label> '
        '<input id="words" type="search" autocomplete="off" placeholder="batch, revenue, 409">'
        '<p id="found" class="quiet" role="status"></p></form>'
        f'<nav aria-label="Groups">{links}</nav></header>'
        f'<main class="reference" id="requests" tabindex="-1">{sections}</main></body></html>'
    )


def _introduction(document: Document, *, keyed: bool) -> str:
    paragraphs = "".join(
        f"<p>{escape(text)}</p>" for text in document["info"]["description"].strip().split("\n\n")
    )
    key = "<p>The examples read your key from the variable <code>AGENTFLOW_API_KEY</code>.</p>"
    return (
        f"{paragraphs}{key if keyed else ''}"
        '<p>The same for programs: <a href="/openapi.json">openapi.json</a>; '
        'for language models: <a href="/llms.txt">llms.txt</a>. <a href="/">The page</a>.</p>'
    )


def _command(
    sample: Sample | None,
    place: tuple[str, str],
    operation: dict[str, Any],
    *,
    url: str,
    keyed: bool,
) -> str | None:
    if sample is None:
        return None
    return curl(sample, *place, operation, url=url, keyed=keyed)


def _group(path: str, operation: dict[str, Any]) -> str:
    if path.startswith("/v1/metrics/") and "{" not in path:
        return _EACH_METRIC
    tags: list[str] = operation.get("tags") or ["other"]
    return tags[0]


def _anchor(name: str) -> str:
    return "group-" + name.replace(" ", "-")


def _section(method: str, path: str, operation: dict[str, Any], command: str | None) -> str:
    title = escape(operation["operationId"], quote=True)
    description = operation.get("description", "")
    example = (
        "" if command is None
        else f'<pre tabindex="0" aria-label="Example"><code>{escape(command)}</code></pre>'
    )  # fmt: skip
    return (
        f'<article id="{title}"><h3><code><b>{method.upper()}</b> {_breakable(path)}</code></h3>'
        f"<p>{escape(operation['summary'])}. {escape(description)}</p>{example}"
        f"{_parameters(operation)}{_responses(operation)}</article>"
    )


def _breakable(path: str) -> str:
    return escape(path).replace("/", "/<wbr>")


def _parameters(operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(item['name'])}</code><td>{item['in']}"
        f"<td>{escape(item.get('description', ''))} {escape(_values(item['schema']))}"
        for item in operation.get("parameters", ())
    )
    if not rows:
        return ""
    head = '<tr><th scope="col">parameter<th scope="col">in<th scope="col">meaning'
    return f"<details><summary>Parameters</summary><table>{head}{rows}</table></details>"


def _responses(operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{status}<td>{escape(item['description'])}"
        for status, item in sorted(operation["responses"].items())
    )
    head = '<tr><th scope="col">status<th scope="col">meaning'
    return f"<details><summary>Answers</summary><table>{head}{rows}</table></details>"


def _values(schema: dict[str, Any]) -> str:
    return f"One of: {', '.join(map(str, schema['enum']))}." if "enum" in schema else ""
