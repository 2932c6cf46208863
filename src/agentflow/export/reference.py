"""The reference page of metrics, in Markdown: what each one means, for people who decide on it."""

from __future__ import annotations

from collections.abc import Iterable

from agentflow.contracts.model import MetricContract, MetricExample
from agentflow.contracts.registry import Registry
from agentflow.events import canonical_json
from agentflow.metrics.windows import step_of

_HEAD = """\
# Metrics

<!-- Generated from the contracts by `agentflow contracts export reference`; edit those instead. -->

Windows are half-open UTC ranges on event time. A rolling window moves in the steps given behind it
and ends at the end of the step that contains now; `today` is the UTC day; `all` never moves.
"""


def metrics_page(registry: Registry, metrics: Iterable[MetricContract]) -> str:
    """Return the page over *metrics*: a table of contents, then a section for each."""
    chosen = sorted(metrics, key=lambda metric: (metric.name, -metric.version))
    rows = [
        f"| [{_title(metric)}](#{_anchor(metric)}) | {_cell(metric.unit)} | {metric.status} "
        f"| {_cell(metric.description)} |"
        for metric in chosen
    ]
    table = ["| metric | unit | status | meaning |", "| --- | --- | --- | --- |", *rows]
    sections = [_section(registry, metric) for metric in chosen]
    return "\n".join([_HEAD, *table, "", "\n".join(sections)])


def _section(registry: Registry, metric: MetricContract) -> str:
    windows = ", ".join(f"`{window}` ({step_of(window)})" for window in metric.windows)
    facts = [
        f"- Unit: {_unit(metric)}",
        f"- Dimensions: {_names(metric.dimensions)}",
        f"- Windows (step): {windows}",
        f"- Moved by: {_names(metric.moved_by)}",
        f"- Fresh within: {metric.freshness.p95} for 95 of 100 events",
        f"- Owner: {metric.owner}; status: {_status(registry, metric)}",
    ]
    if metric.scale is not None:
        facts.insert(1, f"- Digits after the point: {metric.scale}")
    parts = [
        f"## {_title(metric)}",
        metric.description.strip(),
        f"```text\n{metric.value.strip()}\n```",
        "\n".join(facts),
        *(_example(example) for example in metric.examples[:1]),
    ]
    return "\n\n".join(parts) + "\n"


def _example(example: MetricExample) -> str:
    given = [f"given {_json(event)}" for event in example.given]
    then = [
        f"then  {dimensions or 'everything'}: {_json(value)}"
        for dimensions, value in example.then.items()
    ]
    name = f": {example.name}" if example.name else ""
    text = "\n".join([*given, *then])
    return f"Example{name}.\n\n```text\n{text}\n```"


def _json(value: object) -> str:
    return canonical_json(value).decode()


def _unit(metric: MetricContract) -> str:
    if metric.unit in metric.dimensions:
        return f"the `{metric.unit}` of the answer; never added across"
    return metric.unit


def _status(registry: Registry, metric: MetricContract) -> str:
    sunset = f", answers until {metric.sunset}" if metric.sunset else ""
    default = registry.metric(metric.name).version == metric.version
    return f"{metric.status}{sunset}{'' if default else ', only when asked for by version'}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _title(metric: MetricContract) -> str:
    return f"{metric.name} v{metric.version}"


def _anchor(metric: MetricContract) -> str:
    return f"{metric.name}-v{metric.version}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
