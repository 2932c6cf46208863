"""`agentflow verify`: every live number against its recompute from the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentflow.cli.connection import connected
from agentflow.cli.failure import NO, Failure
from agentflow.cli.options import json_option, server_options
from agentflow.cli.output import emit, number, say, waiting, write_table
from agentflow.cli.shown import dimensions

if TYPE_CHECKING:
    from agentflow_sdk import Verification


@click.command()
@server_options
@json_option
def verify(*, url: str | None, api_key: str | None, as_json: bool) -> None:
    """Recompute every metric and window from the lake and compare.

    Ends with exit code 1 when a number differs.
    """
    with connected(url, api_key) as client, waiting("recomputing every metric from the lake"):
        result = client.verify()
    if as_json:
        emit(result.model_dump(mode="json", exclude_unset=True))
    else:
        _write(result)
    if not result.verified:
        unequal = sum(not metric.equal for metric in result.metrics)
        raise Failure(
            f"{unequal} of {len(result.metrics)} metrics differ from the lake",
            exit_code=NO,
            code="not_verified",
            hint="See `agentflow explain METRIC` for each; `agentflow doctor` for the lake.",
        )


def _write(result: Verification) -> None:
    write_table(
        ("metric", "windows", "verdict"),
        [
            (f"{m.metric}@{m.version}", len(m.windows), "equal" if m.equal else "DIFFERENT")
            for m in result.metrics
        ],
    )
    for metric in result.metrics:
        for check in metric.windows:
            if not check.equal:
                where = dimensions(check.dimensions)
                values = f"live {number(check.live)}, lake {number(check.recomputed)}"
                say(f"{metric.metric} {check.window} {where}: {values}")
    if result.verified:
        say(f"verified: {len(result.metrics)} metrics equal the lake, {result.seconds:.1f} s")
