"""What is read as an instant, a day or a decimal, compared with the standard library."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.clock import from_datetime
from quality.formats import (
    canonical_decimal,
    decimal_form,
    decimal_reader,
    instant_us,
    iso_date,
    search_form,
)

offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
inner = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31))  # noqa: DTZ001


@given(
    moment=inner, zone=offsets, digits=st.sampled_from(["seconds", "milliseconds", "microseconds"])
)
def test_instants_mean_what_datetime_says(moment: datetime, zone: timezone, digits: str) -> None:
    """The lookup tables are an optimisation, not a second meaning of time."""
    text = moment.replace(tzinfo=zone).isoformat(timespec=digits)

    read = instant_us(text)

    assert read == from_datetime(datetime.fromisoformat(text))


@given(moment=inner, digits=st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_zulu_is_utc(moment: datetime, digits: str) -> None:
    """Most producers write Z, and it has a faster way."""
    text = moment.isoformat(timespec=digits)

    assert instant_us(f"{text}Z") == from_datetime(datetime.fromisoformat(f"{text}+00:00"))


@given(
    text=st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", fullmatch=True)
)
def test_impossible_instants_are_refused(text: str) -> None:
    """The 31st of February is a bug of the sender, not the 3rd of March."""
    try:
        expected: int | None = from_datetime(datetime.fromisoformat(text))
    except ValueError:
        expected = None

    assert instant_us(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-11-21",
        "2026-11-21T09:20:01",
        "2026-11-21T09:20Z",
        "2026-11-21T09:20:60Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T09:20:01.Z",
        "2026-11-21T09:20:01,5Z",
        "2026-11-21T09:20:01+0100",
        "2026-11-21T09:20:01+24:00",
        "2026-11-21T09:20:01 Z",
        " 2026-11-21T09:20:01Z",
        "2026-11-21T09:20:01Z\n",
        "2026-W47-6T09:20:01Z",
        "20261121T092001Z",
        "٢٠٢٦-11-21T09:20:01Z",
        "2026-11-21T09:20:01.٣٣٣Z",
        "2026-11-21T09:20:01.1234567890Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "1763716801",
    ],
)
def test_near_instants_are_refused(text: str) -> None:
    """Each of these is read by some library, and not by another."""
    assert instant_us(text) is None


def test_digits_beyond_microseconds_never_round_up() -> None:
    """Rounding would move the last event of a window into the next one."""
    assert instant_us("1970-01-01T00:00:00.999999999Z") == 999_999


def test_rfc_3339_leaves_small_letters_and_a_blank_free() -> None:
    """Section 5.6 of the RFC allows them, and some database drivers write them."""
    assert instant_us("1970-01-01t00:00:01z") == instant_us("1970-01-01 00:00:01Z") == 1_000_000


@given(day=st.dates())
def test_days_are_iso_days(day: date) -> None:
    """The text is kept, so it must be the one way to write the day, which also sorts."""
    assert iso_date(day.isoformat())


@pytest.mark.parametrize(
    "text", ["2026-02-29", "20260101", "2026-W01-1", "0000-01-01", "2026-1-1", "2026-01-01\n"]
)
def test_near_days_are_refused(text: str) -> None:
    """As for instants."""
    assert not iso_date(text)


@given(
    value=st.decimals(
        allow_nan=False, allow_infinity=False, places=2, max_value=10**17, min_value=-(10**17)
    )
)
def test_a_decimal_has_one_form(value: Decimal) -> None:
    """Equal amounts must be equal bytes in the log, in the lake and in answers."""
    text = f"{value:f}"

    read = decimal_reader(2)(text)

    assert read == value
    assert str(read) == str(
        canonical_decimal(text.rstrip("0").rstrip(".") if "." in text else text, 2)
    )


@given(text=st.text("0123456789.-+eE_ ٣NaInfity", max_size=24))
def test_decimals_are_json_numbers_without_exponent(text: str) -> None:
    """`Decimal()` also takes underscores, blanks, other digits, NaN and 1e9999999."""
    wanted = re.fullmatch(r"-?(0|[1-9]\d{0,17})(\.\d{1,4})?", text, flags=re.ASCII) is not None

    assert (decimal_form(4)(text) is not None) is wanted


def test_dollar_means_the_end() -> None:
    """A newline at the end passes `$` in Python and nowhere else."""
    assert re.search("^a$", "a\n")
    assert not re.search(search_form("^a$"), "a\n")
    assert re.search(search_form(r"^[]$]\$$"), "$$")


def test_instants_are_compared_in_utc() -> None:
    """Offsets change how a time is written, not when it is."""
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)

    assert instant_us("2026-11-21T13:30:00+01:30") == from_datetime(noon)
