"""What a backup says about itself: its files with checksums, and where the log and the lake end."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agentflow.errors import StorageCorruptError, StorageError
from agentflow.wording import quoted

FORMAT: Final = 1
MANIFEST_FILE: Final = "manifest.json"
MANIFEST_BYTES: Final = 64 << 20
"""Longer ones are not read: 64 MiB are some 400,000 files."""


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or name == MANIFEST_FILE:
        raise ValueError(f"{quoted(name)} is not a path inside the backup")
    return name


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SavedFile(_Value):
    """A file of the data directory. `name` is its path in it, `sha256` in hexadecimal."""

    name: Annotated[str, AfterValidator(_inside)]
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class SavedPositions(_Value):
    """How many accepted events and dead letters there are: the next offset of each."""

    validated: int
    dead_letters: int


class Manifest(_Value):
    """Describes a backup; written last, so that what was cut off has none.

    Attributes:
        made_at: When the log was read, in RFC 3339.
        log_id: Of the log that is in it; None when there is none.
        log: What the log holds.
        lake: What every table of the lake in the backup holds; None when the lake is elsewhere.
        leaves_out: What belongs to the platform and is not in the backup, in words.
    """

    format: Literal[1] = FORMAT
    version: str
    made_at: str
    log_id: str | None
    log: SavedPositions | None
    lake: SavedPositions | None
    leaves_out: tuple[str, ...]
    files: tuple[SavedFile, ...]

    @property
    def size_bytes(self) -> int:
        """How much all files take."""
        return sum(file.size_bytes for file in self.files)


def parsed(text: bytes, backup: str) -> Manifest:
    """Read a manifest.

    Raises:
        StorageError: It is of another format.
        StorageCorruptError: It cannot be read.
    """
    try:
        found = _Format.model_validate_json(text)
        if found.format != FORMAT:
            raise StorageError(
                f"backup {quoted(backup)} has format {found.format}, this version reads {FORMAT}",
                hint=f"Restore it with AgentFlow {found.version}, which made it.",
            )
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StorageCorruptError(
            f"the manifest of backup {quoted(backup)} cannot be read: "
            f"{where} {first['msg'].lower()}",
            hint="Take another backup; this one was changed or damaged.",
        ) from error


class _Format(BaseModel):
    format: int
    version: str = "of another version"
