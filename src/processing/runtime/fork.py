"""Work on a copy of this process, as it is now, while the event loop goes on.

What a snapshot needs is the live state at one instant. Encoding it takes seconds once many events
moved it, and reads and writes would wait. A fork has that state and holds nothing up, as in Redis
(`BGSAVE`): the loop waits for the page tables alone (`python -m tests.bench --only saving`).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NoReturn

from agentflow.errors import UnavailableError

WITHIN: Final = timedelta(minutes=5)
_NICER: Final = 10
_DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG of prctl(2)
_SAID_BYTES: Final = 4_096


async def run_in_fork(work: Callable[[], None], *, within: timedelta = WITHIN) -> None:
    """Do *work* in a copy of this process and return once it is done; nothing comes back from it.

    The copy has one thread and a low priority, and ends with us. *Work* must not need other
    threads, nor what a lock of theirs may guard: it computes, and writes files of its own. Only on
    Linux there is a copy; elsewhere the loop does it and waits.

    Raises:
        UnavailableError: It failed, or took longer than *within* and was ended.
    """
    if sys.platform != "linux":
        work()
        return
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _do(work, writer)
    os.close(writer)
    ended = asyncio.ensure_future(asyncio.to_thread(_outcome, pid, reader))
    try:
        async with asyncio.timeout(within.total_seconds()):
            failure = await asyncio.shield(ended)
    except TimeoutError:
        failure = f"it took longer than {within}"
    finally:
        if not ended.done():
            os.kill(pid, signal.SIGKILL)
            await ended
    if failure:
        raise UnavailableError(
            f"a copy of the process failed: {failure}", hint="It is tried again when it is due."
        )


def _do(work: Callable[[], None], writer: int) -> NoReturn:
    """Work as the copy, and end without what the original does at its end."""
    said, code = "", 1
    try:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the original decides, and kills us
        os.nice(_NICER)
        work()
        code = 0
    except BaseException as error:  # noqa: BLE001 - the original has to know
        said = f"{type(error).__name__}: {error}"
    finally:
        os.write(writer, said.encode()[:_SAID_BYTES])
        os._exit(code)


def _outcome(pid: int, reader: int) -> str:
    """Wait for the end of a copy; return what it said of its failure, empty for none."""
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    return said or (f"it ended with status {status}" if status else "")
