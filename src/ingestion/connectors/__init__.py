"""Debezium connectors, made from the source contracts and kept as they should be."""

from ingestion.connectors.configuration import Connector, connectors_of, transaction_topics
from ingestion.connectors.connect import ConnectClient, Drift
from ingestion.connectors.health import Ailment, diagnose

__all__ = [
    "Ailment",
    "ConnectClient",
    "Connector",
    "Drift",
    "connectors_of",
    "diagnose",
    "transaction_topics",
]
