"""The contracts of a job: packed into its graph when it is submitted, compiled where it runs.

A job that restarts from a checkpoint judges by the contracts it was submitted with, whatever has
been published since.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

from agentflow.contracts import Registry
from agentflow.lint import load

_OLDEST = (1980, 1, 1, 0, 0, 0)


def pack(directory: Path) -> bytes:
    """Return the contract files of a directory; equal files give equal bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(directory).as_posix(), _OLDEST)
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def unpack(packed: bytes) -> Registry:
    """Return the registry of packed contracts.

    Raises:
        ContractFilesError: They are not right; load them before you pack them.
    """
    with tempfile.TemporaryDirectory() as directory:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(directory)
        return load(directory)
