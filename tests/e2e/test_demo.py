"""The demonstration ends with a proof, however it is ended."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest

from tests.e2e.conftest import AGENTFLOW


def started(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(AGENTFLOW), "demo", "--port", "0", "--json", *options],
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
    process = started(*([] if interrupts else ["--seconds", "2"]))
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
    process = started("--rate", "2000")
    until_said(process, "http://")
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    until_said(process, "verifying")
    time.sleep(1.2)
    process.send_signal(signal.SIGINT)

    said, told = process.communicate(timeout=120)

    if not said:  # else the comparison was faster than we are
        assert process.returncode == 1
        assert "interrupted before the numbers were compared" in told
    assert "Traceback" not in told
