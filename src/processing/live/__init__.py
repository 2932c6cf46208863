"""The live engine: metric state in memory, moved by every accepted event."""

from processing.live.corrections import Cause, Corrections
from processing.live.engine import LiveEngine, MetricId, Moved
from processing.live.port import GroupKey, GroupLog

__all__ = ["Cause", "Corrections", "GroupKey", "GroupLog", "LiveEngine", "MetricId", "Moved"]
