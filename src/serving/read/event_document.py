"""An accepted event as people read it: its contract's fields, instants and decimals as text."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from agentflow.clock import to_rfc3339
from agentflow.contracts import Registry
from agentflow.contracts.scope import attribute_of, full_scope
from agentflow.events import Event, EventRef
from ingestion.log.port import VALIDATED
from serving.read.offsets import Offsets

_KNOWN_TYPES: Final = 1_024


class EventDocuments:
    """Renders events of one registry for their tenants; compiled once for each event type."""

    def __init__(self, registry: Registry, offsets: Offsets) -> None:
        self.registry = registry
        self._offsets = offsets
        self._fields = lru_cache(maxsize=_KNOWN_TYPES)(self._compile)
        self._encode = msgspec.json.Encoder(enc_hook=as_text).encode

    def data(self, event: Event) -> dict[str, object]:
        """Return declared and derived fields; absent ones are left out."""
        members: dict[str, object] = {}
        for name, attribute, instant in self._fields(event.type, event.version):
            value = getattr(event.data, attribute, None)
            if value is None:
                continue
            members[name] = to_rfc3339(value) if instant else plain(value)
        return members

    def document(self, event: Event, offset: int) -> dict[str, object]:
        """Return the event with its envelope."""
        return {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "version": event.version,
            "time": to_rfc3339(event.occurred_us),
            "ingested_at": to_rfc3339(event.ingested_us),
            "subject": event.subject,
            "correlation_id": event.correlation_id,
            "offset": self._offsets.shown(event.tenant, VALIDATED, offset),
            "data": self.data(event),
        }

    def render(self, event: Event, offset: int) -> bytes:
        """Return the document as JSON."""
        return self._encode(self.document(event, offset))

    def _compile(self, name: str, version: int) -> tuple[tuple[str, str, bool], ...]:
        contract = self.registry.events.get(EventRef(name, version))
        scope: Mapping[str, object] = {} if contract is None else full_scope(contract)
        return tuple(
            (field, attribute_of(field), getattr(kind, "kind", "") == "timestamp")
            for field, kind in scope.items()
        )


def plain(value: object) -> object:
    """Return a field's value as JSON carries it."""
    return f"{value:f}" if isinstance(value, Decimal) else value


def as_text(value: object) -> object:
    """Encode decimals as text that keeps every digit."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise NotImplementedError(type(value))
