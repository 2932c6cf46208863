"""Contracts in the words of other tools: JSON Schema, Avro, AsyncAPI, ODCS, OSI and diagrams."""

from agentflow.export.formats import FORMATS, export

__all__ = ["FORMATS", "export"]
