"""Gives memory back to the system: the process must not keep what a burst of work needed.

Arrow uses the system's allocator too: see `processing/__init__.py`.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

_ARENA_MAX: Final = -8  # names of glibc's malloc.h
_MMAP_THRESHOLD: Final = -3
_ARENAS: Final = 4
_MAPPED_BYTES: Final = 512 * 1024


def settle_allocator() -> None:
    """Let the system's allocator map what is large by itself; call once."""
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_ARENA_MAX, _ARENAS)
        libc.mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)  # setting it also keeps it from growing


def give_back() -> None:
    """Return what is free to the system; any thread, a few milliseconds."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is one that can be asked."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
