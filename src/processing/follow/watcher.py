"""Measures where the stream ends, so that nobody takes silence for being up to date.

Events are pushed (a fetch waits at the broker until there are some); this only measures lag, and no
event waits for it. It is also how a broker that is gone is found out.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event as Flag
from threading import Thread

import structlog

from agentflow.clock import Clock
from agentflow.errors import AgentFlowError
from processing.follow.port import Ends

log = structlog.get_logger()


class Watcher:
    """Asks for the ends of all topics at each *interval*, in a thread of its own.

    *heard* and *lost* are called in that thread, with the instant before the question.
    """

    def __init__(
        self,
        ends: Callable[[], Ends],
        *,
        heard: Callable[[Ends, int], None],
        lost: Callable[[int], None],
        clock: Clock,
        interval_seconds: float = 1.0,
    ) -> None:
        self._ends = ends
        self._heard = heard
        self._lost = lost
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._woken = Flag()
        self._stopping = Flag()
        self._alarmed = Flag()
        self._silent = False
        self._thread = Thread(target=self._run, name="stream-watcher", daemon=True)

    def start(self) -> None:
        """Begin with a question at once."""
        self._thread.start()

    def alarm(self) -> None:
        """Take it that the broker is gone, and ask now; any thread."""
        self._alarmed.set()
        self._woken.set()

    def stop(self) -> None:
        """End; blocks until a question under way is answered."""
        self._stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            if self._alarmed.is_set():
                self._alarmed.clear()
                self._lost(self._clock.now_us())  # the answer to a question would take seconds
            self._ask()
            self._woken.wait(self._interval_seconds)

    def _ask(self) -> None:
        at_us = self._clock.now_us()
        try:
            ends = self._ends()
        except AgentFlowError as error:
            if not self._silent:
                log.warning("stream.unreachable", detail=str(error))
            self._silent = True
            self._lost(at_us)
        except Exception:  # supervision: without it lag would look like freshness
            log.exception("stream.watcher_failed")
            self._lost(at_us)
        else:
            if self._silent:
                log.info("stream.reachable")
            self._silent = False
            self._heard(ends, at_us)
