"""Many subscribers in a process of their own: `python -m tests.bench.subscribers HOST PORT KEY…`.

Each line on standard input is one command in JSON, each answered by one line:

    {"open": 500, "path": "/v1/stream/events"}   opens so many streams that read all they can
    {"slow": 5, "path": "/v1/stream/events"}     opens so many that read a byte a second
    {"slow": 0}                                  closes those
    {"until": "text", "within": 60}              tells when each was sent that text (`perf_counter`)

A stream that is not sent it in time is answered with null.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from itertools import count, cycle
from typing import Any

from tests.bench.wire import request

_RECEIVE_BYTES = 1 << 18
_LITTLE_BYTES = 4_096
_TAIL_BYTES = 200


class Streams:
    """The streams of this process."""

    def __init__(self, host: str, port: int, keys: list[str]) -> None:
        self._address = (host, port)
        self._keys = cycle(keys)
        self._quick: dict[int, socket.socket] = {}
        self._slow: list[socket.socket] = []
        self._poll = select.epoll()

    def open(self, wanted: int, path: str) -> int:
        """Open streams that read all they can; return how many there are."""
        for _ in range(wanted):
            opened = self._connect(path, _RECEIVE_BYTES)
            self._quick[opened.fileno()] = opened
            self._poll.register(opened.fileno(), select.EPOLLIN)
        return len(self._quick)

    def slow(self, wanted: int, path: str) -> int:
        """Have so many that read a byte a second."""
        for each in self._slow:
            each.close()
        self._slow = [self._connect(path, _LITTLE_BYTES) for _ in range(wanted)]
        return len(self._slow)

    def _connect(self, path: str, buffer: int) -> socket.socket:
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        opened.connect(self._address)
        opened.sendall(request("GET", path, key=next(self._keys)))
        seen = b""
        while b"retry: " not in seen:
            seen += opened.recv(1)
            if len(seen) > _LITTLE_BYTES:
                raise RuntimeError(f"no stream: {seen!r}")
        return opened

    def until(self, text: bytes, within: float) -> list[float | None]:
        """Read until every stream was sent *text*; return when."""
        found: dict[int, float] = {}
        tails = dict.fromkeys(self._quick, b"")
        begun, ticks = time.perf_counter(), count(1)
        tick = next(ticks)
        while len(found) < len(self._quick):
            passed = time.perf_counter() - begun
            if passed > within:
                break
            if passed > tick:
                tick = next(ticks)
                for each in self._slow:
                    each.recv(1)
            for number, _ in self._poll.poll(0.1):
                came = self._quick[number].recv(_RECEIVE_BYTES)
                if not came:
                    raise ConnectionError("the server ended a stream")
                if number not in found and text in tails[number] + came:
                    found[number] = time.perf_counter()
                tails[number] = came[-_TAIL_BYTES:]
        return [found.get(number) for number in self._quick]

    def do(self, asked: dict[str, Any]) -> object:
        """Do what one line says."""
        if "open" in asked:
            return self.open(asked["open"], asked["path"])
        if "slow" in asked:
            return self.slow(asked["slow"], asked.get("path", ""))
        return self.until(asked["until"].encode(), asked["within"])


def main() -> None:
    """Do what standard input says until it ends."""
    host, port, *keys = sys.argv[1:]
    streams = Streams(host, int(port), keys)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(streams.do(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
