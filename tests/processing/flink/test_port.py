"""The conformance suite of `RowMaker`: whatever a record holds, it becomes one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts import Contract
from agentflow.lint import load
from processing.flink.lake_decode import Decoder
from processing.flink.port import MakeRow, RowMaker
from processing.flink.session_keys import SessionKeys
from tests.processing.flink.test_session_keys import record, row

CONTRACTS = tuple(load(Path("contracts")).contracts())
Maker = Callable[[Sequence[Contract], MakeRow], RowMaker]
IMPLEMENTATIONS = pytest.mark.parametrize("maker", [Decoder, SessionKeys])
GOOD = record(session_id="S", page="/", user_id="U1")


@IMPLEMENTATIONS
@given(
    value=st.none() | st.binary(max_size=40) | st.sampled_from([GOOD[0], GOOD[0][:-1]]),
    type_=st.none() | st.text(max_size=9) | st.sampled_from([GOOD[1], "order.created"]),
    version=st.none() | st.text(max_size=3) | st.sampled_from(["1", "2"]),
)
def test_a_row_has_as_many_values_whatever_the_record(
    maker: Maker, value: bytes | None, type_: str | None, version: str | None
) -> None:
    """A job that raised would judge nothing any more, and Flink's rows have one type."""
    made = MAKERS[maker]

    assert len(made.row(value, type_, version)) == len(made.row(*GOOD))


@IMPLEMENTATIONS
def test_a_record_that_can_be_read_is_told_from_one_that_cannot(maker: Maker) -> None:
    """Else what older contracts cannot read would be lost without a trace."""
    made = MAKERS[maker]

    assert made.row(*GOOD) != made.row(None, *GOOD[1:])
    assert made.row(*GOOD)[1:3] != made.row(GOOD[0][:-1], *GOOD[1:])[1:3]


MAKERS = {maker: maker(CONTRACTS, row) for maker in (Decoder, SessionKeys)}
