"""The reference page of mappings names every key there is, and its example works."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from agentflow.lint import load
from ingestion.replay import read_mappings, replay
from ingestion.replay.shape import (
    Delimited,
    EventMapping,
    FileColumn,
    InstantColumn,
    Lookup,
    MappingContract,
    Numbers,
)
from tests.ingestion.replay.test_delimited import EVENT

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "replay.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("## A mapping", MappingContract), ("### csv", Delimited), ("### numbers", Numbers),
        ("### column", FileColumn), ("### lookup", Lookup), ("### instant", InstantColumn),
        ("### event", EventMapping),
    ],
)  # fmt: skip
def test_the_page_names_every_key_and_no_other(heading: str, model: type[BaseModel]) -> None:
    """A key that no page names does not exist for anybody."""
    section = PAGE.split(f"\n{heading}\n")[1].split("\n##")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row.split(" | ")[0])}

    assert keys == set(model.model_fields)


def test_the_example_works(tmp_path: Path) -> None:
    """As somebody copies it."""
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for folder, text in (("events", EVENT), ("mappings", example)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.yaml").write_text(text)
    file = tmp_path / "sales_july.csv"
    file.write_text("Datum;Betrag;Notiz\n01.07.2026; 1.234,50;x\n")

    (event,) = replay(file, read_mappings(tmp_path, load(tmp_path))["sales"])

    document = json.loads(event.value)
    assert (document["id"], document["time"]) == ("2026-1", "2026-07-01T10:00:00.000000Z")
    assert document["data"] == {"amount": "1234.50", "note": "x"}
