"""What events, entities and metrics mean: contract files, read once and checked as a whole."""

from agentflow.contracts.compatibility import Change, Impact, breaking, diff
from agentflow.contracts.graph import Edge, Graph, Node, graph
from agentflow.contracts.lint import lint
from agentflow.contracts.load import Reading, load, read_directory
from agentflow.contracts.lock import check_lock, lock_text, read_lock, unlocked, write_lock
from agentflow.contracts.model import (
    Contract,
    EntityContract,
    EventContract,
    FieldContract,
    MetricContract,
)
from agentflow.contracts.registry import Registry
from agentflow.contracts.source import Source
from agentflow.contracts.tables import SourceContract

__all__ = [
    "Change",
    "Contract",
    "Edge",
    "EntityContract",
    "EventContract",
    "FieldContract",
    "Graph",
    "Impact",
    "MetricContract",
    "Node",
    "Reading",
    "Registry",
    "Source",
    "SourceContract",
    "breaking",
    "check_lock",
    "diff",
    "graph",
    "lint",
    "load",
    "lock_text",
    "read_directory",
    "read_lock",
    "unlocked",
    "write_lock",
]
