"""Work in a copy of the process: the loop goes on, failures are told, nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from agentflow.errors import UnavailableError
from processing.runtime.fork import run_in_fork


def test_the_loop_goes_on_meanwhile(tmp_path: Path) -> None:
    """Work that takes a second holds nobody up, and sees what there was when it began."""
    content = ["before"]
    seen = tmp_path / "seen"

    def work() -> None:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            sum(range(1_000))
        seen.write_text(f"{content[0]} {os.getpid()}")

    async def main() -> float:
        task = asyncio.ensure_future(run_in_fork(work))
        longest, before = 0.0, time.monotonic()
        await asyncio.sleep(0)
        content[0] = "after"
        while not task.done():
            await asyncio.sleep(0.01)
            longest, before = max(longest, time.monotonic() - before), time.monotonic()
        await task
        return longest

    longest = asyncio.run(main())

    text, _, pid = seen.read_text().partition(" ")
    assert text == "before"
    assert int(pid) != os.getpid()
    assert longest < 0.5


def test_a_failure_is_told() -> None:
    """Nothing else comes back from a copy."""

    def work() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UnavailableError, match="No space left on device"):
        asyncio.run(run_in_fork(work))


def test_a_copy_that_was_killed_is_told() -> None:
    """The kernel may end it when memory is short."""
    with pytest.raises(UnavailableError, match="status 9"):
        asyncio.run(run_in_fork(lambda: os.kill(os.getpid(), 9)))


@pytest.mark.parametrize("how", ["too long", "cancelled"])
def test_no_copy_is_left_behind(how: str) -> None:
    """Whoever waits no longer ends it."""

    async def main() -> None:
        if how == "too long":
            with pytest.raises(UnavailableError, match="longer than"):
                await run_in_fork(signal.pause, within=timedelta(seconds=0.2))
            return
        task = asyncio.ensure_future(run_in_fork(signal.pause))
        await asyncio.sleep(0)  # its first step forks
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = psutil.Process().children()

    asyncio.run(main())

    assert psutil.Process().children() == before
