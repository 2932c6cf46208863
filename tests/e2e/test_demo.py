"""The demonstration ends with a proof, however it is ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

COMPARES_SLOWLY = """
import asyncio
import serving.demo
from agentflow_cli import main
report = serving.demo.report
async def slowly(*arguments, **named):
    await asyncio.sleep({seconds})
    return await report(*arguments, **named)
serving.demo.report = slowly
main()
"""


def started(*options: str, compares_for: float) -> subprocess.Popen[str]:
    """Start a demonstration whose comparison takes that many seconds more."""
    program = COMPARES_SLOWLY.format(seconds=compares_for)
    return subprocess.Popen(
        [sys.executable, "-c", program, "demo", "--port", "0", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_said(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    assert any(text in line for line in process.stderr)


@pytest.mark.parametrize("interrupts", [0, 1, 2])
def test_the_demonstration_ends_verified(interrupts: int) -> None:
    """By itself after --seconds, or on Ctrl-C: every number is compared with the lake first.

    One Ctrl-C may arrive twice: from the terminal, and from a runner in between that hands it on.
    """
    process = started(*([] if interrupts else ["--seconds", "2"]), compares_for=1)
    if interrupts:
        until_said(process, "http://")
    for _ in range(interrupts):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)

    said, _ = process.communicate(timeout=120)

    outcome = json.loads(said.splitlines()[-1])
    assert process.returncode == 0
    assert outcome["verified"] is True


def test_a_second_interrupt_leaves_the_numbers_unproven() -> None:
    """Who does not want to wait for the comparison is told so, by text and exit code."""
    process = started(compares_for=3600)
    until_said(process, "http://")
    process.send_signal(signal.SIGINT)
    until_said(process, "verifying")
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)

    said, told = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "interrupted before the numbers were compared" in told
    assert not said
