"""The command line, in front of a real platform that all tests of a module share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agentflow_cli import main

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.e2e.conftest import Up, platform_up  # noqa: E402

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with platform_up(tmp_path_factory.mktemp("data"), ROOT / "contracts") as running:
        yield running


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command without a platform."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("AGENTFLOW_URL", "http://127.0.0.1:9")

    def invoke(*arguments: object, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(main, [str(part) for part in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def live(run: Run, platform: Up, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the platform."""
    monkeypatch.setenv("AGENTFLOW_URL", platform.url)
    return run


def json_of(result: Result) -> Any:  # noqa: ANN401  # any JSON
    return json.loads(result.stdout)
