"""What events, entities and metrics mean: contract files as frozen values."""

from agentflow.contracts.compatibility import ContractDifference, Impact, breaking, diff
from agentflow.contracts.files import Linter, Reading
from agentflow.contracts.graph import Edge, Graph, Node, graph
from agentflow.contracts.lock import check_lock, lock_text, read_lock, unlocked, write_lock
from agentflow.contracts.model import (
    Contract,
    EntityContract,
    EventContract,
    FieldContract,
    MetricContract,
)
from agentflow.contracts.registry import Registry
from agentflow.contracts.source import SourceFile
from agentflow.contracts.tables import SourceContract

__all__ = [
    "Contract",
    "ContractDifference",
    "Edge",
    "EntityContract",
    "EventContract",
    "FieldContract",
    "Graph",
    "Impact",
    "Linter",
    "MetricContract",
    "Node",
    "Reading",
    "Registry",
    "SourceContract",
    "SourceFile",
    "breaking",
    "check_lock",
    "diff",
    "graph",
    "lock_text",
    "read_lock",
    "unlocked",
    "write_lock",
]
