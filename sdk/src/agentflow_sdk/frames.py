"""Answers as tables: Arrow, polars, pandas. Needs the extra `frames`; decimals stay exact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from agentflow_sdk.errors import FramesMissingError

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl
    import pyarrow as pa

_DIGITS = 38
_Members = Iterable[tuple[str, Any]]


class Tabular(Protocol):
    """What becomes rows: an answer with a series, or groups, or one value."""

    @property
    def series(self) -> Sequence[_Members]:
        """Points, each with `start`, `end`, `dimensions`, `value` and `events`."""

    @property
    def groups(self) -> Sequence[_Members]:
        """Groups, each with `dimensions`, `value` and `events`."""

    @property
    def dimensions(self) -> Mapping[str, Any]:
        """What was asked for, where there is one value."""

    @property
    def value(self) -> Decimal | int | None:
        """That value."""

    @property
    def events(self) -> int:
        """How many events it counts."""


def to_arrow(answer: Tabular) -> pa.Table:
    """Return the series, else the groups, else the one value, as rows.

    Raises:
        FramesMissingError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise FramesMissingError("pyarrow is not installed") from error
    rows = [dict(row) for row in _rows(answer)]
    dimensions = sorted({name for row in rows for name in row["dimensions"]})
    columns: dict[str, Any] = {}
    if answer.series:
        for name in ("start", "end"):
            columns[name] = pa.array([row[name] for row in rows], pa.timestamp("us", "UTC"))
    for name in dimensions:
        columns[name] = pa.array([_text(row["dimensions"].get(name)) for row in rows], pa.string())
    values = [row["value"] for row in rows]
    columns["value"] = pa.array(_alike(values), _value_type(pa, values))
    columns["events"] = pa.array([row["events"] for row in rows], pa.int64())
    return pa.table(columns)


def to_polars(answer: Tabular) -> pl.DataFrame:
    """Return the rows of `to_arrow` as a polars frame.

    Raises:
        FramesMissingError: polars or pyarrow is not installed.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise FramesMissingError("polars is not installed") from error
    frame = pl.from_arrow(to_arrow(answer))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  # a table never becomes a series
    return frame


def to_pandas(answer: Tabular) -> pd.DataFrame:
    """Return the rows of `to_arrow` as a pandas frame whose columns keep their Arrow types.

    Raises:
        FramesMissingError: pandas or pyarrow is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise FramesMissingError("pandas is not installed") from error
    frame: pd.DataFrame = to_arrow(answer).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _rows(answer: Tabular) -> Iterable[Mapping[str, Any]]:
    if answer.series:
        return [dict(point) for point in answer.series]
    if answer.groups:
        return [dict(group) for group in answer.groups]
    return [{"dimensions": answer.dimensions, "value": answer.value, "events": answer.events}]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _alike(values: Sequence[Decimal | int | None]) -> list[Decimal | int | None]:
    """Make all values decimals when one is; Arrow columns have one type."""
    if not any(isinstance(value, Decimal) for value in values):
        return list(values)
    return [None if value is None else Decimal(value) for value in values]


def _value_type(pa: Any, values: Sequence[Decimal | int | None]) -> Any:  # noqa: ANN401  # a module
    decimals = [value for value in values if isinstance(value, Decimal)]
    if not decimals:
        return pa.int64()
    exponents = [int(value.as_tuple().exponent) for value in decimals]
    return pa.decimal128(_DIGITS, max(0, -min(exponents)))
