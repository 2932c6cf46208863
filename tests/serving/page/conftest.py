"""The page in Chromium, in front of a platform."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from agentflow.lint import load  # noqa: E402
from tests.fakes.app import FakeServer  # noqa: E402
from tests.fakes.platform import FakePlatform  # noqa: E402
from tests.fakes.serve import served  # noqa: E402

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module and no longer: Playwright leaves an event loop running meanwhile."""
    if not CHROMIUM.exists():
        pytest.fail("Chromium is not installed: make setup-tests", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        yield browser
        browser.close()


@pytest.fixture
def server() -> FakeServer:
    return FakeServer(FakePlatform(load(ROOT / "contracts")))


@pytest.fixture
def url(server: FakeServer) -> Iterator[str]:
    with served(server) as base_url:
        yield base_url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab; anything it complains about fails the test."""
    context = browser.new_context(locale="en-US", viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(10_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type in {"error", "warning"}
            and "Failed to load resource" not in message.text
            else None
        ),
    )
    yield page
    context.close()
    assert complaints == []
