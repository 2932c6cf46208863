"""One difference between two sets of contracts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Impact = Literal["breaking", "compatible", "documentation"]
ContractKind = Literal["event", "entity", "metric", "source"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed inside one contract.

    Attributes:
        path: The key, `fields.amount.maximum`; empty for the contract as a whole.
        fields: Event fields it touches; None when it touches the event as a whole, as a new
            required field does.
    """

    impact: Impact
    path: str
    message: str
    fields: frozenset[str] | None = frozenset()


@dataclass(frozen=True, slots=True)
class ContractDifference:
    """One difference, with what it hits.

    Attributes:
        metrics: The metrics it hits, `revenue@2`, sorted.
        entities: The entities it hits, `order@1`, sorted.
    """

    impact: Impact
    kind: ContractKind
    name: str
    version: int
    path: str
    message: str
    metrics: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Render as `breaking event order.created@1 fields.amount: …; hits metric revenue@2`."""
        where = f"{self.kind} {self.name}@{self.version} {self.path}".rstrip()
        hits = [f"metric {name}" for name in self.metrics]
        hits += [f"entity {name}" for name in self.entities]
        hit = f"; hits {', '.join(hits)}" if hits else ""
        return f"{self.impact} {where}: {self.message}{hit}"
