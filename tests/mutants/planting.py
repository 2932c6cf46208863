"""Plants one fault: the module that has a piece of text is loaded with another text there.

Faults name code by its text, not by its file: a module may move. Text that is not there any more,
or stands twice, is an error: a fault that changes nothing would be noticed by nobody, for ever.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[2]
ROOMS = {
    "agentflow_sdk": ROOT / "sdk" / "src" / "agentflow_sdk",
    "stack": ROOT / "stack",
    "readme": ROOT / "README.md",
    "stream page": ROOT / "docs" / "serving-from-a-stream.md",
}
"""What is not a package of `src`; a page is a room of one file."""


class DoesNotFitError(Exception):
    """A fault in code that is not there any more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A change of source that makes the product wrong.

    Attributes:
        room: The top-level package it is in, or a page of `ROOMS`.
        old: The text it replaces; it stands once in the whole room.
        test: The node id of a test that notices it.
    """

    name: str
    room: str
    old: str
    new: str
    test: str

    def place(self) -> Path:
        """Find the file.

        Raises:
            DoesNotFitError: The text stands nowhere, or more than once.
        """
        texts = _texts(ROOMS.get(self.room, ROOT / "src" / self.room))
        found = [path for path, text in texts.items() if self.old in text]
        times = sum(texts[path].count(self.old) for path in found)
        if times != 1:
            where = ", ".join(str(path.relative_to(ROOT)) for path in found) or "nowhere"
            raise DoesNotFitError(f'"{self.name}": {self.old!r} stands {times} times: {where}')
        return found[0]

    @property
    def module(self) -> str:
        """The name that the file is imported by."""
        folder = ROOMS.get(self.room, ROOT / "src" / self.room)
        parts = self.place().with_suffix("").relative_to(folder.parent).parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def source(self) -> str:
        """Return the source with the fault in it.

        Raises:
            DoesNotFitError: It is no Python, or means the same.
        """
        before = self.place().read_text()
        after = before.replace(self.old, self.new)
        if self.place().suffix != ".py":
            return after
        try:
            same = ast.dump(ast.parse(before)) == ast.dump(ast.parse(after))
        except SyntaxError as error:
            raise DoesNotFitError(f'"{self.name}" is no Python: {error}') from error
        if same:
            raise DoesNotFitError(f'"{self.name}" changes nothing')
        return after


@cache
def _texts(folder: Path) -> Mapping[Path, str]:
    """Return the text of every module of a room: each of a hundred faults looks through it."""
    found = [folder] if folder.is_file() else sorted(folder.rglob("*.py"))
    return {path: path.read_text() for path in found}


def plant(fault: Fault) -> None:
    """Let this process import the fault.

    Raises:
        DoesNotFitError: It does not fit, or the module is imported already.
    """
    fault.source()
    if fault.module in sys.modules:
        raise DoesNotFitError(f'"{fault.name}": "{fault.module}" is imported already')
    sys.meta_path.insert(0, _Finder(fault))


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module with the fault in its source."""

    def __init__(self, fault: Fault, path: str) -> None:
        super().__init__(fault.module, path)
        self._fault = fault

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._fault.source(), self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the module of the fault first."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._module = fault.module

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(self._fault, spec.origin)
        return spec
