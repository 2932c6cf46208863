"""Ports that nobody else takes between a kill and a restart."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from stack.errors import StackError
from stack.home import LOOPBACK

_LOWEST = 10_000
_ATTEMPTS = 200
_choose = random.SystemRandom()
_given: set[int] = set()


def _ephemeral_start() -> int:
    """Return where the kernel's range for outgoing connections begins.

    Binding to 0 gives a port of that range: while a killed service is down, any connection of
    any process may be given it, and the restart fails. Ports are therefore taken from below.
    """
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32_768


def free(port: int) -> bool:
    """Say whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose() -> int:
    """Return a free port that this process has not given away before.

    Raises:
        StackError: Nothing is free.
    """
    highest = max(_ephemeral_start() - 1, _LOWEST + 1000)
    for _ in range(_ATTEMPTS):
        port = _choose.randint(_LOWEST, highest)
        if port not in _given and free(port):
            _given.add(port)
            return port
    raise StackError("no free port was found", fix="Stop what listens on loopback: `ss -ltn`.")
