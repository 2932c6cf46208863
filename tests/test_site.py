"""The site of docs/: each page has its place, and each decision says whether it is in force."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DECISIONS = sorted(
    page for page in (DOCS / "adr").glob("0*.md") if not page.name.startswith("0000")
)
_STATUS = re.compile(
    r"^- Status: (accepted|superseded by \[\d{4}\]\((\d{4}-[\w-]+\.md)\))$", re.MULTILINE
)


def placed(entry: object) -> Iterator[str]:
    """Yield the pages of a part of the navigation."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, list):
        for each in entry:
            yield from placed(each)
    elif isinstance(entry, dict):
        yield from placed(list(entry.values()))


def test_every_page_has_one_place() -> None:
    """Decisions are reached by their list."""
    project = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
    pages = sorted(
        page.relative_to(DOCS).as_posix()
        for page in DOCS.rglob("*.md")
        if page.parent.name != "adr" or page.name == "index.md"
    )

    assert sorted(placed(project["nav"])) == pages


def test_every_decision_is_listed_with_its_title_and_says_whether_it_is_in_force() -> None:
    listed = (DOCS / "adr" / "index.md").read_text("utf-8")

    for page in DECISIONS:
        text = page.read_text("utf-8")
        status = _STATUS.search(text)
        assert status is not None, page.name
        assert status[2] is None or (page.parent / status[2]).exists()
        title = text.splitlines()[0].removeprefix("# ")
        assert f"| [{title}]({page.name}) | {status[1]} |" in listed
