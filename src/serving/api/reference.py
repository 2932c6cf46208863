"""`/openapi.json`, `/docs` and `/llms.txt`: the API described to programs, people and agents."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from starlette.requests import Request

from agentflow.contracts import Registry
from serving.api.context import Context, encode, text_response
from serving.api.openapi import Document
from serving.api.reference_page import page
from serving.api.resource import Resource
from serving.http.replies import Reply

_POLICY: Final = (
    b"content-security-policy",
    (
        b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
)
_BY_KEY: Final = (b"vary", b"X-API-Key")
"""A cache between must not tell one caller what exists for another."""

resource = Resource("reference")


@resource.get("/openapi.json", None, scope=None, described=False, tells_more=True)
async def read_openapi(context: Context, request: Request) -> Reply:
    """The reference."""
    document = await _document(context, context.registry_of(request))
    return text_response(encode(document), "application/json", _BY_KEY)


@resource.get("/docs", None, scope=None, described=False, tells_more=True)
async def read_docs(context: Context, request: Request) -> Reply:
    """The reference."""
    url = str(request.base_url).rstrip("/")
    registry = context.registry_of(request)
    text = page(await _document(context, registry), registry, url=url)
    return text_response(text, "text/html; charset=utf-8", _POLICY, _BY_KEY)


@resource.get("/llms.txt", None, media="text/plain", scope=None, tells_more=True)
async def read_llms(context: Context, request: Request) -> Reply:
    """The API for language models."""
    text = llms(context.registry_of(request))
    return text_response(text, "text/plain; charset=utf-8", _BY_KEY)


async def _document(context: Context, registry: Registry) -> Document:
    """Return the document, made in a thread: that takes 0.3 s after each change of contracts."""
    return await asyncio.to_thread(context.reference.document, registry)


def llms(registry: Registry) -> str:
    """Return what a language model needs to ask the right question, made from the contracts."""
    return "\n".join([*_HOW_TO_ASK, "", "## Metrics", *_metric_lines(registry), "",
                      "## Events", *_event_lines(registry), "", "## Entities",
                      *_entity_lines(registry), ""])  # fmt: skip


_HOW_TO_ASK: Final = (
    "# AgentFlow",
    "",
    "> Live business metrics, moved by events. Every answer says its unit, status, age, contract",
    "> version and the events that moved it last. Do not use a value whose status is not `fresh`",
    "> without saying so: `stale` means that events wait to be counted, `partial` that not all is",
    "> known, `restated` that a closed range changed. A quiet source is none of these: that is",
    "> `source_idle_ms`, and `age_ms` is since this number moved. A value that is a string is an",
    "> exact decimal. A null value with `groups` means several currencies, which are never added.",
    "",
    "## How to ask",
    "- `GET /v1/metrics/{name}?window=1h&currency=EUR&by=country`: the value now",
    "- `&grain=5m` or `&start=…&end=…`: a series or a range; `&as_of=…`: what it was",
    "- An empty value, `country=`, asks for the events without one; a text in double quotes is",
    '  JSON, so `country=""` is the empty text. A value outside an enum is refused; one that no',
    "  event has answers 0 or null with `warnings: [{code: dimension_value_unseen, nearest: […]}]`",
    "- `&explain=full`: recompute it from the stored events and compare",
    '- `POST /v1/batch` `{"items":[{"metric":"…","window":"1h"}]}`: several at one instant',
    "- `POST /v1/dry-run` with an event: which metrics it would move, and by how much",
    "- `POST /v1/events`: send events; pass the `token` back as `at_least=`, with the header",
    "  `Prefer: wait=2`, to read after it",
    "- `GET /v1/entity/{type}/{id}?timeline=true`: what is known of one thing",
    "- Errors have a stable `code` and a `hint`. The key goes into the header `X-API-Key`.",
    "- [The whole API](/openapi.json)",
)


def _metric_lines(registry: Registry) -> Iterator[str]:
    for contract in registry.metrics.values():
        note = " (deprecated)" if contract.status == "deprecated" else ""
        dimensions = ", ".join(contract.dimensions) or "none"
        yield (
            f"- `{contract.name}` version {contract.version}{note}: {contract.description} "
            f"Unit: {contract.unit}. Windows: {', '.join(contract.windows)}. "
            f"Dimensions: {dimensions}."
        )


def _event_lines(registry: Registry) -> Iterator[str]:
    for ref, contract in registry.events.items():
        required = [name for name, field in contract.fields.items() if field.required]
        yield f"- `{ref}`: {contract.description} Required: {', '.join(required) or 'nothing'}."


def _entity_lines(registry: Registry) -> Iterator[str]:
    for contract in registry.entities.values():
        yield f"- `{contract.name}`: {contract.description} Key: {contract.key}."
