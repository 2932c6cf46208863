"""AsyncAPI 3 document of what the platform receives: a channel for each event type."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from itertools import groupby

from agentflow.contracts.model import EventContract
from agentflow.contracts.registry import Registry
from agentflow.events import canonical_json
from agentflow.events.table import slug
from agentflow.export.documents import Document
from agentflow.export.json_schema import cloudevent_schema, notes_on

VERSION = "3.0.0"
CONTENT_TYPE = "application/cloudevents+json"
_FINGERPRINT_DIGITS = 12


def asyncapi_document(registry: Registry, contracts: Iterable[EventContract]) -> Document:
    """Return one document over *contracts*; versions of one event share a channel."""
    ordered = sorted(contracts, key=lambda contract: contract.ref)
    grouped = {name: tuple(versions) for name, versions in groupby(ordered, key=lambda c: c.name)}
    body: Document = {
        "defaultContentType": CONTENT_TYPE,
        "channels": {_key(name): _channel(name, found) for name, found in grouped.items()},
        "operations": {
            f"receive_{_key(name)}": _operation(name, found) for name, found in grouped.items()
        },
        "components": {
            "messages": {slug(contract.ref): _message(registry, contract) for contract in ordered}
        },
    }
    digest = sha256(canonical_json(body)).hexdigest()[:_FINGERPRINT_DIGITS]
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "AgentFlow events",
            "version": f"1.0.0+{digest}",  # contracts carry their own versions; this marks the set
            "description": "Every event the platform takes in, generated from its contracts.",
        },
        **body,
    }


def _channel(name: str, contracts: tuple[EventContract, ...]) -> Document:
    return {
        "address": name,
        "description": contracts[-1].description,
        "messages": {
            slug(contract.ref): {"$ref": f"#/components/messages/{slug(contract.ref)}"}
            for contract in contracts
        },
    }


def _operation(name: str, contracts: tuple[EventContract, ...]) -> Document:
    return {
        "action": "receive",
        "summary": f"Take in {name}.",
        "channel": {"$ref": f"#/channels/{_key(name)}"},
        "messages": [
            {"$ref": f"#/channels/{_key(name)}/messages/{slug(contract.ref)}"}
            for contract in contracts
        ],
        "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
    }


def _message(registry: Registry, contract: EventContract) -> Document:
    return {
        "name": contract.name,
        "title": str(contract.ref),
        "description": contract.description,
        "contentType": CONTENT_TYPE,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": cloudevent_schema(registry, contract),
        "tags": [{"name": contract.owner}, {"name": contract.status}],
        "x-agentflow": notes_on(registry, contract),
    }


def _key(name: str) -> str:
    return name.replace(".", "_")
