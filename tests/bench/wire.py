"""The leanest HTTP client that keeps connections alive, so that the server is what is measured."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_RECEIVE_BYTES: Final = 1 << 20
_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Headers are the raw lines."""

    status: int
    headers: bytes
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header, by its lower case name."""
        for line in self.headers.split(b"\r\n"):
            key, _, value = line.partition(b":")
            if key.lower() == name:
                return value.strip()
        return None


def request(
    method: str,
    target: str,
    *,
    key: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return the bytes of one request."""
    lines = [f"{method} {target} HTTP/1.1", "host: bench", f"x-api-key: {key}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + _END + (body or b"")


class Connection:
    """One connection with one request under way at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def fileno(self) -> int:
        """Return the descriptor, so that `select` can wait for it."""
        return self._socket.fileno()

    def send(self, sent: bytes) -> None:
        """Write one request."""
        self._socket.sendall(sent)

    def receive(self) -> Response | None:
        """Read once what is there; return the answer when it is complete."""
        received = self._socket.recv(_RECEIVE_BYTES)
        if not received:
            raise ConnectionError("the server closed the connection")
        self._received += received
        head, found, rest = self._received.partition(_END)
        if not found:
            return None
        status = int(head[9:12])
        length = 0 if status == 304 else _content_length(head)
        if len(rest) < length:
            return None
        self._received = rest[length:]
        return Response(status, head, rest[:length])

    def ask(self, sent: bytes) -> Response:
        """Write one request and wait for its answer."""
        self.send(sent)
        while True:
            response = self.receive()
            if response is not None:
                return response

    def count_answers(self, wanted: int) -> int:
        """Read until *wanted* answers have begun and the last has ended; return how many."""
        count, tail = 0, b""
        while count < wanted or not self._ended(tail):
            received = self._socket.recv(_RECEIVE_BYTES)
            if not received:
                raise ConnectionError("the server closed the connection")
            count += (tail[-8:] + received).count(b"HTTP/1.1 ")
            tail = (tail + received)[-65_536:]
        return count

    @staticmethod
    def _ended(tail: bytes) -> bool:
        head, found, body = tail[tail.rfind(b"HTTP/1.1 ") :].partition(_END)
        return bool(found) and (head[9:12] == b"304" or len(body) >= _content_length(head))

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(_LENGTH)
    return int(lower[at + len(_LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
