"""The reference page knows every key there is."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from agentflow.contracts import EntityContract, EventContract, FieldContract, MetricContract
from agentflow.contracts.model import (
    Correction,
    EntitySource,
    Freshness,
    Lateness,
    MetricExample,
    Relation,
    Rule,
    SessionWindow,
    Supersession,
)
from agentflow.contracts.tables import ColumnValues, Emission, SourceContract

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "contracts.md").read_text("utf-8")
SECTIONS: dict[str, type[BaseModel]] = {
    "Event": EventContract,
    "Field": FieldContract,
    "Rule": Rule,
    "Lateness": Lateness,
    "Correction": Correction,
    "Supersession": Supersession,
    "Entity": EntityContract,
    "Source": EntitySource,
    "Relation": Relation,
    "Session window": SessionWindow,
    "Metric": MetricContract,
    "Freshness": Freshness,
    "Example": MetricExample,
    "Source contract": SourceContract,
    "Emission": Emission,
    "Column values": ColumnValues,
}


def _keys(section: str) -> set[str]:
    body = re.split(rf"^##+ {section}$", PAGE, flags=re.MULTILINE)[1]
    body = re.split(r"^##+ ", body, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", body, flags=re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_described_and_no_other(section: str) -> None:
    """A key that is not on the page is found by reading the source, or not at all."""
    kinds = {"Event", "Entity", "Metric", "Source contract"}
    shared = _keys("Keys of every contract") if section in kinds else set()
    types = {"string", "integer", "decimal", "number", "boolean", "timestamp", "date"}

    described = (_keys(section) | shared) - (types if section == "Field" else set())

    assert described == set(SECTIONS[section].model_fields)


def test_the_glossary_is_in_order_and_says_each_word_once() -> None:
    """One concept, one word; people look words up by their letter."""
    text = (ROOT / "docs" / "reference" / "glossary.md").read_text("utf-8")
    words = re.findall(r"^\| \*\*(.+?)\*\*", text, flags=re.MULTILINE)

    assert words == sorted(set(words))
    assert len(words) > 40
