"""The demonstration ends with a proof, however it is ended."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from tests.e2e.conftest import AGENTFLOW


@pytest.mark.parametrize("interrupt", [False, True])
def test_the_demonstration_ends_verified(interrupt: bool) -> None:  # noqa: FBT001
    """By itself after --seconds, or on Ctrl-C: every number is compared with the lake first."""
    limit = [] if interrupt else ["--seconds", "2"]
    process = subprocess.Popen(
        [str(AGENTFLOW), "demo", "--port", "0", "--json", *limit],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if interrupt:
        assert process.stderr is not None
        assert "http://" in process.stderr.readline()
        process.send_signal(signal.SIGINT)

    said, _ = process.communicate(timeout=120)

    outcome = json.loads(said.splitlines()[-1])
    assert process.returncode == 0
    assert outcome["verified"] is True
