"""Where an event's fields travel between Python and Flink: slots, shared by all event types.

A row with a place of its own for every field of every type would be mostly nulls, each of which
has to cross from Python to Java. (A nullable row inside a row cannot: thread mode fails on null.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from processing.transformations.layout import LakeColumnType, Layout

WIRES: Final = ("text", "whole", "real", "truth")
"""What crosses cheaply and exactly: instants, decimals and dates as text.

Flink 2.1 makes instants of whole milliseconds only; of text, it makes them to the microsecond.
"""

_WIRE: Final = {"long": "whole", "double": "real", "boolean": "truth"}


def wire(kind: LakeColumnType) -> str:
    """Return which kind of slot a type travels in."""
    return _WIRE.get(kind.name, "text")


def slots_of(layout: Layout) -> Mapping[str, str]:
    """Return the slot of each field of one event version, by name.

    >>> from processing.transformations.layout import LONG, STRING, LakeColumn
    >>> columns = (LakeColumn("a", STRING), LakeColumn("b", LONG), LakeColumn("c", STRING))
    >>> slots_of(Layout("t", columns))
    {'a': 'text_0', 'b': 'whole_0', 'c': 'text_1'}
    """
    used: Counter[str] = Counter()
    slots = {}
    for column in layout.fields:
        kind = wire(column.type)
        slots[column.name] = f"{kind}_{used[kind]}"
        used[kind] += 1
    return slots


def all_slots(layouts: Iterable[Layout]) -> list[str]:
    """Return as many slots of each kind as the widest event needs."""
    needed = {slot for layout in layouts for slot in slots_of(layout).values()}
    return sorted(needed, key=lambda slot: (WIRES.index(_kind(slot)), int(slot.split("_")[1])))


def _kind(slot: str) -> str:
    return slot.split("_", maxsplit=1)[0]
