"""Clocks, zones and the two days a year on which they are odd."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.clock import from_datetime
from ingestion.replay.cells import CellError
from ingestion.replay.instants import at, clock_seconds, first_after

EARLIEST = datetime.fromisoformat("1980-01-01")
LATEST = datetime.fromisoformat("2035-01-01")
ZONES = ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Gaza"]


@given(
    st.datetimes(min_value=EARLIEST, max_value=LATEST),
    st.sampled_from(ZONES),
)
def test_a_wall_clock_means_what_the_time_zone_database_says(moment: datetime, zone: str) -> None:
    """Also in zones that change at half hours or one minute past midnight."""
    whole = moment.replace(microsecond=0, fold=0)

    found = at(f"{whole:%Y-%m-%d}", f"{whole:%H:%M:%S}", zone)

    assert found == from_datetime(whole.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC))


@given(
    st.integers(min_value=0, max_value=2**50),
    st.integers(min_value=0, max_value=24 * 60),
    st.sampled_from(ZONES),
)
def test_the_first_moment_after_is_less_than_two_days_away(
    start_us: int, minute: int, zone: str
) -> None:
    """An arrival time belongs to the day on which it can first be meant."""
    clock = f"{minute // 60}{minute % 60:02}"

    found = first_after(start_us, clock, zone)

    assert start_us <= found < start_us + timedelta(hours=25) // timedelta(microseconds=1)
    local = datetime.fromtimestamp(found / 1e6, ZoneInfo(zone))
    skipped = local.utcoffset() != (local - timedelta(hours=2)).utcoffset()
    assert skipped or (local.hour * 60 + local.minute) % 1440 == minute % 1440


@pytest.mark.parametrize(
    "text", ["", "25:00", "2401", "1260", "12:60", "noon", "12345", "24:00:01", "-1"]
)
def test_what_no_clock_shows_is_refused(text: str) -> None:
    """A typing mistake must not become a departure."""
    with pytest.raises(CellError):
        clock_seconds(text)
