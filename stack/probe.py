"""Waiting for a condition with a deadline, and the ways to ask a service whether it is well."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from stack.home import LOOPBACK

OK = 200
_EVERY_SECONDS = 0.05
_ANSWER_WITHIN = 5.0


def pause(waited: float, *, every: float) -> float:
    """Return for how many seconds to wait before asking again: *every* at first, ten times at most.

    What takes long is asked less often: questions take processor time from what is waited for.
    """
    return min(max(every, waited / 20), 10 * every)


def wait_until(
    condition: Callable[[], bool], *, within: float, every: float = _EVERY_SECONDS
) -> bool:
    """Ask again and again until the condition holds; False when the deadline passed."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > within:
            return False
        time.sleep(pause(waited, every=every))
    return True


def connect(port: int) -> socket.socket:
    """Connect to a port of loopback.

    Raises:
        OSError: Nobody listens.
    """
    return socket.create_connection((LOOPBACK, port), timeout=_ANSWER_WITHIN)


def http_status(url: str) -> int:
    """Return the status a URL answers with; 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_WITHIN) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def http_json(url: str) -> Any:  # noqa: ANN401 - what the service says
    """Return the JSON a URL answers with; None when it does not."""
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_WITHIN) as answer:  # noqa: S310
            return json.load(answer)
    except (OSError, ValueError):
        return None
