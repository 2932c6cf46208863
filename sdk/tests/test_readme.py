"""The README's examples, executed from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.conftest import ROOT, platform_up

README = Path(__file__).parents[1] / "README.md"


def test_examples_run_as_printed(url: str) -> None:
    """An example that does not run teaches the wrong thing."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    program = "\n".join(blocks).replace("http://127.0.0.1:8000", url)

    scope: dict[str, object] = {}
    exec(compile(program, str(README), "exec"), scope)  # noqa: S102

    assert len(blocks) >= 6
    assert str(scope["revenue"]).count("99.50") >= 1


def test_examples_run_against_the_real_platform(tmp_path: Path) -> None:
    """The fake is only as good as its likeness."""
    with platform_up(tmp_path / "data", ROOT / "contracts") as up:
        test_examples_run_as_printed(up.url)
