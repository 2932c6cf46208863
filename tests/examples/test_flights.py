"""The flights pack: real rows of 2013 become events that say what the table says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from agentflow.contracts import Registry
from agentflow.contracts.lock import LOCK_NAME, lock_text, read_lock
from agentflow.lint import lint
from ingestion.replay import RowMapping, replay

NEW_YORK = ZoneInfo("America/New_York")


def events_of(file: Path, mapping: RowMapping) -> Iterator[dict[str, Any]]:
    for event in replay(file, mapping):
        assert event.problem is None
        yield json.loads(event.value)


def minutes(clock: int) -> timedelta:
    return timedelta(minutes=clock // 100 * 60 + clock % 100)


def test_every_metric_of_the_pack_has_an_independent_recompute(
    registry: Registry, expected_flights: dict[str, dict[str, object]]
) -> None:
    """A metric nobody recomputes is a metric nobody checked."""
    assert {name for name, _ in registry.metrics} == expected_flights.keys()


def test_the_contracts_are_clean_and_locked(registry: Registry, contracts_dir: Path) -> None:
    """An example that does not pass our own checks teaches the wrong thing."""
    assert list(lint(registry)) == []
    assert lock_text(registry, read_lock(contracts_dir) or {}) == (
        contracts_dir / LOCK_NAME
    ).read_text("utf-8")


def test_the_recompute_agrees_with_counts_of_the_raw_text(
    expected_flights: dict[str, dict[str, object]],
) -> None:
    """The recompute itself is held against counts taken from the raw text with awk."""
    answers = {name: values[""] for name, values in expected_flights.items()}

    assert answers["departures"] == 328_521
    assert answers["cancellations"] == 8_255
    assert answers["arrivals"] == 327_346
    assert answers["not_arrived"] == 1_175
    assert answers["worst_departure_delay"] == 1_301
    assert answers["avg_arrival_delay"] == "6.90"
    assert expected_flights["cancellations"]["carrier=EV,origin=EWR"] == 2_164


def test_every_row_gives_what_happened_in_event_time_order(
    sample: Path, mapping: RowMapping
) -> None:
    """Departed, arrived, cancelled: as many as the table has, and never out of order."""
    rows = pd.read_csv(sample)

    events = list(events_of(sample, mapping))

    counts = Counter(event["type"] for event in events)
    assert counts == {
        "flight.departed": rows.dep_time.notna().sum(),
        "flight.arrived": rows.arr_delay.notna().sum(),
        "flight.cancelled": rows.dep_time.isna().sum(),
    }
    assert len({event["id"] for event in events}) == len(events)
    times = [event["time"] for event in events]
    assert times == sorted(times)


def test_departures_lie_on_the_timetable_of_new_york(sample: Path, mapping: RowMapping) -> None:
    """The table's own `time_hour` (UTC hour of the timetable) agrees, summer and winter."""
    rows = pd.read_csv(sample)
    by_id = {
        f"{row.year}-{row.month}-{row.day}-{row.carrier}{row.flight}-{row.origin}": row
        for row in rows.itertuples()
    }

    for event in events_of(sample, mapping):
        if event["type"] == "flight.arrived":
            continue
        row = by_id[event["data"]["flight_id"]]
        scheduled = datetime.fromisoformat(event["data"]["scheduled_at"])
        hour = datetime.fromisoformat(row.time_hour)
        assert scheduled == hour + timedelta(minutes=row.sched_dep_time % 100)
        if event["type"] == "flight.departed":
            local = datetime.fromisoformat(event["time"]).astimezone(NEW_YORK)
            assert f"{local:%H%M}" == f"{int(row.dep_time) % 2400:04}"


def test_arrivals_agree_with_the_timetable_plus_the_delay(
    sample: Path, mapping: RowMapping, contracts_dir: Path
) -> None:
    """The mapping goes by the clock of an arrival; timetable plus delay gives the same."""
    rows = pd.read_csv(sample)
    zones = pd.read_csv(contracts_dir / "mappings" / "airport_zones.csv", index_col="airport").zone
    arrived = {
        event["data"]["flight_id"]: datetime.fromisoformat(event["time"])
        for event in events_of(sample, mapping)
        if event["type"] == "flight.arrived"
    }

    for row in rows[rows.arr_delay.notna()].itertuples():
        left = datetime(row.year, row.month, row.day, tzinfo=NEW_YORK) + minutes(row.sched_dep_time)
        there = left.astimezone(ZoneInfo(zones[row.dest]))
        due = there.replace(hour=0, minute=0) + minutes(row.sched_arr_time)
        due += timedelta(days=1) if due < there else timedelta()
        instant = due.astimezone(UTC) + timedelta(minutes=row.arr_delay)
        key = f"{row.year}-{row.month}-{row.day}-{row.carrier}{row.flight}-{row.origin}"
        assert arrived[key] == instant, key


def test_the_same_file_gives_the_same_bytes_twice(sample: Path, mapping: RowMapping) -> None:
    """Replaying a file again must count nothing again: identities are in the bytes."""
    first = [event.value for event in replay(sample, mapping)]

    second = [event.value for event in replay(sample, mapping, run_length=1_000)]

    assert first == second
