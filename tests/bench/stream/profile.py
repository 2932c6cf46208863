"""Where a task manager's processor time goes, by async-profiler, which Flink brings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.request import Request, urlopen

from stack.probe import http_json, wait_until
from stack.services import Flink

PROFILING = {"rest.profiling.enabled": True}
"""What the cluster has to be configured with."""

_SECONDS = 15
_ENDS_WITHIN = 60.0
_ANSWERS_WITHIN = 30.0
_FRAME = re.compile(r"^f\((\d+),(\d+),(\d+),\d+,'(.*?)'", re.MULTILINE)
"""A frame of a flame graph: depth, place from the left, samples, name; parents come first."""


class Profiler:
    """Samples the processor time of a cluster's only task manager, once."""

    def __init__(self, flink: Flink) -> None:
        self._managers = f"{flink.url}/taskmanagers"
        self._url: str | None = None

    def start(self) -> None:
        """Begin; it ends by itself."""
        manager = http_json(self._managers)["taskmanagers"][0]["id"]
        self._url = f"{self._managers}/{manager}/profiler"
        body = json.dumps({"mode": "ITIMER", "duration": _SECONDS}).encode()
        asked = Request(self._url, body, {"content-type": "application/json"})  # noqa: S310 - loopback
        urlopen(asked, timeout=_ANSWERS_WITHIN).close()  # noqa: S310 - same

    def shares(self, frames: Mapping[str, str]) -> dict[str, float]:
        """Wait for its end and return name → share of all samples below a frame so called.

        Args:
            frames: Name → part of the name of a frame; the outermost that matches counts.

        Returns:
            Nothing when it was never started.
        """
        url = self._url
        if url is None:
            return {}

        def latest() -> Any:  # noqa: ANN401 - JSON
            return http_json(url)["profilingList"][0]

        if not wait_until(lambda: latest()["status"] == "FINISHED", within=_ENDS_WITHIN):
            raise TimeoutError(f"the profiler has not ended: {latest()}")
        with urlopen(f"{url}/{latest()['outputFile']}", timeout=_ANSWERS_WITHIN) as answer:  # noqa: S310 - same
            return shares(answer.read().decode(), frames)


def shares(flame_graph: str, frames: Mapping[str, str]) -> dict[str, float]:
    """Return name → share of all samples, of a flame graph as async-profiler writes it."""
    found = dict.fromkeys(frames, 0)
    below = dict.fromkeys(frames, -1)
    total = 0
    for written in _FRAME.finditer(flame_graph):
        depth, samples, title = int(written[1]), int(written[3]), written[4]
        total = total or samples
        for name, part in frames.items():
            if 0 <= below[name] < depth:
                continue
            below[name] = depth if part in title else -1
            found[name] += samples if part in title else 0
    return {name: samples / max(total, 1) for name, samples in found.items()}
