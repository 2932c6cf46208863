"""The examples of reference pages are true on a running platform."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.conftest import AGENTFLOW, ROOT, Up, platform_up
from tests.e2e.pages import Block, blocks, typed

REFERENCE = ROOT / "docs" / "reference"
SALES = """
kind: event
name: sale.made
version: 1
status: approved
owner: docs
description: Something was sold.
lateness: {accept: 3650d}
fields:
  amount: {type: decimal, scale: 2, required: true}
  note: {type: string}
---
kind: metric
name: turnover
version: 1
status: approved
owner: docs
description: What was sold.
value: sum(sale.made.amount)
scale: 2
unit: EUR
moved_by: [sale.made@1]
windows: [all]
freshness: {p95: 1s}
"""
ROWS = "Datum;Betrag;Notiz\n05.03.2026; 1.234,50 ;first\n07.03.2026;2,25;\n"


def examples(page: str, language: str) -> list[Block]:
    """Return the examples of a page of the reference that are written in *language*."""
    return [block for block in blocks(REFERENCE / page) if block.language == language]


def test_the_file_of_the_page_on_replay_is_replayed(tmp_path: Path) -> None:
    """By its mapping's pattern and by its name: what came already counts once."""
    (mapping,) = examples("replay.md", "yaml")
    (commands,) = examples("replay.md", "console")
    contracts = tmp_path / "contracts"
    (contracts / "mappings").mkdir(parents=True)
    for folder, text in zip(("events", "metrics"), SALES.split("---"), strict=True):
        (contracts / folder).mkdir()
        (contracts / folder / "sales.v1.yaml").write_text(text)
    (contracts / "mappings" / "sales.yaml").write_text(mapping.text)
    for name in ("sales.csv", "other.csv"):
        (tmp_path / name).write_text(ROWS)

    with platform_up(tmp_path / "data", contracts) as up:
        path = os.pathsep.join([str(AGENTFLOW.parent), os.environ["PATH"]])
        environment = {
            **os.environ,
            "PATH": path,
            "AGENTFLOW_URL": up.url,
            "AGENTFLOW_CONTRACTS_DIR": str(contracts),
        }
        typed(commands, tmp_path, environment)
        answer = up.http.get("/v1/metrics/turnover?window=all").json()

    assert answer["value"] == "1236.75"


def test_the_page_on_answers_shows_what_is_asked_and_warned(up: Up) -> None:
    """Its batch is answered; its warning is the one that a slip of the hand gets."""
    batch, warning = examples("answers.md", "json")
    order: dict[str, Any] = {"order_id": "A", "amount": "1.00", "currency": "EUR", "country": "FR"}
    event = {"type": "order.created", "data": order}
    assert up.http.post("/v1/events", json=event).status_code == 200

    answered = up.http.post(
        "/v1/batch", content=batch.text, headers={"content-type": "application/json"}
    ).json()
    asked = up.http.get("/v1/metrics/revenue?window=1h&country=fr").json()

    assert [each["metric"] for each in answered["answers"]] == ["revenue", "order_count"]
    assert answered["answers"][0]["dimensions"] == {"country": "DE", "channel": None}
    assert [group["dimensions"] for group in answered["answers"][1]["groups"]] == [
        {"country": "FR"}
    ]
    assert {"warnings": asked["warnings"]} == json.loads(f"{{{warning.text}}}")


def test_the_scrape_of_the_page_on_http_is_what_prometheus_reads() -> None:
    """Credentials go where Prometheus takes them, and `/metrics` is where it looks by itself."""
    (block,) = examples("http-api.md", "yaml")

    (job,) = yaml.safe_load(block.text)["scrape_configs"]

    assert job["authorization"] == {"credentials": "the-key"}
    assert "metrics_path" not in job
