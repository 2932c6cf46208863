"""The tutorial is true: its files are written and its commands typed, one after the other."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import AGENTFLOW, ROOT, platform_up
from tests.e2e.pages import blocks, typed

DOCS = ROOT / "docs"


@pytest.mark.timeout(300)
def test_the_tutorial_and_the_page_on_operations_can_be_followed(tmp_path: Path) -> None:
    """From an empty folder to a proved number, a backup, and a second directory made of it."""
    path = os.pathsep.join([str(AGENTFLOW.parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    data = tmp_path / ".agentflow"
    said = ""
    with ExitStack() as running:
        for block in blocks(DOCS / "tutorial" / "first-contract.md"):
            if block.language == "yaml":
                file = tmp_path / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text)
            elif block.title == "second terminal":
                assert block.text == "agentflow up\n"
                up = running.enter_context(platform_up(data, tmp_path / "contracts"))
                environment["AGENTFLOW_URL"] = up.url
            else:
                said += typed(block, tmp_path, environment)
        answer = up.http.get("/v1/metrics/takings").json()
        for block in blocks(DOCS / "operations.md"):
            typed(block, tmp_path, environment)

    assert answer["value"] == "6.30"
    assert "average_price@1" in said
    assert (tmp_path / "restored" / "log.sqlite").exists()
