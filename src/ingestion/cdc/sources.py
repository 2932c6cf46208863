"""The source contracts of a registry, compiled: which topic becomes which events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentflow.contracts import Registry, SourceContract
from agentflow.contracts.model import EventContract
from agentflow.contracts.scope import sequence_of
from agentflow.contracts.tables import Emission
from agentflow.events import EventRef


@dataclass(frozen=True, slots=True)
class CompiledEmission:
    """One emission, with what is looked up once."""

    emission: Emission
    event: EventContract
    sequence: str | None

    @property
    def versioned(self) -> bool:
        """Whether the event is a version of a row, or takes such versions back."""
        return self.sequence is not None


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A source contract by operation."""

    contract: SourceContract
    makes: Mapping[str, tuple[CompiledEmission, ...]]

    @property
    def place(self) -> str:
        """What events name as their source."""
        return f"/cdc/{self.contract.topic}"


class Sources:
    """The source contracts of a registry, by topic. Immutable; safe to share by threads."""

    def __init__(self, registry: Registry) -> None:
        self.tables: Mapping[str, SourceTable] = {
            contract.topic: SourceTable(
                contract,
                {
                    operation: tuple(
                        _made(emission, registry.events)
                        for emission in emissions
                        if emission.ref in registry.events
                    )
                    for operation, emissions in contract.emissions.items()
                },
            )
            for contract in sorted(registry.tables.values(), key=lambda each: each.version)
            if contract.status != "deprecated"
        }

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that hold changes, sorted."""
        return tuple(sorted(self.tables))

    def tenant(self, topic: str) -> str:
        """Return whose dead letters the records of a topic are when no row says it."""
        table = self.tables.get(topic)
        tenant = table.contract.tenant if table is not None else "default"
        return tenant if isinstance(tenant, str) else "default"


def _made(emission: Emission, events: Mapping[EventRef, EventContract]) -> CompiledEmission:
    event = events[emission.ref]
    return CompiledEmission(emission, event, sequence_of(event, events))
