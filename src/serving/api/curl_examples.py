"""One `curl` for each request of the API, with names and events of the contracts in force."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final
from urllib.parse import quote as escaped

from agentflow.contracts import MetricContract, Registry
from agentflow.contracts.model import EventContract

_RESERVED: Final = frozenset({"time", "id", "tenant"})
_KEY: Final = '-H "X-API-Key: $AGENTFLOW_API_KEY"'
_KEY_ID: Final = "key_0123456789abcdef"
_NEXT: Final = " \\\n  "


@dataclass(frozen=True, slots=True)
class Sample:
    """What examples are made of.

    Attributes:
        event: An example of the contracts that is a whole event.
        names: What stands for the parameters, by name.
    """

    metric: MetricContract
    event: Mapping[str, object]
    names: Mapping[str, str]


def sample_of(registry: Registry) -> Sample | None:
    """Return what these contracts can show; None when no metric has an example of a whole event."""
    for contract, data, metric in _whole_events(registry):
        event = {
            "specversion": "1.0",
            "id": "example-1",
            "source": "/example",
            "type": contract.name,
            "data": data,
        }
        entity, identity = _entity(registry, data)
        names = {
            "name": metric.name,
            "kind": "metric",
            "version": str(metric.version),
            "from": str(_first_version(registry, metric)),
            "to": str(metric.version),
            "q": metric.name,
            "type": entity,
            "id": identity,
            "event": contract.name,
            "event_id": "example-1",
            "offset": "0",
        }
        return Sample(metric, event, names)
    return None


def curl(
    sample: Sample, method: str, path: str, operation: Mapping[str, Any], *, url: str, keyed: bool
) -> str:
    """Return the command that makes a request, as a shell takes it."""
    filled = path.replace("/v1/keys/{id}", f"/v1/keys/{_KEY_ID}")
    for name, value in sample.names.items():
        filled = filled.replace(f"{{{name}}}", escaped(value, safe=""))
    query = {
        item["name"]: sample.names[item["name"]]
        for item in operation.get("parameters", ())
        if item["in"] == "query" and item.get("required") and item["name"] in sample.names
    }
    query |= _telling(sample, path)
    text = "&".join(f"{name}={escaped(value, safe='')}" for name, value in query.items())
    target = quote(url + filled + (f"?{text}" if text else ""))
    streams = operation.get("tags") == ["streams"]
    parts = [f"curl {'-N ' if streams else ''}{'-X POST ' if method == 'post' else ''}{target}"]
    if keyed and operation.get("security") != []:
        parts.append(_KEY)
    if method == "post" and "requestBody" in operation:
        media, body = _body(sample, path)
        parts += [
            f"-H 'Content-Type: {media}'",
            f"-d {quote(json.dumps(body, ensure_ascii=False))}",
        ]
    return _NEXT.join(parts)


def _telling(sample: Sample, path: str) -> dict[str, str]:
    """Return optional parameters without which an example says little."""
    if path == "/v1/metrics/{name}":
        return {"window": sample.metric.windows[0]}
    if path == "/v1/lineage/event/{event_id}":
        return {"source": str(sample.event["source"])}
    if path == "/v1/stream/metrics":
        return {"metric": sample.metric.name}
    if path == "/v1/entity/{type}/{id}":
        return {"timeline": "true"}
    return {}


def _body(sample: Sample, path: str) -> tuple[str, object]:
    if path in {"/v1/events", "/v1/dry-run"}:
        return "application/cloudevents+json", sample.event
    bodies: dict[str, object] = {
        "/v1/batch": {
            "items": [{"metric": sample.metric.name, "window": sample.metric.windows[0]}]
        },
        "/v1/contracts/{event}/validate": sample.event["data"],
        "/v1/keys": {
            "name": "dashboard",
            "scopes": ["metrics:read"],
            "metrics": [sample.metric.name],
        },
        "/v1/keys/{id}/rotate": {"overlap_seconds": 3_600},
        "/v1/deadletter/replay": {"type": sample.event["type"]},
        "/v1/deadletter/{offset}/fix": {"event": sample.event, "note": "fixed by hand"},
        "/v1/deadletter/{offset}/discard": {"note": "a test"},
    }
    return "application/json", bodies.get(path, {})


def _whole_events(
    registry: Registry,
) -> Iterator[tuple[EventContract, dict[str, object], MetricContract]]:
    """Yield the examples that have all that their event requires, money first: it shows most."""
    found = [item for item in registry.metrics.values() if item.status == "approved"]
    for metric in sorted(found, key=lambda item: (item.unit not in item.dimensions, -item.version)):
        events = {ref.type: registry.events[ref] for ref in metric.refs}
        for example in metric.examples:
            for given in example.given:
                for reference, values in given.items():
                    contract = events.get(reference.partition("@")[0])
                    if contract is None or contract.corrects is not None:
                        continue
                    data = {name: values[name] for name in values if name not in _RESERVED}
                    if all(n in data for n, field in contract.fields.items() if field.required):
                        yield contract, data, metric


def _entity(registry: Registry, data: Mapping[str, object]) -> tuple[str, str]:
    """Return the thing that an event is about, by type and id."""
    for contract in registry.entities.values():
        if contract.key in data:
            return contract.name, str(data[contract.key])
    return next((contract.name for contract in registry.entities.values()), "entity"), "1"


def _first_version(registry: Registry, metric: MetricContract) -> int:
    return min(version for name, version in registry.metrics if name == metric.name)
