"""The OpenAPI 3.1 document: the routes, and one path for each metric with its own parameters."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from agentflow.contracts import MetricContract, Registry
from agentflow.export.json_schema import cloudevent_schema
from serving.api import shapes
from serving.api.operation import FREE_PARAMETERS, SHAPES
from serving.api.shapes import ProblemShape
from serving.group_pages import MAX_GROUPS, PAGE_GROUPS

Document = dict[str, Any]
DESCRIPTION: Final = """\
Operational events move declared business metrics. Every number comes with its unit, age, contract
and the events that moved it last.

Errors are RFC 9457 problems with a stable `code`. Unknown parameters and members are refused.
"""
_HEADERS: Final[Document] = {
    "X-Request-Id": {
        "description": "Id of the request: the one that was sent, or a new one.",
        "schema": {"type": "string"},
    }
}
_AT_LEAST: Final = "A token from POST /v1/events or an earlier answer: the answer covers it."
_FRAMEWORK: Final = frozenset({"HTTPValidationError", "ValidationError"})
_GROUPS: Final = {
    "type": "integer", "minimum": 1, "maximum": MAX_GROUPS, "default": PAGE_GROUPS,
}  # fmt: skip
_INTERNAL: Final = ("x-metric", "x-metric-stream", "x-events", "x-formats", "x-body")


def openapi_document(app: FastAPI, registry: Registry, *, keyed: bool) -> Document:
    """Return the whole document; equal contracts give an equal one."""
    document = base_document(app)
    named: dict[str, type[msgspec.Struct]] = {ProblemShape.__name__: ProblemShape}
    for path, operations in list(document["paths"].items()):
        for operation in operations.values():
            for name in operation.pop(SHAPES, ()):
                named[name] = getattr(shapes, name)
            operation.pop(FREE_PARAMETERS, None)
            _describe(operation, path, registry)
    _, components = msgspec.json.schema_components(
        list(named.values()), ref_template="#/components/schemas/{name}"
    )
    of_parameters = document.get("components", {}).get("schemas", {})
    components |= {name: of_parameters[name] for name in of_parameters if name not in _FRAMEWORK}
    document["components"] = {
        "schemas": dict(sorted(components.items())),
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
    }
    if keyed:
        document["security"] = [{"key": []}]
    _spread_metrics(document, registry)
    for operations in document["paths"].values():
        for operation in operations.values():
            _finish(operation)
    _hoist(document, document["components"]["schemas"])
    return document


def _hoist(value: object, schemas: Document) -> None:
    """Move definitions that schemas brought along to where the whole document refers to them.

    A reference counts from the root of the document, not from the schema it stands in.
    """
    if isinstance(value, list):
        for each in value:
            _hoist(each, schemas)
    elif isinstance(value, dict):
        for name, schema in value.pop("$defs", {}).items():
            schemas[name] = schema
            _hoist(schema, schemas)
        reference = value.get("$ref")
        if isinstance(reference, str):
            value["$ref"] = reference.replace("#/$defs/", "#/components/schemas/")
        for each in list(value.values()):
            _hoist(each, schemas)


def base_document(app: FastAPI) -> Document:
    """Return what the framework knows of the routes."""
    document = get_openapi(
        title="AgentFlow",
        version="1",
        openapi_version="3.1.0",
        description=DESCRIPTION,
        routes=app.routes,
    )
    for operations in document["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            content = responses.get("422", {}).get("content", {})
            if "application/json" in content:  # the framework's own validation error
                del responses["422"]
    return document


def _describe(operation: Document, path: str, registry: Registry) -> None:
    """Add the parameters and bodies that follow from the contracts."""
    parameters = operation.setdefault("parameters", [])
    if operation.get("x-metric"):
        parameters += [*_metric_parameters(registry, None), _free_dimensions(registry)]
        operation["responses"]["304"] = {"description": "Nothing moved since that ETag."}
    if operation.get("x-metric-stream"):
        parameters += _stream_parameters(registry)
    if "/stream/" in path:
        parameters.append(_header("Last-Event-ID", "Id of the last message received."))
    events = operation.get("x-events")
    if events:
        operation["requestBody"] = _events_body(registry, many=events == "many")
    if events == "many":
        parameters.append(
            _query("detail", {"enum": ["all", "errors"], "default": "all"},
                   "`errors` lists only events that were not accepted.")
        )  # fmt: skip
    if operation.get("x-body") == "object":
        operation["requestBody"] = _json_body({"type": "object"})
    if "409" in operation["responses"] and "413" in operation["responses"]:
        parameters.append(
            _header("Idempotency-Key", "One effect for each key; the same answer each time.",
                    schema={"type": "string", "minLength": 1, "maxLength": 255,
                            "pattern": "^[ -~]+$"})
        )  # fmt: skip


def _spread_metrics(document: Document, registry: Registry) -> None:
    """Add one path for each metric, so that a client sees its windows and dimensions."""
    general = document["paths"]["/v1/metrics/{name}"]["get"]
    for name in sorted({name for name, _ in registry.metrics}):
        contract = registry.metric(name)
        operation = deepcopy(general)
        operation["summary"] = f"Read {name}"
        operation["description"] = contract.description
        operation["operationId"] = f"read_metric_{name}"
        operation["parameters"] = _metric_parameters(registry, contract)
        document["paths"][f"/v1/metrics/{name}"] = {"get": operation}


def _metric_parameters(registry: Registry, contract: MetricContract | None) -> list[Document]:
    instant = {"type": "string", "format": "date-time"}
    window: Document = {"type": "string"}
    version: Document = {"type": "integer", "minimum": 1}
    by: Document = {"type": "string", "description": "Dimensions, separated by commas."}
    dimensions: list[Document] = []
    if contract is not None:
        versions = [item for (name, _), item in registry.metrics.items() if name == contract.name]
        version = {"enum": sorted(item.version for item in versions)}
        window = {"enum": list(contract.windows), "default": contract.windows[0]}
        by["examples"] = [",".join(contract.dimensions[:2])] if contract.dimensions else []
        dimensions = [
            _query(name, _dimension(registry, contract, name), "Only events with this value.")
            for name in contract.dimensions
        ]
    return [
        _query("window", window, "How far back, on event time."),
        *dimensions,
        _query("by", by, "Group by dimensions."),
        _query("limit", _GROUPS, "Groups in one answer."),
        _query("cursor", {"type": "string"}, "`next_cursor` of the answer with the groups before."),
        _query("version", version, "A version of the contract."),
        _query("grain", {"type": "string", "pattern": "^[1-9][0-9]{0,4}[smhd]$"},
               "Answer with a series of steps this long."),
        _query("start", instant, "Inclusive; with `end`, instead of a window."),
        _query("end", instant, "Exclusive."),
        _query("as_of", instant, "What the metric was then."),
        _query("at_least", {"type": "string"}, _AT_LEAST),
        _query("explain", {"enum": ["full"]}, "Recompute the number from the lake as well."),
        _header("If-None-Match", "An ETag; answered with 304 while nothing moved."),
        _header("Prefer", "`wait=2`: how many seconds to wait for `at_least`."),
    ]  # fmt: skip


def _dimension(registry: Registry, contract: MetricContract, name: str) -> Document:
    """Return the schema of a dimension's values: those the events allow, and empty for absent."""
    kinds = {
        field.type for ref in contract.refs
        if (field := registry.events[ref].fields.get(name)) is not None
    }  # fmt: skip
    if kinds == {"integer"}:
        return {"type": "integer"}
    if kinds == {"boolean"}:
        return {"type": "boolean"}
    enums = [
        field.enum for ref in contract.refs
        if (field := registry.events[ref].fields.get(name)) is not None
    ]  # fmt: skip
    if enums and all(enums):
        values = sorted({value for enum in enums for value in enum or ()})
        return {"type": "string", "examples": values}
    return {"type": "string"}


def _free_dimensions(registry: Registry) -> Document:
    names = sorted({name for item in registry.metrics.values() for name in item.dimensions})
    return {
        "name": "dimensions",
        "in": "query",
        "style": "form",
        "explode": True,
        "description": "Each dimension of the metric is a parameter. Empty means absent; a text in "
        'double quotes is JSON, so `""` is the empty text.',
        "schema": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in names},
            "additionalProperties": False,
        },
    }


def _stream_parameters(registry: Registry) -> list[Document]:
    return [
        _query("metric", {"type": "string"}, "Metrics, separated by commas; all without it."),
        _query("window", {"type": "string"}, "As in GET /v1/metrics/{name}."),
        _query("by", {"type": "string"}, "As in GET /v1/metrics/{name}."),
        _query("limit", _GROUPS, "Groups in one message; `left_out` says how many are not in it."),
        _query("version", {"type": "integer", "minimum": 1}, "With exactly one metric."),
        _query("last_event_id", {"type": "string"}, "Where headers cannot be set."),
        _free_dimensions(registry),
    ]


def _events_body(registry: Registry, *, many: bool) -> Document:
    one: Document = {"oneOf": [
        cloudevent_schema(registry, contract) for contract in registry.events.values()
    ]}  # fmt: skip
    media: Document = {"application/cloudevents+json": {"schema": one}}
    if many:
        batch = {"type": "array", "items": one, "maxItems": 10_000}
        media["application/cloudevents-batch+json"] = {"schema": batch}
        media["application/x-ndjson"] = {"schema": {"type": "string"}}
        media["application/json"] = {"schema": {"anyOf": [one, batch]}}
    else:
        media["application/json"] = {"schema": one}
    return {"required": True, "content": media}


def _json_body(schema: Document) -> Document:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _query(name: str, schema: Document, description: str) -> Document:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _header(name: str, description: str, *, schema: Document | None = None) -> Document:
    return {
        "name": name,
        "in": "header",
        "schema": schema or {"type": "string"},
        "description": description,
    }


def _finish(operation: Document) -> None:
    for name in _INTERNAL:
        operation.pop(name, None)
    for response in operation["responses"].values():
        response["headers"] = _HEADERS
