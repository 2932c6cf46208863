"""Where accepted events are, in the log and in the lake."""

from processing.lineage.accepted import AcceptedEvents
from processing.lineage.tracing import Lineage, TableSource

__all__ = ["AcceptedEvents", "Lineage", "TableSource"]
