"""A row that a mapping cannot read is a dead letter that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow.events import RawEvent
from agentflow.lint import load
from ingestion.replay.mapping import unmapped
from quality import Gate, Rejected

CONTRACTS = Path(__file__).parents[2] / "contracts"


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(load(CONTRACTS))


def judged(gate: Gate, value: bytes) -> Rejected:
    verdict = gate.judge(RawEvent(value, "default", 1_795_252_802_000_000))
    assert isinstance(verdict, Rejected)
    return verdict


def test_the_reason_is_the_true_one(gate: Gate) -> None:
    """It was `event_unknown`, which made people look for a contract."""
    row = unmapped("sales", 'column "Betrag": "x" is not a number', {"Betrag": "x"}, 7, source="s")

    verdict = judged(gate, row.value)

    assert verdict.reason == "row_unmapped"
    assert verdict.violations[0].message == 'row 7: column "Betrag": "x" is not a number'
    assert verdict.event_id is not None
    assert verdict.event_id.startswith("row 7:")


@pytest.mark.parametrize("data", ["{}", '{"row":0,"problem":"x"}', '{"row":"1"}', "[]", "null"])
def test_another_document_of_such_a_name_is_an_unknown_event(gate: Gate, data: str) -> None:
    """Only what `replay` writes stands for a row."""
    value = f'{{"type":"sales.unmapped","id":"1","source":"s","data":{data}}}'.encode()

    assert judged(gate, value).reason == "event_unknown"
