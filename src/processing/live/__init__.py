"""The live engine: metric state in memory, moved by every accepted event."""

from processing.live.corrections import Cause, Corrections, GroupLog
from processing.live.engine import LiveEngine, MetricId, Moved

__all__ = ["Cause", "Corrections", "GroupLog", "LiveEngine", "MetricId", "Moved"]
