"""What a key is found by: its digest under a secret that the database does not hold."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agentflow.errors import ParameterError, StorageError
from ingestion.log.faults import translated

SECRET_FILE: Final = "key-secret"  # noqa: S105 - its name
LEAST_CHARACTERS: Final = 32
_SECRET_BYTES: Final = 32
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyHashing:
    """Hashes keys with a secret; the same on every replica.

    With the database alone one can neither make a key that is taken nor try one. It has no `repr`,
    so that the secret is never logged by accident.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def digest(self, key: bytes) -> bytes:
        """Return what a key is stored as and found by (HMAC-SHA-256)."""
        return hmac.digest(self._secret, b"key\0" + key, "sha256")

    def secret_for(self, purpose: str) -> bytes:
        """Return a secret of its own for something else."""
        return hmac.digest(self._secret, b"for\0" + purpose.encode(), "sha256")


def hashing_of(secret: str) -> KeyHashing:
    """Return what hashes with a secret of the settings.

    Raises:
        ParameterError: It is too short to be one.
    """
    if len(secret) < LEAST_CHARACTERS:
        raise ParameterError(
            f"AGENTFLOW_KEY_SECRET has less than {LEAST_CHARACTERS} characters",
            hint="Make one with `openssl rand -hex 32`, the same for every replica.",
        )
    return KeyHashing(secret.encode())


def hashing_in(directory: Path) -> KeyHashing | None:
    """Return what hashes with the secret in a data directory; None when there is none.

    Raises:
        StorageError: It cannot be read, or others can.
    """
    path = directory / SECRET_FILE
    with translated(path):
        try:
            mode, text = path.stat().st_mode, path.read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            text, mode = "", 0
    if mode & _OTHERS:
        raise StorageError(
            f"others can read {path}, which every API key is hashed with",
            hint=f"chmod 600 {path}",
        )
    if len(text) < LEAST_CHARACTERS:
        raise StorageError(
            f"{path} is not a secret that AgentFlow made",
            hint="Put it back from a backup; without it no stored API key is known any more.",
        )
    return KeyHashing(text.encode())


def made_in(directory: Path, draw: Callable[[int], bytes] = secrets.token_bytes) -> KeyHashing:
    """Return what hashes with the secret in a data directory, which is made if there is none.

    Raises:
        StorageError: It can neither be read nor made, or others can read it.
    """
    path = directory / SECRET_FILE
    with translated(path):
        directory.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            fresh = path.with_name(f"{SECRET_FILE}.new")
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(draw(_SECRET_BYTES).hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(path)
    found = hashing_in(directory)
    assert found is not None  # noqa: S101 - it was just made
    return found
