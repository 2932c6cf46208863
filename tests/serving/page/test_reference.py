"""The API reference in a browser: found by words, by keyboard, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import ROOT, Up, platform_up

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with platform_up(tmp_path_factory.mktemp("docs") / "data", ROOT / "contracts") as running:
        yield running


def test_requests_are_found_by_words_and_keyboard(page: Page, up: Up) -> None:
    """`/` goes to the search; what has not all the words is hidden, with its group."""
    page.goto(f"{up.url}/docs")
    every = page.locator("article:visible").count()

    page.keyboard.press("/")
    page.keyboard.type("batch several")

    expect(page.locator("article:visible")).to_have_count(1)
    expect(page.locator("article:visible")).to_contain_text(f"curl -X POST {up.url}/v1/batch")
    expect(page.get_by_role("status")).to_have_text(f"1 of {every} requests")
    expect(page.get_by_role("heading", name="Dead letters")).to_be_hidden()
    page.keyboard.press("Control+A")
    page.keyboard.type("nosuchword")
    expect(page.get_by_role("status")).to_have_text("No request has all of these words.")
    page.keyboard.press("Escape")
    expect(page.locator("article:visible")).to_have_count(every)


def test_the_reference_fits_a_phone_in_light_and_dark(page: Page, up: Up) -> None:
    """Nothing is wider than the screen; long commands scroll in their own box."""
    page.set_viewport_size({"width": 360, "height": 700})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{up.url}/docs")
    for summary in page.locator("summary").all()[:6]:
        summary.click()

    papers = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        papers.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert len(papers) == 2
    assert all(url.startswith(up.url) for url in asked)
