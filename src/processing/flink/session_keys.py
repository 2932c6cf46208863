"""A record of the validated topic becomes the keys of the entities whose sessions it belongs to.

Total: what cannot be read, because the job was given older contracts, belongs to none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentflow.contracts import Contract, EntityContract, Registry
from agentflow.errors import AgentFlowError
from agentflow.events import EventRef
from agentflow.events.identity import identity_key
from processing.flink.port import MakeRow
from quality import Gate, attribute_of


def entities_with_sessions(registry: Registry) -> list[EntityContract]:
    """Return the entities whose version in force names a gap, by name."""
    names = sorted({each.name for each in registry.entities.values()})
    in_force = [registry.entity(name) for name in names]
    return [each for each in in_force if each.session is not None]


def key_columns(registry: Registry) -> dict[str, list[str]]:
    """Return, for each of these entities by name, the columns of a row that may hold its key.

    One for each version, in force or not: an event is on the timeline of all of them.
    """
    return {
        each.name: [_column(version) for version in _versions(registry, each.name)]
        for each in entities_with_sessions(registry)
    }


def _versions(registry: Registry, name: str) -> list[EntityContract]:
    return [each for each in registry.entities.values() if each.name == name]


def _column(entity: EntityContract) -> str:
    return f"{entity.name}_{entity.version}"


class SessionKeys:
    """Turns records into rows: tenant, identity, then a value for each of `key_columns`.

    Args:
        contracts: The contracts; sent to Flink's workers with the job.
        row: Makes a row of positional values.
    """

    def __init__(self, contracts: Sequence[Contract], row: MakeRow) -> None:
        registry = Registry.of(contracts)
        self._gate = Gate(registry)
        self._row = row
        versions = [
            version
            for each in entities_with_sessions(registry)
            for version in _versions(registry, each.name)
        ]
        self._nothing = row(*(None,) * (2 + len(versions)))
        self._known = {
            (ref.type, str(ref.version)): (ref, attributes)
            for ref in registry.events
            if any(attributes := [_attribute(version, ref) for version in versions])
        }

    def row(self, record: bytes | None, type_: str | None, version: str | None) -> Any:  # noqa: ANN401 - Flink's
        """Return the row of a record; never raises."""
        known = self._known.get((type_ or "", version or ""))
        if known is None or record is None:
            return self._nothing
        ref, attributes = known
        try:
            event = self._gate.decode(ref, record)
        except AgentFlowError:
            return self._nothing
        identity = identity_key(event.tenant, event.source, event.id).hex()
        data = event.data
        keys = [None if name is None else getattr(data, name) for name in attributes]
        texts = [None if key is None else str(key) for key in keys]
        return self._row(event.tenant, identity, *texts)


def _attribute(entity: EntityContract, ref: EventRef) -> str | None:
    """Return the attribute of an event's data that holds the key of an entity, if one does."""
    for source in entity.sources:
        if source.ref == ref:
            return attribute_of(source.key)
    return None
