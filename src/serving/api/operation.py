"""How a route says what it answers: the success shape and every problem it can end in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

from serving.api.json_body import Body
from serving.api.problems import TABLE
from serving.api.shapes import ProblemShape

PROBLEM_MEDIA: Final = "application/problem+json"
SHAPES: Final = "x-agentflow-shapes"
FREE_PARAMETERS: Final = "x-agentflow-free-parameters"
_EVERYWHERE: Final = (
    "header_invalid",
    "host_refused",
    "internal",
    "origin_refused",
    "parameter_unknown",
    "uri_too_long",
)
_KEYED: Final = ("key_missing", "key_unknown", "scope_missing", "rate_limited", "unavailable")
_WITH_BODY: Final = (
    "too_large",
    "content_coding_invalid",
    "content_coding_unsupported",
    "idempotency_conflict",
    "idempotency_in_progress",
    "header_invalid",
)


def operation(  # noqa: PLR0913 - each is one part of an operation's description
    summary: str,
    shape: type[msgspec.Struct] | None = None,
    *codes: str,
    status: int = 200,
    also: Mapping[int, type[msgspec.Struct]] | None = None,
    media: str = "application/json",
    body: type[Body] | None = None,
    keyed: bool = True,
    free: bool = False,
    sends: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the keyword arguments of a route that document it completely.

    Args:
        summary: One line for the reference.
        shape: What it answers; None for something that is not JSON.
        codes: Problems of its own, besides those every route can end in.
        status: Of success.
        also: More statuses with their shapes.
        media: Media type of success.
        body: What it is sent.
        keyed: Whether it needs an API key.
        free: Whether its query parameters depend on the contracts.
        sends: Whether it takes a request body.
        extra: More members of the OpenAPI operation.
    """
    shapes = {status: shape, **(also or {})}
    all_codes = {*codes, *_EVERYWHERE, *(_KEYED if keyed else ())}
    if sends or body is not None:
        all_codes |= {*_WITH_BODY, "malformed_json"}
    if body is not None:
        all_codes |= {"body_invalid"}
    description: dict[str, Any] = {
        SHAPES: [each.__name__ for each in shapes.values() if each is not None],
        FREE_PARAMETERS: free,
        **(extra or {}),
    }
    if not keyed:
        description["security"] = []
    if body is not None:
        description["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body.model_json_schema()}},
        }
    return {
        "summary": summary,
        "response_class": Response,
        "responses": {
            **{code: _success(each, media) for code, each in shapes.items()},
            **_problems(all_codes),
        },
        "openapi_extra": description,
    }


def _success(shape: type[msgspec.Struct] | None, media: str) -> dict[str, Any]:
    if shape is None:
        return {"description": "A document.", "content": {media: {"schema": {"type": "string"}}}}
    reference = {"$ref": f"#/components/schemas/{shape.__name__}"}
    description = (shape.__doc__ or "").partition("\n")[0]
    return {"description": description, "content": {media: {"schema": reference}}}


def _problems(codes: set[str]) -> dict[int, Any]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in sorted(codes):
        by_status[TABLE[code][0]].append(code)
    reference = {"$ref": f"#/components/schemas/{ProblemShape.__name__}"}
    return {
        status: {
            "description": "; ".join(f"`{code}`: {TABLE[code][1]}" for code in found),
            "content": {PROBLEM_MEDIA: {"schema": reference}},
        }
        for status, found in sorted(by_status.items())
    }
