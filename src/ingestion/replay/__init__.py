"""Files of the past, sent as events: any table through a mapping kept beside the contracts."""

from ingestion.replay.load import mapping_for, read_mappings
from ingestion.replay.mapping import Mapped, RowMapping, Unmapped
from ingestion.replay.ordering import Replayed
from ingestion.replay.replay import Phase, replay
from ingestion.replay.shape import MappingContract

__all__ = [
    "Mapped",
    "MappingContract",
    "Phase",
    "Replayed",
    "RowMapping",
    "Unmapped",
    "mapping_for",
    "read_mappings",
    "replay",
]
