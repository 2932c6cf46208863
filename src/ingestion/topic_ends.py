"""Where the topics of a stream begin and end, as every broker tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class TopicBounds(NamedTuple):
    """Where a topic of one partition begins and ends."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TopicEnds:
    """Where topics end: of the followed ones by our name, of raw by partition.

    Attributes:
        judged: How far what judges had come in raw before.
    """

    followed: Mapping[str, int]
    raw: Mapping[str, int]
    judged: Mapping[str, int]
