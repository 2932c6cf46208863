"""The README's examples, executed from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

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
