"""What corrections do to an event type, as a value: the one rule that every engine renders.

An event is gone when anything retracts it. Otherwise each field that corrections replace is taken
from the newest correction that gives it, whichever its type, by `NEWEST`; event time and the key
stay.
Of events that are versions of a row only the newest counts, by sequence and then as below, unless
a retraction has a greater sequence.

`processing.live.corrections` folds events as they come, `agentflow.metrics.effective` writes the
fold for DuckDB, `agentflow.export.rows` for any other database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentflow.contracts.model import EventContract

NEWEST = ("occurred_at", "event_id", "source")
"""What puts corrections in order, greatest last; text by code point."""
NEWEST_VERSION = ("event_id", "source")
"""What puts versions of a row with the same sequence in order, greatest last."""


@dataclass(frozen=True, slots=True)
class Fold:
    """The corrections of one event type.

    Attributes:
        retractions: Event types that take it back.
        replacements: Replaced field → event types that may give its value.
    """

    retractions: tuple[EventContract, ...]
    replacements: Mapping[str, tuple[EventContract, ...]]


def fold_of(base: EventContract, events: Iterable[EventContract]) -> Fold:
    """Return the fold of an event type; its corrections are found among *events*."""
    correcting = [each for each in events if each.corrects and each.corrects.ref == base.ref]
    retractions = [
        each for each in correcting if each.corrects and each.corrects.effect == "retract"
    ]
    replacements: dict[str, tuple[EventContract, ...]] = {}
    for each in correcting:
        for name in replaceable(each, base):
            replacements[name] = (*replacements.get(name, ()), each)
    return Fold(tuple(retractions), replacements)


def replaceable(correcting: EventContract, corrected: EventContract) -> tuple[str, ...]:
    """Return the fields a `replace` correction overwrites, in the corrected event's order."""
    correction = correcting.corrects
    if correction is None or correction.effect != "replace":
        return ()
    return tuple(
        name
        for name in corrected.fields
        if name in correcting.fields and name not in {correction.on, corrected.event_time}
    )
