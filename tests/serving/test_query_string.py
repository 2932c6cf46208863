"""The query string of a metric read."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import InstantRangeError, ParameterError
from agentflow.lint.metrics import RESERVED_DIMENSIONS
from serving.api import streams
from serving.read.query_string import RESERVED, instant, parse_metric_parameters


def test_no_dimension_can_have_the_name_of_a_parameter() -> None:
    """It could be declared, grouped by, and never be asked for: the parameter would be meant."""
    assert {*RESERVED, *streams.RESERVED} <= RESERVED_DIMENSIONS


def test_what_is_not_reserved_is_a_dimension() -> None:
    """Dimensions are parameters of their own name; the empty text asks for absent."""
    question = parse_metric_parameters(
        "revenue", b"window=1h&currency=EUR&country=&by=channel,country"
    )

    assert question.where == {"currency": "EUR", "country": ""}
    assert (question.window, question.by) == ("1h", ("channel", "country"))
    assert question.live


@pytest.mark.parametrize(
    "query",
    [
        b"version=0", b"version=one", b"version=99999999999",
        b"start=yesterday&end=2026-01-01T00:00:00Z",
        b"start=2026-01-01T00:00:00Z", b"end=2026-01-01T00:00:00Z", b"as_of=2026-01-01",
        b"start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", b"as_of=2026-13-01T00:00:00Z",
        b"window=1h&window=5m", b"currency=%FF", b"explain=yes", b"explain=full&grain=5m",
        b"window=1h&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z", b"a=1&" * 100,
        b"as_of=0001-01-01T00:00:00%2B14:00",
    ],
)  # fmt: skip
def test_nonsense_is_refused(query: bytes) -> None:
    """Never half understood: an ignored parameter is a wrong number."""
    with pytest.raises(ParameterError):
        parse_metric_parameters("revenue", query)


@pytest.mark.parametrize("name", ["as_of", "start", "end"])
@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z", "0999-12-31T23:59:59.999999Z", "9000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00",
    ],
)  # fmt: skip
def test_an_instant_beyond_all_windows_is_refused(name: str, text: str) -> None:
    """A window around it would end in a year that cannot be written."""
    with pytest.raises(InstantRangeError) as caught:
        instant(name, text)

    assert "1000-01-01T00:00:00" in (caught.value.hint or "")


@given(st.binary(max_size=80))
def test_parsing_is_total(query: bytes) -> None:
    """Any query string is a question or a problem."""
    with suppress(ParameterError):
        parse_metric_parameters("revenue", query)
