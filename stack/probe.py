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
_LEAST_PAUSE_SECONDS = 0.05
_MOST_PAUSE_SECONDS = 0.5
_ANSWER_WITHIN = 5.0


def wait_until(condition: Callable[[], bool], *, within: float) -> bool:
    """Ask again and again until the condition holds; False when the deadline passed.

    What takes long is asked less often: questions take processor time from what is waited for.
    """
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > within:
            return False
        time.sleep(min(max(_LEAST_PAUSE_SECONDS, waited / 20), _MOST_PAUSE_SECONDS))
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
