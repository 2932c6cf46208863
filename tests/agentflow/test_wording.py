"""Numbers in sentences: no message says "1 events"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from agentflow.wording import counted, quoted

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
NOUNS = (
    "cell|change|check|column|connector|contract|dead letter|difference|event|expectation|file"
    "|letter|metric|number|partition|problem|record|replica|row|second|stream|table|topic"
)
PLURAL = re.compile(rf" ({NOUNS})s\b")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (1_000, "1,000 events")]
)
def test_a_noun_agrees_with_its_count(count: int, text: str) -> None:
    """English has two forms."""
    assert counted(count, "event") == text


@pytest.mark.parametrize(
    ("text", "said"), [("a", '"a"'), ('7"', "'7\"'"), ("'", '"\'"'), ("'\"", '"\'\\""')]
)
def test_a_text_stands_in_quotes_that_it_does_not_hold(text: str, said: str) -> None:
    """Where the name ends must be seen."""
    assert quoted(text) == said


def test_every_counted_noun_agrees() -> None:
    """A count before a plural is said by `counted`; a limit is a constant, above one."""
    wrong = [each for file in SOURCES for each in _plurals(file)]

    assert wrong == []


def _plurals(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in pairwise(node.values):
            if (
                isinstance(value, ast.FormattedValue)
                and isinstance(text, ast.Constant)
                and PLURAL.match(str(text.value))
                and not re.fullmatch(r"_?[A-Z_]+|.*kind", ast.unparse(value.value))
            ):
                yield f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
