"""Debezium connectors, made from the source contracts and kept as they should be."""

from ingestion.connectors.configuration import Connector, connectors_of, transaction_topics
from ingestion.connectors.connect import ConnectClient, ConnectorDrift
from ingestion.connectors.health import ConnectorProblem, diagnose

__all__ = [
    "ConnectClient",
    "Connector",
    "ConnectorDrift",
    "ConnectorProblem",
    "connectors_of",
    "diagnose",
    "transaction_topics",
]
