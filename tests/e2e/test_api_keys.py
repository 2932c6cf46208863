"""The page on API keys is true: its commands are typed, one after the other."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.conftest import AGENTFLOW, ROOT, platform_up
from tests.e2e.pages import blocks, typed
from tests.fakes.few_metrics import few_metrics


def test_the_page_on_api_keys_can_be_followed(tmp_path: Path) -> None:
    """From a platform without keys to keys that see one metric, are rotated and revoked."""
    path = os.pathsep.join([str(AGENTFLOW.parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    metrics = {"revenue", "order_count", "conversion_rate"}
    contracts = few_metrics(tmp_path / "contracts", metrics)
    with ExitStack() as running:
        for block in blocks(ROOT / "docs" / "api-keys.md"):
            if block.title == "second terminal":
                assert block.text == "agentflow up\n"
                up = running.enter_context(platform_up(tmp_path / ".agentflow", contracts))
                environment["AGENTFLOW_URL"] = up.url
            else:
                typed(block, tmp_path, environment)

        keys = {
            name: (tmp_path / name).read_text().strip()
            for name in ("boss.key", "dashboard.key", "dashboard.new", "agent.key")
        }
        statuses = {
            name: up.http.get("/v1/metrics/revenue", headers={"X-API-Key": key}).status_code
            for name, key in keys.items()
        }
        without = up.http.get("/v1/metrics/revenue")

    assert statuses == {
        "boss.key": 200,
        "dashboard.key": 200,
        "dashboard.new": 200,
        "agent.key": 401,
    }
    assert (without.status_code, without.json()["code"]) == (401, "key_missing")
