"""The live engine: metric state in memory, moved by every accepted event."""

from processing.live.corrections import Cause, Corrections, GroupKey, GroupLog
from processing.live.engine import LiveEngine, MetricId, Moved

__all__ = ["Cause", "Corrections", "GroupKey", "GroupLog", "LiveEngine", "MetricId", "Moved"]
