"""The formats that contracts can be exported to, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from agentflow.contracts.model import EventContract, MetricContract
from agentflow.contracts.registry import Registry
from agentflow.errors import ParameterError
from agentflow.export.asyncapi import asyncapi_document
from agentflow.export.avro import avro_schema
from agentflow.export.diagram import diagram, dot, mermaid
from agentflow.export.documents import to_json, to_yaml
from agentflow.export.json_schema import json_schemas
from agentflow.export.odcs import odcs_contract
from agentflow.export.osi import osi_model
from agentflow.export.reference import metrics_page
from agentflow.suggestions import nearest_and
from agentflow.versions import versioned

Files: TypeAlias = dict[str, str]
Exporter: TypeAlias = Callable[[Registry, str | None], Files]


def export(registry: Registry, fmt: str, *, name: str | None = None) -> Files:
    """Return the files of one export: file name → text. Equal contracts give equal bytes.

    Args:
        registry: The contracts in force.
        fmt: One of `FORMATS`.
        name: Export only this one, `order.created` (all versions) or `order.created@1`: an event
            for the schemas, AsyncAPI and ODCS, a metric for OSI and the reference page, any
            contract or dimension for the diagrams.

    Raises:
        ParameterError: If there is no such format.
        UnknownContractError: If there is no contract of that name that the format exports.
    """
    exporter = FORMATS.get(fmt)
    if exporter is None:
        raise ParameterError(
            f'export format "{fmt}" does not exist',
            hint=nearest_and(fmt, FORMATS, f"Known formats: {', '.join(FORMATS)}."),
        )
    return exporter(registry, name)


def _json_schema(registry: Registry, name: str | None) -> Files:
    return {
        file: to_json(schema)
        for contract in _events(registry, name)
        for file, schema in json_schemas(registry, contract).items()
    }


def _avro(registry: Registry, name: str | None) -> Files:
    return {
        f"{contract.name}.v{contract.version}.avsc": to_json(avro_schema(registry, contract))
        for contract in _events(registry, name)
    }


def _asyncapi(registry: Registry, name: str | None) -> Files:
    return {"asyncapi.yaml": to_yaml(asyncapi_document(registry, _events(registry, name)))}


def _odcs(registry: Registry, name: str | None) -> Files:
    return {
        f"{contract.name}.v{contract.version}.odcs.yaml": to_yaml(odcs_contract(registry, contract))
        for contract in _events(registry, name)
    }


def _osi(registry: Registry, name: str | None) -> Files:
    return {"agentflow.osi.yaml": to_yaml(osi_model(registry, _metrics(registry, name)))}


def _mermaid(registry: Registry, name: str | None) -> Files:
    return {"contracts.mmd": mermaid(diagram(registry, name))}


def _dot(registry: Registry, name: str | None) -> Files:
    return {"contracts.dot": dot(diagram(registry, name))}


def _reference(registry: Registry, name: str | None) -> Files:
    return {"metrics.md": metrics_page(registry, _metrics(registry, name))}


FORMATS: Mapping[str, Exporter] = MappingProxyType(
    {
        "json-schema": _json_schema,
        "avro": _avro,
        "asyncapi": _asyncapi,
        "odcs": _odcs,
        "osi": _osi,
        "mermaid": _mermaid,
        "dot": _dot,
        "reference": _reference,
    }
)


def _events(registry: Registry, name: str | None) -> tuple[EventContract, ...]:
    if name is None:
        return tuple(registry.events.values())
    plain, version = versioned(name)
    chosen = registry.event(plain, version)
    return tuple(
        contract
        for contract in registry.events.values()
        if contract.name == plain and version in {None, contract.version}
    ) or (chosen,)


def _metrics(registry: Registry, name: str | None) -> tuple[MetricContract, ...]:
    if name is None:
        return tuple(registry.metrics.values())
    plain, version = versioned(name)
    chosen = registry.metric(plain, version)
    return tuple(
        contract
        for contract in registry.metrics.values()
        if contract.name == plain and version in {None, contract.version}
    ) or (chosen,)
