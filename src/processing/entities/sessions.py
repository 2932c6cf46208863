"""Sessions: an entity's events, cut where it was quiet for longer than its contract's gap.

The one meaning of a session window: the API folds it from the log, and the job on Flink has to
publish the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agentflow.clock import MICROSECOND
from agentflow.events import Event
from processing.entities.folding import Entity, fold_entity

_MILLISECOND_US: Final = 1_000


@dataclass(frozen=True, slots=True)
class Session:
    """A half-open window `[start, end)` of event time, in the whole milliseconds Flink counts in.

    Attributes:
        last_us: Its last event.
        end_us: The last event and the gap. An event up to there, itself included, still joins.
        entity: What its events say of the entity, and they alone.
    """

    start_us: int
    last_us: int
    end_us: int
    entity: Entity

    @property
    def events(self) -> int:
        """How many events it has."""
        return len(self.entity.timeline)

    def open(self, at_us: int) -> bool:
        """Tell whether *at_us* is before its end."""
        return at_us < self.end_us


def sessions_of(entity: Entity) -> Sequence[Session]:
    """Return an entity's sessions, oldest first; none without a gap in its contract.

    Of an identity that is given twice the first record by event time counts.
    """
    window = entity.contract.session
    if window is None:
        return ()
    gap_us = window.length // MICROSECOND
    parts: list[list[tuple[int, Event]]] = []
    end_us = 0
    for item in _once(entity.timeline):
        at_us = _millisecond(item[1])
        if not parts or at_us > end_us:
            parts.append([])
        parts[-1].append(item)
        end_us = at_us + gap_us
    return [_session(entity, part, gap_us) for part in parts]


def _once(timeline: Sequence[tuple[int, Event]]) -> Iterable[tuple[int, Event]]:
    first: dict[tuple[str, str], tuple[int, Event]] = {}
    for item in timeline:
        first.setdefault((item[1].source, item[1].id), item)
    return first.values()


def _session(entity: Entity, part: Sequence[tuple[int, Event]], gap_us: int) -> Session:
    start_us, last_us = _millisecond(part[0][1]), _millisecond(part[-1][1])
    part_of = fold_entity(entity.contract, entity.key, part)
    return Session(start_us, last_us, last_us + gap_us, part_of)


def _millisecond(event: Event) -> int:
    return event.occurred_us - event.occurred_us % _MILLISECOND_US
