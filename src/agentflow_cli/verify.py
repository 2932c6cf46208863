"""`agentflow verify`: every live number against its recompute from the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from agentflow.wording import counted
from agentflow_cli.connection import connected
from agentflow_cli.failure import NO, Failure
from agentflow_cli.options import json_option, server_options
from agentflow_cli.output import counting, emit, number, say, write_table
from agentflow_cli.shown import dimensions

if TYPE_CHECKING:
    from agentflow_sdk import Verification
    from agentflow_sdk.models import WindowCheck


@click.command()
@server_options
@json_option
def verify(*, url: str | None, api_key: str | None, as_json: bool) -> None:
    """Recompute every metric and window from the lake and compare.

    Ends with exit code 1 when a number differs, or could not be computed again.
    """
    with connected(url, api_key) as client, _shown() as progress:
        result = client.verify(progress=progress)
    if as_json:
        emit(result.model_dump(mode="json", exclude={"next_cursor"}))
    else:
        _write(result)
    if not result.verified:
        raise Failure(
            _verdict(result),
            exit_code=NO,
            code="not_verified",
            hint="See `agentflow explain METRIC` for each; `agentflow doctor` for the lake.",
        )


@contextmanager
def _shown() -> Iterator[Callable[[Verification], None]]:
    with counting("recomputing every metric from the lake", "windows") as count:

        def progress(found: Verification) -> None:
            count(found.done, found.checks)

        yield progress


def _verdict(result: Verification) -> str:
    unequal = sum(
        any(window.equal is False and window.reason is None for window in metric.windows)
        for metric in result.metrics
    )
    parts = []
    if unequal:
        parts.append(f"{unequal} of {counted(len(result.metrics), 'metric')} not equal to the lake")
    if result.failed:
        parts.append(f"{result.failed} of {counted(result.checks, 'check')} could not be done")
    return "; ".join(parts)


def _write(result: Verification) -> None:
    write_table(
        ("metric", "windows", "numbers", "seconds", "verdict"),
        [
            (
                f"{m.metric}@{m.version}",
                len({window.window for window in m.windows}),
                m.numbers,
                f"{m.seconds:.2f}",
                _word(m.equal),
            )
            for m in result.metrics
        ],
    )
    for metric in result.metrics:
        for check in metric.windows:
            if check.reason is not None:
                say(f"{metric.metric} {_place(check)}: not compared: {check.reason}{_live(check)}")
            elif not check.equal:
                values = f"live {number(check.live)}, lake {number(check.recomputed)}"
                say(f"{metric.metric} {_place(check)}: {values}")
    if result.verified:
        say(
            f"verified: {counted(len(result.metrics), 'metric')} equal to the lake in"
            f" {counted(result.numbers, 'number')},"
            f" {result.seconds:.1f} s"
        )


def _place(check: WindowCheck) -> str:
    """Return the window and, of one cell or currency, which."""
    return f"{check.window} {dimensions(check.dimensions)}" if check.dimensions else check.window


def _live(check: WindowCheck) -> str:
    return "" if check.live is None else f"; live it is {number(check.live)}"


def _word(equal: bool | None) -> str:  # noqa: FBT001 - one fact of three
    if equal is None:
        return "NOT COMPARED"
    return "equal" if equal else "DIFFERENT"
