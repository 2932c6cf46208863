"""History: answers computed from the events themselves, for series, as-of and verification."""

from processing.history.duckdb_history import DeadLetterCount, History, MetricRow

__all__ = ["DeadLetterCount", "History", "MetricRow"]
