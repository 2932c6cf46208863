"""Gives memory back to the system: a burst of work must not stay for ever what the process holds.

Arrow's own allocator keeps what a merge of lake files needed, by thread and without end in sight
(120 MiB after ten minutes of 200 events a second); the system's gives it back when asked.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

import pyarrow as pa

_ARENA_MAX: Final = -8  # names of glibc's malloc.h
_MMAP_THRESHOLD: Final = -3
_ARENAS: Final = 4
_MAPPED_BYTES: Final = 512 * 1024


def settle_allocator() -> None:
    """Let Arrow use the system's allocator, and let that map what is large by itself; call once."""
    pa.set_memory_pool(pa.system_memory_pool())
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
