"""Find out whether SQLite dropped committed transactions from a damaged write-ahead file.

SQLite recovers a WAL up to the first frame whose checksum is wrong and silently forgets the rest.
Looking at the frame headers shows whether the rest held commits.
Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_CHECKSUMMED_BYTES: Final = 24
_WORD: Final = 0xFFFFFFFF


def _header_checksum(head: bytes, *, big_endian: bool) -> tuple[int, int]:
    words = struct.unpack(">6I" if big_endian else "<6I", head[:_CHECKSUMMED_BYTES])
    first = second = 0
    for left, right in zip(words[::2], words[1::2], strict=True):
        first = (first + left + second) & _WORD
        second = (second + right + first) & _WORD
    return first, second


def dropped_commits(wal: Path, *, recovered_frames: int) -> int:
    """Count the commits in *wal* that lie behind the frames SQLite recovered.

    A write that was cut off before its commit leaves frames too, but none that ends a transaction;
    or it leaves the header of the last frame without its whole page, since the two are written one
    after the other: the file ends there, no fsync followed, and that commit was not acknowledged.
    A file whose own header is damaged counts as one: how many it held cannot be told.
    """
    try:
        with wal.open("rb") as file:
            head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return 0
        magic, _, page_bytes, _, *salts_and_sums = _HEADER.unpack(head)
        if _header_checksum(head, big_endian=bool(magic & 1)) != tuple(salts_and_sums[2:]):
            return 1
        return _commits_behind(
            wal, recovered_frames, page_bytes=page_bytes, salts=tuple(salts_and_sums[:2])
        )
    except OSError:
        return 0


def _commits_behind(
    wal: Path, recovered_frames: int, *, page_bytes: int, salts: tuple[int, ...]
) -> int:
    frame_bytes = _FRAME.size + page_bytes
    wal_bytes = wal.stat().st_size
    commits = 0
    with wal.open("rb") as file:
        position = _HEADER.size + recovered_frames * frame_bytes
        file.seek(position)
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            _, pages_after_commit, *frame_salts = _FRAME.unpack(frame)[:4]
            position += frame_bytes
            whole = position <= wal_bytes
            if whole and tuple(frame_salts) == salts and pages_after_commit:
                commits += 1
            file.seek(position)
    return commits
