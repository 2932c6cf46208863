"""The OpenAPI 3.1 document: the operations, and one path for each metric, with its dimensions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, Final, NamedTuple

import msgspec

from agentflow.contracts import Registry
from serving.api.contract_parameters import header_parameter, json_body, metric_parameters
from serving.api.parameters import schema_of
from serving.api.resource import Operation, Shape
from serving.http.problems import TABLE, ProblemShape

Document = dict[str, Any]
DESCRIPTION: Final = """\
Operational events move declared business metrics. Every number comes with its unit, age, contract
and the events that moved it last.

Errors are RFC 9457 problems with a stable `code`. Unknown parameters and members are refused.
"""
PROBLEM_MEDIA: Final = "application/problem+json"
_MOST_MADE: Final = 16
_SCHEMAS: Final = "#/components/schemas/"
_HEADERS: Final[Document] = {
    "X-Request-Id": {
        "description": "Id of the request: the one that was sent, or a new one.",
        "schema": {"type": "string"},
    }
}
_IDEMPOTENCY_KEY: Final = header_parameter(
    "Idempotency-Key",
    "One effect for each key; the same answer each time.",
    schema={"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
)


class Reference:
    """The document as each caller sees it, made again when the contracts change. Any thread."""

    def __init__(self, operations: Iterable[Operation], *, keyed: Callable[[], bool]) -> None:
        self._operations = tuple(operations)
        self._keyed = keyed
        self._made: tuple[_Made, ...] = ()

    def document(self, registry: Registry) -> Document:
        """Return the OpenAPI document of these contracts."""
        keyed = self._keyed()
        for made in self._made:
            if made.registry is registry and made.keyed == keyed:
                return made.document
        document = openapi_document(self._operations, registry, keyed=keyed)
        self._made = (_Made(registry, keyed, document), *self._made[: _MOST_MADE - 1])
        return document


class _Made(NamedTuple):
    registry: Registry
    keyed: bool
    document: Document


def openapi_document(
    operations: Iterable[Operation], registry: Registry, *, keyed: bool
) -> Document:
    """Return the whole document; equal contracts give an equal one."""
    described = [operation for operation in operations if operation.described]
    paths: dict[str, Document] = defaultdict(dict)
    shapes: dict[str, Shape] = {ProblemShape.__name__: ProblemShape}
    schemas: Document = {}
    for operation in described:
        method = operation.method.lower()
        paths[operation.address][method] = _described(operation, registry, schemas)
        shapes |= {each.__name__: each for each in operation.answers.values() if each is not None}
    _, of_shapes = msgspec.json.schema_components(
        list(shapes.values()), ref_template=f"{_SCHEMAS}{{name}}"
    )
    document: Document = {
        "openapi": "3.1.0",
        "info": {"title": "AgentFlow", "description": DESCRIPTION, "version": "1"},
        "paths": dict(paths),
        "components": {
            "schemas": dict(sorted((of_shapes | schemas).items())),
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
        },
    }
    if keyed:
        document["security"] = [{"key": []}]
    _spread_metrics(document, registry)
    _hoist(document, document["components"]["schemas"])
    return document


def _described(operation: Operation, registry: Registry, schemas: Document) -> Document:
    """Return one operation; *schemas* get what its parameters refer to."""
    parameters, referred = operation.parameters.described()
    schemas |= referred
    contracts = {} if operation.describe is None else operation.describe(registry)
    described: Document = {
        "tags": [operation.group],
        "summary": operation.summary,
        "operationId": _id(operation),
        "parameters": [*parameters, *contracts.pop("parameters", ())],
        "responses": {
            **{str(status): _success(operation, status) for status in operation.answers},
            **_problems(operation.codes),
            **contracts.pop("responses", {}),
        },
        **contracts,
    }
    if operation.sends:
        described["parameters"].append(_IDEMPOTENCY_KEY)
    if (body := operation.parameters.described_body) is not None:
        described["requestBody"] = json_body(schema_of(body))
    if operation.scope is None:
        described["security"] = []
    for response in described["responses"].values():
        response["headers"] = _HEADERS
    return described


def _id(operation: Operation) -> str:
    words = re.sub(r"\W", "_", f"{operation.handler.__name__}{operation.address}")
    return f"{words}_{operation.method.lower()}"


def _success(operation: Operation, status: int) -> Document:
    shape, media = operation.answers[status], operation.media
    if shape is None:
        return {"description": "A document.", "content": {media: {"schema": {"type": "string"}}}}
    description = (shape.__doc__ or "").partition("\n")[0]
    schema = {"$ref": f"{_SCHEMAS}{shape.__name__}"}
    return {"description": description, "content": {media: {"schema": schema}}}


def _problems(codes: Iterable[str]) -> Document:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in sorted(codes):
        by_status[TABLE[code][0]].append(code)
    schema = {"$ref": f"{_SCHEMAS}{ProblemShape.__name__}"}
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {TABLE[code][1]}" for code in found),
            "content": {PROBLEM_MEDIA: {"schema": schema}},
        }
        for status, found in sorted(by_status.items())
    }


def _spread_metrics(document: Document, registry: Registry) -> None:
    """Add one path for each metric, so that a client sees its windows and dimensions."""
    general = document["paths"]["/v1/metrics/{name}"]["get"]
    for name in sorted({name for name, _ in registry.metrics}):
        contract = registry.metric(name)
        operation = deepcopy(general)
        operation["summary"] = f"Read {name}"
        operation["description"] = contract.description
        operation["operationId"] = f"read_metric_{name}"
        operation["parameters"] = metric_parameters(registry, contract)
        document["paths"][f"/v1/metrics/{name}"] = {"get": operation}


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
