"""The reference page: complete, current, and right about the steps of windows."""

from pathlib import Path

import pytest

from agentflow.contracts import Registry
from agentflow.export import export
from agentflow.metrics.windows import DAY_US, MINUTE_US, SECOND_US, parse_window, step_of

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
STEPS_US = {
    "5s": 5 * SECOND_US,
    "1m": MINUTE_US,
    "15m": 15 * MINUTE_US,
    "1d": DAY_US,
    "never": 0,
}


def test_the_page_in_the_docs_is_current(shop: Registry) -> None:
    """Regenerate it with `agentflow contracts export reference` when a contract changes."""
    assert PAGE.read_text(encoding="utf-8") == export(shop, "reference")["metrics.md"]


@pytest.mark.parametrize(
    "window",
    ["30s", "5m", "10m", "11m", "1h", "2h", "3h", "24h", "48h", "3d", "7d", "today", "all"],
)
def test_the_page_names_the_step_the_engine_takes(window: str) -> None:
    """People read the name of a step on the page, engines count in its microseconds."""
    assert STEPS_US[step_of(window)] == parse_window(window).step_us


def test_every_version_of_every_metric_has_a_section(registry: Registry) -> None:
    """An old version still answers, so people must be able to look it up."""
    page = export(registry, "reference")["metrics.md"]

    for metric in registry.metrics.values():
        assert f"\n## {metric.name} v{metric.version}\n" in page
        assert f"(#{metric.name}-v{metric.version})" in page
        assert metric.value.strip() in page
