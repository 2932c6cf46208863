"""Digests by which an event is found again: on an entity's timeline, or by its correction."""

from __future__ import annotations

from agentflow.contracts import Registry
from agentflow.events import Event, EventRef


def entity_link(tenant: str, entity: str, key: str) -> bytes:
    """Return the 16-byte link of everything that happened to one entity of one tenant."""
    raise NotImplementedError


def correction_link(tenant: str, corrected: EventRef, key: str) -> bytes:
    """Return the 16-byte link shared by an event and what takes it back or amends it."""
    raise NotImplementedError


class Linker:
    """Computes the links of accepted events by the contracts of one registry, compiled once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def links(self, event: Event) -> tuple[bytes, ...]:
        """Return the links of *event*, without repetition; empty when nothing refers to it."""
        raise NotImplementedError
