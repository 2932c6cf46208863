"""`agentflow contracts test`: the examples that metrics carry, executed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import click

from agentflow.versions import versioned
from agentflow.wording import counted
from agentflow_cli.failure import NO
from agentflow_cli.options import contracts_directory, contracts_option, json_option
from agentflow_cli.output import emit, number, say


@click.command()
@click.argument("metrics", nargs=-1)
@click.option("--verbose", "-v", is_flag=True, help="Also show the ones that are met.")
@contracts_option
@json_option
def test(
    *, metrics: tuple[str, ...], verbose: bool, contracts_dir: Path | None, as_json: bool
) -> None:
    """Run the examples of METRICS, or of all, through the same gate and engine as real events.

    Ends with exit code 1 when one is not met.
    """
    from agentflow.lint import load
    from processing.definitions.examples import run_examples

    registry = load(contracts_directory(contracts_dir))
    for name in metrics:
        registry.metric(name)  # says which name was probably meant
    wanted = {versioned(name) for name in metrics}
    chosen = [
        m
        for m in registry.metrics.values()
        if not metrics or wanted & {(m.name, None), (m.name, m.version)}
    ]
    results = [result for metric in chosen for result in run_examples(registry, metric)]
    failed = [result for result in results if not result.met]
    if as_json:
        emit(
            [
                {
                    "metric": result.metric,
                    "version": result.version,
                    "example": result.example,
                    "where": result.where,
                    "expected": result.expected,
                    "value": result.value,
                    "met": result.met,
                    "problem": result.problem,
                }
                for result in results
            ]
        )
    for result in () if as_json else results:
        if result.met and not verbose:
            continue
        head = "met" if result.met else "NOT MET"
        got = result.problem or f"expected {_shown(result.expected)}, got {number(result.value)}"
        where = f" {result.where}" if result.where else ""
        click.echo(f"{head}  {result.metric}@{result.version}{where}  {result.example}: {got}")
    without = [f"{m.name}@{m.version}" for m in chosen if not m.examples]
    if without:
        say(f"without examples: {', '.join(without)}")
    say(
        f"{len(results) - len(failed)} of {counted(len(results), 'expectation')} of"
        f" {counted(len(chosen), 'metric')} met"
    )
    if failed:
        raise click.exceptions.Exit(NO)


def _shown(value: str | int | Decimal | None) -> str:
    return "null" if value is None else str(value)
