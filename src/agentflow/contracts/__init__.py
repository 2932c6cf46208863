"""What events, entities and metrics mean: contract files, read once and checked as a whole."""

from agentflow.contracts.load import Reading, load, read_directory
from agentflow.contracts.model import (
    Contract,
    EntityContract,
    EventContract,
    FieldContract,
    MetricContract,
)
from agentflow.contracts.registry import Registry
from agentflow.contracts.source import Source

__all__ = [
    "Contract",
    "EntityContract",
    "EventContract",
    "FieldContract",
    "MetricContract",
    "Reading",
    "Registry",
    "Source",
    "load",
    "read_directory",
]
