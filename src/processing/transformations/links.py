"""Digests by which an event is found again: on an entity's timeline, or by its correction."""

from __future__ import annotations

from functools import lru_cache

from agentflow.contracts import EventContract, Registry
from agentflow.events import Event, EventRef
from quality import attribute_of
from quality.digest import Digest, finished, link_prefix

_ENTITY = "entity"
_CORRECTION = "correction"
_TENANTS_AND_TYPES = 4096


def entity_link(tenant: str, entity: str, key: str) -> bytes:
    """Return the 16-byte link of everything that happened to one entity of one tenant."""
    return finished(link_prefix(tenant, _ENTITY, entity), key)


def correction_link(tenant: str, corrected: EventRef, on: str, key: str) -> bytes:
    """Return the 16-byte link shared by events and what takes them back or amends them.

    Args:
        tenant: Keys mean nothing under another one.
        corrected: The event type that is corrected, not the one that corrects.
        on: The field that ties the two together.
        key: Its value.
    """
    return finished(link_prefix(tenant, _CORRECTION, str(corrected), on), key)


class Linker:
    """Computes the links of accepted events by the contracts of one registry, compiled once."""

    def __init__(self, registry: Registry) -> None:
        self._parts = {ref: _parts(contract, registry) for ref, contract in registry.events.items()}
        self._prepared = lru_cache(maxsize=_TENANTS_AND_TYPES)(self._prepare)

    def links(self, event: Event) -> tuple[bytes, ...]:
        """Return the links of *event*, without repetition; empty when nothing refers to it."""
        data = event.data
        found: list[bytes] = []
        for attribute, prefix in self._prepared(event.tenant, event.type, event.version):
            value = getattr(data, attribute)
            if value is not None:
                state = prefix.copy()
                state.update((value if value.__class__ is str else str(value)).encode())
                found.append(state.digest())
        if len(found) > 1:  # two fields may name one entity
            return tuple(dict.fromkeys(found))
        return tuple(found)

    def _prepare(self, tenant: str, name: str, version: int) -> tuple[tuple[str, Digest], ...]:
        """Hash once what the links of one tenant and event type have in common."""
        return tuple(
            (attribute_of(field), link_prefix(tenant, *parts))
            for field, parts in self._parts.get(EventRef(name, version), ())
        )


def _parts(contract: EventContract, registry: Registry) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return, for each link, the field that holds its key and the parts before the key."""
    ref = contract.ref
    links: list[tuple[str, tuple[str, ...]]] = [
        (source.key, (_ENTITY, entity.name))
        for entity in registry.entities.values()
        for source in entity.sources
        if source.ref == ref
    ]
    corrections: list[tuple[str, tuple[str, ...]]] = [
        (correcting.corrects.on, (_CORRECTION, str(ref), correcting.corrects.on))
        for correcting in registry.corrections_of(ref)
        if correcting.corrects is not None
    ]
    if contract.supersedes is not None:
        corrections.append(
            (contract.supersedes.on, (_CORRECTION, str(ref), contract.supersedes.on))
        )
    if contract.corrects is not None:
        on = contract.corrects.on
        corrections.append((on, (_CORRECTION, str(contract.corrects.ref), on)))
    return tuple(dict.fromkeys([*links, *corrections]))
