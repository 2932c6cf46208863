"""What lint passes compiles: for the gate, for the live engine, and as SQL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow.contracts import Registry
from agentflow.contracts.model import Rule
from agentflow.lint import load, read_directory
from processing.definitions.compiling import compile_problems, load_compiled

ROOT = Path(__file__).parents[3]
EVENT = """\
kind: event
name: thing.done
version: 1
status: approved
owner: tests
description: Something happened.
key: id
fields:
  id: {{type: string, required: true}}
  s: {{type: string}}
  i: {{type: integer, minimum: {low}, maximum: {high}}}
  d: {{type: decimal, scale: {scale}}}
rules:
  - {{name: holds, check: "{rule}", message: is not so}}
  - {{name: long, check: "i < 1"}}
lateness: {{accept: 30d, ahead: 1h}}
"""
METRIC = """\
kind: metric
name: total
version: 1
status: approved
owner: tests
description: What it adds up to.
unit: things
value: {value}
moved_by: [thing.done@1]
dimensions: [s]
windows: [1h]
"""


def written(directory: Path, event: str, metric: str) -> Path:
    for folder, name, text in (("events", "thing.done", event), ("metrics", "total", metric)):
        (directory / folder).mkdir(parents=True)
        (directory / folder / f"{name}.yaml").write_text(text)
    return directory


def chain(term: str, joint: str, count: int) -> str:
    return f" {joint} ".join([term] * count)


COUNTS = st.one_of(st.integers(1, 12), st.sampled_from([60, 120, 230, 500, 990]))
AGGREGATES = st.sampled_from(["sum", "min", "max"])
BOUNDS = st.integers(0, 25).map(lambda digits: 10**digits)


@st.composite
def contracts(draw: st.DrawFn) -> tuple[str, str]:
    joint = draw(st.sampled_from(["or", "and"]))
    rule = chain(draw(st.sampled_from(["i >= 0", "s = 'a'", "not (d < 1)"])), joint, draw(COUNTS))
    bound = draw(BOUNDS)
    event = EVENT.format(low=-bound, high=bound, scale=draw(st.integers(0, 12)), rule=rule)
    one = f"{draw(AGGREGATES)}(thing.done.i)" if draw(st.booleans()) else "count(thing.done)"
    where = chain("s = 'a'", joint, draw(COUNTS))
    value = chain(one, draw(st.sampled_from(["+", "*", "/"])), draw(COUNTS))
    if draw(st.booleans()):
        value = f"sum(thing.done.i) filter (where {where})"
    return event, METRIC.format(value=value)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contracts())
def test_what_lint_passes_compiles(given_: tuple[str, str]) -> None:
    """Long chains, deep brackets, bounds beyond 64 bits: refused with a line, or it starts."""
    with TemporaryDirectory() as directory:
        reading = read_directory(written(Path(directory), *given_))
        if not reading.problems:
            assert compile_problems(reading.registry) == ()


def test_the_contracts_that_come_with_it_compile() -> None:
    """The shop's, and those of the examples."""
    for directory in (ROOT / "contracts", *sorted((ROOT / "examples").glob("*/contracts"))):
        load_compiled(directory)


@pytest.fixture
def plain(tmp_path: Path) -> Registry:
    event = EVENT.format(low=0, high=9, scale=2, rule="i >= 0")
    return load(written(tmp_path, event, METRIC.format(value="sum(thing.done.i)")))


def test_what_a_compiler_refuses_is_a_problem_of_its_file_with_its_line(plain: Registry) -> None:
    """Whatever a compiler raises: here of contracts that no lint has seen."""
    (event,), (metric,) = plain.events.values(), plain.metrics.values()
    deep = metric.model_copy(update={"value": "(" * 5_000 + "1" + ")" * 5_000})
    fine, _ = event.rules
    long = Rule(name="long", check=chain("i >= 0", "or", 9_000))
    broken = event.model_copy(update={"rules": (fine, long)})

    (of_metric,) = compile_problems(replace(plain, metrics={("total", 1): deep}))
    (of_event,) = compile_problems(replace(plain, events={event.ref: broken}))

    assert (of_metric.file, of_metric.line) == ("metrics/total.yaml", 8)
    assert 'metric "total" does not compile: ' in of_metric.message
    assert (of_event.file, of_event.line) == ("events/thing.done.yaml", 15)
