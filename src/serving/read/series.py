"""The points of a series: every step of the range, for every group that has something in it.

```
 steps      |   |   |   |   |      aligned to the epoch, whatever the range
 range        [───────────)
 points       [p|   |   |p)        cut by the range: clipped, and partial
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agentflow.clock import to_rfc3339
from agentflow.errors import ParameterError
from agentflow.metrics import compile_cells, measure
from agentflow.metrics.arithmetic import ExactValue
from processing.history import MetricRow
from serving.read.answer_document import Point, rendered
from serving.read.metric_query import MetricQuery

MAX_POINTS: Final = 10_000
MAX_ROWS: Final = 50_000
CLOSED_AFTER_US: Final = 60_000_000
"""A range counts as closed a minute after its end: what arrives later restates it."""

Key = tuple[object, ...]
Touched = Mapping[tuple[int | None, Key], int]
"""When a number changed last, by bucket and dimensions."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a range.

    Attributes:
        now_us: The instant up to which anything can be known.
    """

    start_us: int
    end_us: int
    grain_us: int
    now_us: int

    def buckets(self) -> range:
        """Return where each begins, before it is clipped."""
        return range(self.start_us - self.start_us % self.grain_us, self.end_us, self.grain_us)

    def clipped(self, bucket_us: int) -> tuple[int, int]:
        """Return the part of a step that lies in the range."""
        return max(bucket_us, self.start_us), min(bucket_us + self.grain_us, self.end_us)

    def partial(self, bucket_us: int) -> bool:
        """Tell whether there is, or will be, more in the step than the point shows."""
        whole = (bucket_us, bucket_us + self.grain_us)
        return self.clipped(bucket_us) != whole or whole[1] > self.now_us


def require_few(steps: Steps) -> None:
    """Refuse a series that is too long to read.

    Raises:
        ParameterError: It would be too long.
    """
    if len(steps.buckets()) > MAX_POINTS:
        raise ParameterError(
            f"the series would have more than {MAX_POINTS} points",
            hint="Take a longer grain or a shorter range.",
        )


def points(
    steps: Steps,
    keys: Sequence[Key],
    query: MetricQuery,
    rows: Sequence[MetricRow],
    touched: Touched,
) -> list[Point]:
    """Return the points of the groups *keys*, in order of time, then of *keys*.

    Raises:
        ParameterError: There are too many for one answer.
    """
    held = {(row.bucket_us, row.dimensions): row for row in rows if row.events}
    if len(keys) * len(steps.buckets()) > MAX_ROWS:
        raise ParameterError(
            f"the series has more than {MAX_ROWS} points in the groups it shows",
            hint="Ask for fewer groups with limit, a longer grain or a shorter range.",
        )
    empty = measure(query.plan, compile_cells(query.plan).empty()).value
    return [
        _point(query, steps, (bucket_us, key), held, touched, empty)
        for bucket_us in steps.buckets()
        for key in keys
    ]


def _point(
    query: MetricQuery,
    steps: Steps,
    place: tuple[int, Key],
    held: Mapping[tuple[int | None, Key], MetricRow],
    touched: Touched,
    empty: ExactValue,
) -> Point:
    start_us, end_us = steps.clipped(place[0])
    row = held.get(place)
    return Point(
        start=to_rfc3339(start_us),
        end=to_rfc3339(end_us),
        value=rendered(row.value if row else empty),
        events=row.events if row else 0,
        status=closed_status(end_us, touched.get(place)),
        partial=steps.partial(place[0]),
        dimensions=dict(zip(query.by, place[1], strict=True)),
    )


def closed_status(end_us: int | None, touched_us: int | None) -> Literal["fresh", "restated"]:
    """Tell whether a range that ends at *end_us* changed after it had closed."""
    late = end_us is not None and touched_us is not None and touched_us > end_us + CLOSED_AFTER_US
    return "restated" if late else "fresh"
