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


def order(amount: str) -> str:
    data = f'"order_id":"C","user_id":"U1","amount":{amount},"currency":"EUR","channel":"web"'
    return f'{{"id":"C","source":"shop","type":"order.created","data":{{{data},"country":"DE"}}}}'


def test_conflicting_contents_are_shown_beside_each_other(page: Page, up: Up) -> None:
    """One identity, two contents: what was refused means nothing without what was accepted."""
    for amount in ('"10.00"', '"99.00"'):
        up.http.post("/v1/events", content=order(amount))
    page.goto(up.url)

    letter = page.locator(".letter", has_text="Id conflict").first
    letter.locator("summary").click()

    expect(letter.locator("pre.first")).to_contain_text('"amount": "10.00"')
    expect(letter.locator("pre.first")).to_contain_text('"user_id": "***"')
    assert '"amount": "99.00"' in letter.locator("textarea").input_value()


def test_one_of_two_values_is_chosen_on_the_page(page: Page, up: Up) -> None:
    """A reader of JSON keeps the last of them: the text is shown as it came."""
    body = order('"10.00","amount":"20.00"').replace('"C"', '"D"')
    up.http.post("/v1/events", content=body)
    page.goto(up.url)

    letter = page.locator(".letter", has_text="Member repeated").first
    letter.locator("summary").click()
    text = letter.locator("textarea").input_value()
    letter.get_by_role("button", name="Fix and replay").click()

    assert '"10.00"' in text
    assert '"20.00"' in text
    expect(page.locator("#deadletter-note")).to_contain_text("was accepted")


def test_graph_and_health_are_drawn(page: Page, up: Up) -> None:
    """Nodes for every contract, and a platform that is well."""
    page.goto(up.url)

    metrics = page.locator('.node[data-kind="metric"]')
    files = list(Path(up.contracts_dir, "metrics").glob("*.yaml"))
    expect(metrics).to_have_count(len(files))
    expect(page.locator("#health")).to_contain_text("all well")
