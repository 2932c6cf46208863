"""What the reference says of metric reads, streams and events: it follows from the contracts."""

from __future__ import annotations

from typing import Any, Final

from agentflow.contracts import MetricContract, Registry
from agentflow.export.json_schema import cloudevent_schema
from serving.read.group_pages import MAX_GROUPS, PAGE_GROUPS

Document = dict[str, Any]
_AT_LEAST: Final = "A token from POST /v1/events or an earlier answer: the answer covers it."
_GROUPS: Final = {
    "type": "integer", "minimum": 1, "maximum": MAX_GROUPS, "default": PAGE_GROUPS,
}  # fmt: skip


def read_description(registry: Registry) -> Document:
    """Return what a metric read takes, whatever the metric."""
    return {
        "parameters": [*metric_parameters(registry, None), _free_dimensions(registry)],
        "responses": {"304": {"description": "Nothing moved since that ETag."}},
    }


def stream_description(registry: Registry) -> Document:
    """Return what a stream of metrics takes."""
    return {"parameters": [*_stream_parameters(registry), LAST_EVENT_ID]}


def many_events(registry: Registry) -> Document:
    """Return what a request with events holds."""
    return {
        "parameters": [
            _query("detail", {"enum": ["all", "errors"], "default": "all"},
                   "`errors` lists only events that were not accepted.")
        ],
        "requestBody": _events_body(registry, many=True),
    }  # fmt: skip


def one_event(registry: Registry) -> Document:
    """Return what a request with one event holds."""
    return {"requestBody": _events_body(registry, many=False)}


def json_body(schema: Document) -> Document:
    """Return a request body of JSON as OpenAPI writes it."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def metric_parameters(registry: Registry, contract: MetricContract | None) -> list[Document]:
    """Return the parameters of a read of one metric, or of any."""
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
        header_parameter("If-None-Match", "An ETag; answered with 304 while nothing moved."),
        header_parameter("Prefer", "`wait=2`: how many seconds to wait for `at_least`."),
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
    schemas = [cloudevent_schema(registry, contract) for contract in registry.events.values()]
    one: Document = {"oneOf": schemas} if schemas else {"type": "object"}
    media: Document = {"application/cloudevents+json": {"schema": one}}
    if many:
        batch = {"type": "array", "items": one, "maxItems": 10_000}
        media["application/cloudevents-batch+json"] = {"schema": batch}
        media["application/x-ndjson"] = {"schema": {"type": "string"}}
        media["application/json"] = {"schema": {"anyOf": [one, batch]}}
    else:
        media["application/json"] = {"schema": one}
    return {"required": True, "content": media}


def _query(name: str, schema: Document, description: str) -> Document:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def header_parameter(name: str, description: str, *, schema: Document | None = None) -> Document:
    """Return a request header as OpenAPI lists it."""
    return {
        "name": name,
        "in": "header",
        "schema": schema or {"type": "string"},
        "description": description,
    }


LAST_EVENT_ID: Final = header_parameter("Last-Event-ID", "Id of the last message received.")
