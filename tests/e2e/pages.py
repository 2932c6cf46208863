"""The fenced blocks of a page, as a reader copies them and types them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_REFUSED = 4
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title, or "" where it has none, and its text."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page that name their language."""
    for language, title, text in _BLOCK.findall(page.read_text("utf-8")):
        yield Block(language, title, text)


def typed(block: Block, place: Path, environment: Mapping[str, str]) -> str:
    """Type the lines of a block, and return what they said to stdout."""
    said = ""
    for line in block.text.splitlines():
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        wanted = _REFUSED if block.title == "refused" else 0
        assert done.returncode == wanted, f"{line}\n{done.stdout}{done.stderr}"
        said += done.stdout
    return said
