"""The docs name what exists: every path, module, class, setting, target and command is walked."""

from __future__ import annotations

import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agentflow.settings import Settings
from agentflow_cli import main

ROOT = Path(__file__).parent.parent
STRUCTURE = ("docs/architecture.md", "docs/style.md", "docs/reference/configuration.md")
PACKAGES = (
    "agentflow",
    "agentflow_cli",
    "control_store",
    "ingestion",
    "processing",
    "quality",
    "serving",
)
PLACES = (ROOT, ROOT / "src", ROOT / "docs", ROOT / "src/ingestion/log")
MADE = frozenset({"gate/", "lake/", "lake-cache/", "catalog.sqlite", "dist/", ".agentflow/"})
"""What the platform makes in its data directory; `test_the_data_directory_…` looks at the names."""

_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")
_FILE = re.compile(r"\.(?:py|md|yaml|toml|json)$")
_CLASS = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*")
_DOTTED = re.compile(r"(?:\.[a-z]+)+|[a-z]+(?:\.[a-z_]+)+")
PYTHONS_OWN = frozenset({"Decimal", "NewType", "None", "Any", "Raises", "True", "False"})


def pages() -> list[str]:
    found = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("sdk/*.md")]
    named = (str(path.relative_to(ROOT)) for path in found)
    return sorted(page for page in named if page != "CHANGELOG.md" and "/adr/" not in page)


def text_of(page: str) -> str:
    """Return a page without what it says of other projects."""
    text = (ROOT / page).read_text("utf-8")
    return text.split("## Models to follow")[0]


def tokens(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each line and what stands in backticks in it, outside of fenced blocks."""
    for line in re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL).splitlines():
        yield line, re.findall(r"`([^`]+)`", line)


def code(page: str) -> Iterator[str]:
    """Yield what a reader would type: inline code, and the lines of fenced blocks."""
    text = text_of(page)
    for block in re.findall(r"```.*?\n(.*?)```", text, flags=re.DOTALL):
        yield from (line.partition("#")[0].strip() for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


@pytest.mark.parametrize("page", STRUCTURE)
def test_every_path_that_is_named_exists(page: str) -> None:
    """A path beside another in a line may be in its folder: `port.py`, `opening.py`."""
    missing = []
    for line, found in tokens(page):
        places = list(PLACES)
        for token in found:
            path = token.split(" ")[0]
            if not _PATH.fullmatch(path) or not (_FILE.search(path) or path.endswith("/")):
                continue
            if path in MADE or path.startswith("__"):
                continue
            there = [place / path for place in places if (place / path).exists()]
            if not there:
                missing.append(f"{path}   in: {line.strip()}")
                continue
            places.append(there[0].parent)

    assert missing == []


@pytest.mark.parametrize("page", STRUCTURE)
def test_every_module_that_is_named_can_be_imported(page: str) -> None:
    """`.lake` after `processing.live` is in the same package; the last part may be a name in it."""
    missing = []
    for line, found in tokens(page):
        package = ""
        for token in found:
            if not _DOTTED.fullmatch(token) or _FILE.search(token):
                continue
            name = f"{package}{token}" if token.startswith(".") else token
            if name.split(".")[0] not in PACKAGES:
                continue
            package = name.rpartition(".")[0] if "." in name else name
            if not importable(name):
                missing.append(f"{name}   in: {line.strip()}")

    assert missing == []


def importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return bool(module) and hasattr(importlib.import_module(module), attribute)
    return True


@pytest.mark.parametrize("page", STRUCTURE[:2])
def test_every_class_that_is_named_is_in_the_code(page: str) -> None:
    """In the files of its line when it stands in brackets behind them: `port.py` (`Bus`)."""
    sources = {path: path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py")}
    missing = []
    for line, found in tokens(page):
        files = [path for path in sources if any(str(path).endswith(f"/{each}") for each in found)]
        within = {name for group in re.findall(r"` \(([^)]+)\)", line) for name in group.split("`")}
        for name in {token for token in found if _CLASS.fullmatch(token)} - PYTHONS_OWN:
            defined = re.compile(rf"^(?:class {name}\b|{name} = )", re.MULTILINE)
            looked = files if name in within and files else list(sources)
            if not any(defined.search(sources[path]) for path in looked):
                missing.append(f"{name}   in: {line.strip()}")

    assert missing == []


def test_every_test_and_event_that_the_style_guide_shows_exists() -> None:
    """An example of a name that is nowhere cannot be looked at."""
    named = {token for _, found in tokens("docs/style.md") for token in found}
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    events = {path.name.split(".v")[0] for path in (ROOT / "contracts/events").glob("*.yaml")}

    shown = {name for name in named if re.fullmatch(r"test_\w+", name)}
    assert [name for name in shown if f"def {name}(" not in tests] == []
    facts = {name for name in named if re.fullmatch(r"[a-z]+\.[a-z]+ed", name)}
    assert len(facts & events) > 1


def test_every_setting_that_is_named_is_read() -> None:
    """By the platform, or for those who work on it by the stack, the tests or the Makefile."""
    known = {f"AGENTFLOW_{name.upper()}" for name in Settings.model_fields}
    read = subprocess.run(
        ["git", "grep", "-hoE", "AGENTFLOW_[A-Z0-9_]+", "--", "*.py", "Makefile", "*.toml"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    known |= set(read.stdout.split())

    named = {
        (page, name)
        for page in pages()
        for name in re.findall(r"AGENTFLOW_[A-Z0-9]+(?:_[A-Z0-9]+)*(?![A-Z0-9_*<])", text_of(page))
    }

    assert [each for each in sorted(named) if each[1] not in known] == []


def test_every_make_target_that_is_named_exists() -> None:
    """In what a reader would type."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = {
        (page, target)
        for page in pages()
        for typed in code(page)
        for target in re.findall(r"^make ([a-z][a-z-]*)", typed)
    }

    assert len(named) > 10
    assert [each for each in sorted(named) if each[1] not in targets] == []


def test_every_command_and_option_that_is_named_exists() -> None:
    """`agentflow contracts diff --json` on a page: the group, the command and the option."""
    wrong = []
    for page in pages():
        for typed in code(page):
            words = re.sub(r"^\$ ", "", typed).removeprefix("uv run ").split()
            if words[:1] == ["agentflow"] and words[1:] and (fault := fault_of(words[1:])):
                wrong.append(f"{page}: `{typed}`: {fault}")

    assert wrong == []


def fault_of(words: list[str]) -> str | None:
    command: click.Command = main
    context = click.Context(main)
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith(("-", "…")):
        alternatives = re.split(r"[|,]", rest.pop(0))
        commands = [command.get_command(context, name) for name in alternatives if name]
        if alternatives != ["COMMAND"] and None in commands:
            return f"there is no command {alternatives}"
        command = commands[0] or command
    known = {option for each in command.get_params(context) for option in each.opts}
    options = {word.partition("=")[0] for word in rest if re.match(r"--[a-z]", word)}
    unknown = sorted(options - known)
    return f"it has no {unknown}" if unknown else None


def test_the_files_of_the_data_directory_that_are_named_are_made() -> None:
    """Each name of the table is a text in the code that makes it."""
    table = text_of("docs/reference/configuration.md").split("## Under the data directory")[1]
    names = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))

    assert len(names) > 5
    assert [name for name in names if f'"{name.rstrip("/")}"' not in source] == []


def test_every_link_to_a_file_leads_to_one() -> None:
    """From the page's own folder, with the part of the page it names."""
    decisions = (str(path.relative_to(ROOT)) for path in ROOT.glob("docs/adr/*.md"))
    broken = [
        f"{page}: {target}"
        for page in (*pages(), *decisions)
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text_of(page))
        if not ((ROOT / page).parent / target).exists() and "NNNN" not in target
    ]

    assert broken == []


def test_every_package_says_its_licence_and_has_the_text() -> None:
    """Without it nobody may use the project."""
    for folder in (ROOT, ROOT / "sdk"):
        text = (folder / "pyproject.toml").read_text()
        assert 'license = "Apache-2.0"' in text
        assert "authors = [" in text
        assert "END OF TERMS AND CONDITIONS" in (folder / "LICENSE").read_text()


def test_every_port_is_where_the_architecture_says() -> None:
    """Its row names the module that defines it, and in brackets what it is called there."""
    _, _, rest = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("## Ports")
    rows = [line.split("|")[2] for line in rest.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 5

    missing = []
    for row in rows:
        modules = re.findall(r"`([\w/]+\.py)`", row)
        text = "".join((ROOT / "src" / module).read_text("utf-8") for module in modules)
        missing += [name for name in re.findall(r"`(\w+)`", row) if f"class {name}(" not in text]

    assert missing == []
