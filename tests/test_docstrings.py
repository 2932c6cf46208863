"""Every `>>>` example in a docstring is true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = (ROOT / "src", ROOT / "sdk" / "src")


def _modules_with_examples() -> list[str]:
    return sorted(
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        for source in SOURCES
        for path in source.rglob("*.py")
        if ">>>" in path.read_text() and "flink" not in path.parts  # Flink's own environment
    )


@pytest.mark.parametrize("name", _modules_with_examples())
def test_the_examples_of_a_module_hold(name: str) -> None:
    """An example that is wrong teaches something wrong."""
    module = importlib.import_module(name)

    results = doctest.testmod(module)

    assert results.attempted > 0
    assert results.failed == 0
