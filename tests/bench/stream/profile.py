"""Where a task manager's processor time goes, by async-profiler, which Flink brings."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Mapping
from typing import Any

from stack.probe import wait_until
from stack.services import Flink

PROFILING = {"rest.profiling.enabled": True}
"""What the cluster has to be configured with."""

_SECONDS = 15
_ENDS_WITHIN = 60.0
_FRAME = re.compile(r"^f\((\d+),(\d+),(\d+),\d+,'(.*?)'", re.MULTILINE)
"""A frame of a flame graph: depth, place from the left, samples, name; parents come first."""


class Profiler:
    """Samples the processor time of a cluster's only task manager, once."""

    def __init__(self, flink: Flink) -> None:
        self._url = f"{flink.url}/taskmanagers"
        self._started = False

    def start(self) -> None:
        """Begin; it ends by itself."""
        manager = _asked(self._url)["taskmanagers"][0]["id"]
        self._url = f"{self._url}/{manager}/profiler"
        body = json.dumps({"mode": "ITIMER", "duration": _SECONDS}).encode()
        _asked(self._url, body)
        self._started = True

    def shares(self, frames: Mapping[str, str]) -> dict[str, float]:
        """Wait for its end and return name → share of all samples below a frame so called.

        Args:
            frames: Name → part of the name of a frame; the outermost that matches counts.

        Returns:
            Nothing when it was never started.
        """
        if not self._started:
            return {}
        found: dict[str, Any] = {}

        def ended() -> bool:
            found.update(_asked(self._url)["profilingList"][0])
            return found["status"] == "FINISHED"

        if not wait_until(ended, within=_ENDS_WITHIN):
            raise TimeoutError(f"the profiler has not ended: {found}")
        with urllib.request.urlopen(f"{self._url}/{found['outputFile']}", timeout=30) as answer:  # noqa: S310 - loopback
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


def _asked(url: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - same
        return json.load(answer)
