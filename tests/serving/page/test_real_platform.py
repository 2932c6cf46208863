"""The page in front of the real platform: what the fake says must be what is said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import ROOT, Up, platform_up

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with platform_up(tmp_path_factory.mktemp("page") / "data", ROOT / "contracts") as running:
        yield running


def test_event_sent_from_the_page_moves_it_and_is_proved(page: Page, up: Up) -> None:
    """Form, dry run, stream, causes and recompute, all over the real surface."""
    page.goto(up.url)
    page.get_by_label("Event", exact=True).select_option(label="order.created")
    page.locator("#field-amount").fill("12.50")
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("#send-result")).to_contain_text(re.compile(r"would move \d+ numbers"))

    page.get_by_role("button", name="Send", exact=True).click()

    expect(page.locator("#send-result")).to_contain_text("Accepted")
    expect(page.locator("[data-metric=revenue] .value")).to_have_text("12.50EUR")
    page.get_by_role("button", name="revenue", exact=True).click()
    page.get_by_role("button", name="Recompute from the lake").click()
    expect(page.get_by_role("dialog")).to_contain_text("Equal to the live value", timeout=20_000)


def test_rejected_event_is_fixed_on_the_page(page: Page, up: Up) -> None:
    """The error at its field, the dead letter below, and the way back in."""
    page.goto(up.url)
    page.get_by_label("Event", exact=True).select_option(label="order.created")
    page.locator("#field-amount").fill("-3")
    page.locator("#field-user_id").fill("ursula")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#field-amount-wrong")).to_contain_text("between 0 and")

    letter = page.locator(".letter").first
    letter.locator("summary").click()
    text = letter.locator("textarea").input_value()
    assert "ursula" not in text
    letter.locator("textarea").fill(text.replace('"-3"', '"3.00"'))
    letter.get_by_role("button", name="Fix and replay").click()

    expect(page.locator("#deadletter-note")).to_contain_text("was accepted")
    user = up.http.get("/v1/entity/user/ursula")
    assert user.status_code == 200


def test_graph_and_health_are_drawn(page: Page, up: Up) -> None:
    """Nodes for every contract, and a platform that is well."""
    page.goto(up.url)

    metrics = page.locator('.node[data-kind="metric"]')
    files = list(Path(up.contracts_dir, "metrics").glob("*.yaml"))
    expect(metrics).to_have_count(len(files))
    expect(page.locator("#health")).to_contain_text("all well")
