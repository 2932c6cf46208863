"""Whoever writes an example into a page says which test follows it."""

from __future__ import annotations

import ast

import pytest

from stack.services import Kafka
from tests.e2e.conftest import ROOT
from tests.e2e.pages import blocks

GENERATED = {"docs/reference/metrics.md"}
"""Written by `agentflow contracts export reference`, and compared with it."""

FOLLOWED = {
    "README.md": "tests/e2e/test_readme.py",
    "docs/api-keys.md": "tests/e2e/test_api_keys.py",
    "docs/operations.md": "tests/e2e/test_tutorial.py",
    "docs/reference/answers.md": "tests/e2e/test_reference.py",
    "docs/reference/http-api.md": "tests/e2e/test_reference.py",
    "docs/reference/metric-language.md": "tests/processing/test_metric_language.py",
    "docs/reference/replay.md": "tests/e2e/test_reference.py",
    "docs/reference/stack.md": "tests/e2e/test_pages.py",
    "docs/serving-from-a-stream.md": "tests/stack/test_application.py",
    "docs/tutorial/first-contract.md": "tests/e2e/test_tutorial.py",
}


def test_every_page_with_examples_is_followed_by_a_test() -> None:
    """A test that names the page; a page without examples is not listed."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {page.relative_to(ROOT).as_posix() for page in pages if list(blocks(page))}

    assert shown - GENERATED == set(FOLLOWED)


@pytest.mark.parametrize("page", FOLLOWED)
def test_the_test_of_a_page_reads_it(page: str) -> None:
    """A list of tests must not outlive them."""
    text = (ROOT / FOLLOWED[page]).read_text(encoding="utf-8")

    assert page.rpartition("/")[2] in text


def test_the_page_on_services_names_what_kafka_has() -> None:
    """Starting a broker for a page would cost more than it proves: its tests start it."""
    (block,) = (
        block
        for block in blocks(ROOT / "docs" / "reference" / "stack.md")
        if block.language == "python"
    )

    used = {
        node.attr
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "kafka"
    }

    assert used >= {"bootstrap", "kill"}
    assert [name for name in used if not hasattr(Kafka, name)] == []
