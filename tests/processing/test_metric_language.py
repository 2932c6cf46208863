"""The examples of docs/reference/metric-language.md are executed."""

from __future__ import annotations

import decimal
import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from agentflow.contracts import MetricContract, Registry
from agentflow.contracts.model import EventContract, MetricExample
from agentflow.contracts.reads import implied
from agentflow.contracts.scope import declared_scope
from agentflow.contracts.source import read
from agentflow.expressions import infer, parse_scalar
from agentflow.expressions.python import NAMESPACE, PythonEmitter
from agentflow.metrics.arithmetic import EXACT
from processing.definitions.examples import run_examples

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "metric-language.md").read_text()
BLOCKS = [
    read("page", text.encode()).value for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
]
EVENTS = [EventContract.model_validate(block) for block in BLOCKS if "kind" in block]
METRICS = [block for block in BLOCKS if "value" in block]
ROWS = re.findall(r"^\| `(.+?)` \| `(\{.+?\})` \| `(.+?)` \|$", PAGE, re.MULTILINE)


def test_the_page_has_examples() -> None:
    """A page whose format changed must not pass by testing nothing."""
    assert (len(EVENTS), len(METRICS) >= 5, len(ROWS) >= 15) == (2, True, True)


@pytest.mark.parametrize("block", METRICS, ids=lambda block: block["value"])
def test_a_metric_of_the_page_is_what_it_says(block: dict[str, object]) -> None:
    """Through gate, engine and corrections, like the examples of contracts."""
    example = MetricExample.model_validate({"given": block["given"], "then": {"": block["then"]}})
    metric = MetricContract.model_validate(
        {
            "kind": "metric",
            "name": "example",
            "status": "approved",
            "owner": "docs",
            "description": "An example.",
            "unit": "things",
            "value": block["value"],
            "scale": block.get("scale"),
            "moved_by": ["sale@1"],
            "windows": ["all"],
            "examples": [example],
        }
    )
    registry = Registry.of(EVENTS)
    moved_by = [str(ref) for ref in implied(metric, registry.events)]
    bound = metric.model_copy(update={"moved_by": tuple(moved_by)})

    (result,) = run_examples(registry, bound)

    assert result.problem is None
    assert result.met, f"{result.value} and not {result.expected}"


@pytest.mark.parametrize(("text", "fields", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_a_scalar_of_the_page_is_what_it_says(text: str, fields: str, expected: str) -> None:
    """That SQL says the same is the law of tests/agentflow/expressions."""
    scope = declared_scope(EVENTS[0])
    node = parse_scalar(text)
    infer(node, scope)
    given = yaml.safe_load(fields)
    row = {
        name: Decimal(value) if scope[name].kind == "decimal" else value
        for name, value in given.items()
    }
    emitter = PythonEmitter(scope, field=lambda name: f"row[{name!r}]")

    with decimal.localcontext(EXACT):
        value = eval(emitter.value_source(node), {**NAMESPACE, "row": row})  # noqa: S307 - our own

    words = {None: "null", True: "true", False: "false"}
    shown = words[value] if value is None or isinstance(value, bool) else str(value)
    assert shown == expected
