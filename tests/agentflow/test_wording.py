"""Numbers in sentences: no message says "1 events"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.wording import counted, quoted

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
NOUNS = (
    "cell|change|check|column|connector|contract|dead letter|difference|event|expectation|file"
    "|letter|metric|number|partition|problem|record|replica|row|second|stream|table|topic"
)
QUOTING = {
    "agentflow_cli", "agentflow_cli/contracts", "ingestion/cdc", "ingestion/log",
    "ingestion/replay", "processing/backup", "quality", "serving", "serving/api",
}  # fmt: skip
"""Rooms whose messages name what comes from outside: names, values, paths."""
NO_MESSAGES = {
    "_MARKER", "_anchor(name)", "title", "self.name", "policy.name", "item.plan.contract",
}  # fmt: skip
"""What stands between quotes, or as Python writes it, in a header, a page or a key."""
PLURAL = re.compile(rf" ({NOUNS})s\b")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (1_000, "1,000 events")]
)
def test_a_noun_agrees_with_its_count(count: int, text: str) -> None:
    """English has two forms."""
    assert counted(count, "event") == text


@given(text=st.text())
def test_what_stands_in_quotes_is_read_back(text: str) -> None:
    """Whatever it is: its end is the first quote of that kind that no backslash escapes."""
    said = quoted(text)

    inside = said[1:-1]
    if said[0] in text:
        assert re.fullmatch(r'(?:[^"\\]|\\.)*', inside, re.DOTALL)
        inside = re.sub(r"\\(.)", r"\1", inside, flags=re.DOTALL)
    assert (said[0], inside) == (said[-1], text)


def test_a_name_in_a_message_is_quoted_by_one_function() -> None:
    """A name that has quotes itself would end too early: no message writes them around it."""
    wrong = [each for file in SOURCES if room(file) in QUOTING for each in _by_hand(file)]

    assert wrong == []
    assert {room(file) for file in SOURCES} >= QUOTING


def room(file: Path) -> str:
    return file.relative_to(ROOT / "src").parent.as_posix()


def _by_hand(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.JoinedStr):
            continue
        for index, part in enumerate(node.values):
            if not isinstance(part, ast.FormattedValue):
                continue
            before, after = _text(node, index - 1), _text(node, index + 1)
            code = ast.unparse(part.value)
            by_hand = before.endswith('"') and after.startswith('"')
            as_python = before.endswith(" ") and part.conversion == ord("r")
            as_python = as_python and file.name != "source.py"  # which writes Python
            if (by_hand or as_python) and code not in NO_MESSAGES:
                yield f"{file.relative_to(ROOT)}:{node.lineno}: {code}"


def _text(node: ast.JoinedStr, index: int) -> str:
    part = node.values[index] if 0 <= index < len(node.values) else None
    return str(part.value) if isinstance(part, ast.Constant) else ""


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
