"""Ways in which a real PostgreSQL goes away, each with the way back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psutil

from stack.services.postgres import Postgres

Outage = Callable[[Postgres], AbstractContextManager[None]]


@contextmanager
def killed(server: Postgres) -> Iterator[None]:
    """Nothing listens any more, and what was connected is reset."""
    server.kill()
    try:
        yield
    finally:
        server.restart()


@contextmanager
def stopped(server: Postgres) -> Iterator[None]:
    """It takes connections, says nothing, and hangs up on nobody: the worst of all."""
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    for process in family:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in family:
            os.kill(process.pid, signal.SIGCONT)


OUTAGES: dict[str, Outage] = {"killed": killed, "stopped": stopped}
