"""Measures where the stream ends, so that silence is not taken for being up to date.

Events are pushed (a fetch waits at the broker until there are some); this only measures lag, and no
event waits for it. It is also how a broker that is gone is found out.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition

import structlog

from agentflow.clock import Clock
from agentflow.errors import AgentFlowError, StorageError
from agentflow.supervision import Supervisor
from ingestion.stream.port import TopicEnds

log = structlog.get_logger()


class EndsWatcher:
    """Asks for the ends of all topics at each *interval*, in a thread of its own.

    *heard* and *lost* are called in that thread, with the instant before the question.

    Attributes:
        failure: What is wrong with a stream that answers; None while nothing is.
    """

    def __init__(
        self,
        ends: Callable[[], TopicEnds],
        *,
        heard: Callable[[TopicEnds, int], None],
        lost: Callable[[int], None],
        clock: Clock,
        interval_seconds: float = 1.0,
        supervisor: Supervisor | None = None,
    ) -> None:
        supervisor = supervisor or Supervisor()
        self._timers = supervisor.timers
        self._ends = ends
        self._heard = heard
        self._lost = lost
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._changed = Condition()
        self._stopping = False
        self._alarmed = False
        self._silent = False
        self.failure: StorageError | None = None
        self._thread = supervisor.thread("stream-watcher", "stream", self._run)

    def start(self) -> None:
        """Begin with a question at once."""
        self._thread.start()

    def alarm(self) -> None:
        """Take it that the broker is gone, and ask now; any thread."""
        with self._changed:
            self._alarmed = True
            self._changed.notify_all()

    def stop(self) -> None:
        """End; blocks until a question under way is answered."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.stop()

    def _run(self) -> None:
        while not self._stopping:
            if self._alarmed:
                self._alarmed = False
                self._lost(self._clock.now_us())  # the answer to a question would take seconds
            self._ask()
            self._wait()

    def _wait(self) -> None:
        """Wait until the next question is due or wanted at once."""
        due = self._timers.seconds() + self._interval_seconds
        with self._changed:
            while not (self._stopping or self._alarmed):
                if self._timers.seconds() >= due:
                    return
                self._timers.wait(self._changed, due)

    def _ask(self) -> None:
        at_us = self._clock.now_us()
        try:
            ends = self._ends()
        except StorageError as error:  # it answers, and something is wrong that does not pass
            self._lost(at_us)
            self.failure = error
            self._thread.activity.failed(error, expected=True)
            return
        except AgentFlowError as error:
            if not self._silent:
                log.warning("stream.unreachable", detail=str(error))
            self._silent = True
            self._lost(at_us)
        except BaseException:
            self._lost(at_us)  # without it lag would look like freshness
            raise
        else:
            if self._silent:
                log.info("stream.reachable")
            self._silent = False
            self.failure = None
            self._heard(ends, at_us)
        self._thread.activity.well()
