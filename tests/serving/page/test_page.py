"""What people do with the page, in a real browser."""

from __future__ import annotations

import re

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fakes.app import FakeServer
from tests.fakes.serve import served

pytestmark = pytest.mark.browser
ORDER = {"order_id": "ORD-1", "amount": "99.50", "currency": "EUR", "country": "DE"}


def post(url: str, data: dict[str, str], *, type: str = "order.created", id: str = "e1") -> None:  # noqa: A002
    event = {"specversion": "1.0", "id": id, "source": "urn:test", "type": type, "data": data}
    httpx2.post(f"{url}/v1/events", json=event)


def tile(page: Page, name: str) -> str:
    return page.locator(f"[data-metric={name}] .values").inner_text().replace("\n", " ")


def test_numbers_move_while_one_looks(page: Page, url: str) -> None:
    """The whole point: no reload, value with unit, age, contract version, status."""
    page.goto(url)
    revenue = page.locator("[data-metric=revenue]")
    expect(revenue.locator(".status")).to_have_text("never moved")

    post(url, ORDER)

    expect(revenue.locator(".value")).to_have_text("99.50EUR")
    expect(revenue.locator(".version")).to_have_text("v2")
    expect(revenue.locator(".status")).to_have_text(re.compile("just now|s ago"))
    expect(revenue.locator(".dot")).to_have_attribute("data-status", "fresh")


def test_only_a_number_that_nothing_could_move_never_moved(page: Page, url: str) -> None:
    """An age that is null is not known; what is known are the events and whether any came."""
    page.goto(url)
    said = page.evaluate(
        """async () => {
            const { withoutAge } = await import("/page/format.js");
            return [[1, 41], [1, null], [0, 41], [0, null]].map(([events, idle]) =>
                withoutAge({ events, age_ms: null, source_idle_ms: idle }));
        }"""
    )

    assert said == ["moved earlier", "moved earlier", "no events", "never moved"]


def test_a_number_that_nothing_moved_for_hours_is_not_stale(page: Page, url: str) -> None:
    """A quiet source is no fault: the age grows, and the status stays what the answer says."""
    page.clock.install()
    post(url, ORDER)
    page.goto(url)
    revenue = page.locator("[data-metric=revenue]")
    expect(revenue.locator(".value")).to_have_text("99.50EUR")

    page.clock.fast_forward("03:00:00")

    expect(revenue.locator(".status")).to_have_text("3 h ago")
    expect(revenue.locator(".dot")).to_have_attribute("data-status", "fresh")


def test_currencies_stand_below_each_other(page: Page, url: str) -> None:
    """They are never added, so one number cannot stand for both."""
    post(url, ORDER)
    post(url, ORDER | {"order_id": "B", "amount": "1234567.10", "currency": "USD"}, id="e2")

    page.goto(url)

    values = page.locator("[data-metric=revenue] .value")
    expect(values).to_have_text(["99.50EUR", "1,234,567.10USD"])


def test_numbers_go_on_after_the_connection_was_cut(
    page: Page, url: str, server: FakeServer
) -> None:
    """Nobody watches a dashboard to see whether it still listens."""
    page.goto(url)
    expect(page.locator("#stream-state")).to_have_text("live")
    server.cut_after = 1

    for number in range(3):
        post(url, ORDER, id=f"e{number}")
        expect(page.locator("[data-metric=order_count] .digits")).to_have_text(str(number + 1))

    streams = [headers for _, path, headers in server.seen if path == "/v1/stream/metrics"]
    assert any(headers.get("last-event-id") for headers in streams)


def test_window_can_be_chosen(page: Page, url: str) -> None:
    """A metric that does not declare the window keeps its own and says which."""
    page.goto(url)

    page.get_by_label("Window").select_option("7d")

    expect(page.locator("[data-metric=revenue] .window")).to_have_text("7d")
    expect(page.locator("[data-metric=clicks] .window")).to_have_text("5m")


def test_dry_run_shows_what_would_move_and_sending_moves_it(page: Page, url: str) -> None:
    """Look before you leap, in one box made from the contract."""
    page.goto(url)
    page.get_by_label("Event", exact=True).select_option(label="order.created")
    page.locator("#field-amount").fill("12.50")

    page.get_by_role("button", name="Dry run").click()
    result = page.locator("#send-result")
    expect(result).to_contain_text(re.compile(r"It would move \d+ numbers"))
    row = result.get_by_role("row", name="revenue")
    expect(row).to_contain_text("+12.50 EUR")
    expect(row.locator("td").first).to_contain_text(re.compile("revenue.*, currency EUR"))
    expect(row.locator("td").nth(1)).to_have_text(re.compile("^0"))
    assert tile(page, "order_count").startswith("0")

    page.get_by_role("button", name="Send", exact=True).click()
    expect(result).to_contain_text("Accepted")
    expect(page.locator("[data-metric=order_count] .digits")).to_have_text("1")


def test_error_stands_at_its_field(page: Page, url: str) -> None:
    """A list of errors far from the form makes people search."""
    page.goto(url)
    page.locator("#field-amount").fill("-1")

    page.get_by_role("button", name="Send", exact=True).click()

    expect(page.locator("#field-amount-wrong")).to_contain_text("must be at least 0")
    expect(page.locator("#field-amount")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#send-result")).to_contain_text("dead letter 0")


def test_long_integer_keeps_its_digits(page: Page, url: str, server: FakeServer) -> None:
    """JavaScript would round 2^53 + 1, and nobody would notice."""
    page.goto(url)
    page.locator("#field-amount").fill("1")
    page.locator("#field-quantity").fill("9007199254740993")

    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#send-result")).to_contain_text("Accepted")

    assert server.platform.events[0]["data"]["quantity"] == 9007199254740993


def test_dead_letter_is_fixed_in_place(page: Page, url: str) -> None:
    """Reason, violations, the event itself, and the way back in."""
    post(url, ORDER | {"currency": "XXX"})
    page.goto(url)
    letter = page.locator(".letter")
    expect(page.locator("#deadletter-count")).to_have_text("1")

    letter.locator("summary").click()
    expect(letter).to_contain_text("One of EUR, USD")
    text = letter.locator("textarea").input_value()
    letter.locator("textarea").fill(text.replace("XXX", "EUR"))
    letter.get_by_role("button", name="Fix and replay").click()

    expect(page.locator("#deadletter-note")).to_contain_text("Dead letter 0 was accepted")
    expect(page.locator("[data-metric=revenue] .value")).to_have_text("99.50EUR")
    expect(page.locator("#deadletter-count")).to_be_hidden()
    expect(page.locator("#deadletter-reasons button")).to_have_count(0)


def test_fix_sends_back_only_what_was_changed(page: Page, url: str, server: FakeServer) -> None:
    """Personal data is masked on the page: a whole event would carry the masks into the record."""
    post(url, ORDER | {"currency": "XXX", "user_id": "ada"})
    page.goto(url)
    letter = page.locator(".letter")
    letter.locator("summary").click()
    text = letter.locator("textarea").input_value()
    assert "***" in text

    letter.locator("textarea").fill(text.replace("XXX", "EUR"))
    letter.get_by_role("button", name="Fix and replay").click()

    expect(page.locator("#deadletter-note")).to_contain_text("Dead letter 0 was accepted")
    assert server.platform.events[0]["data"]["user_id"] == "ada"


def test_graph_follows_the_arrows_of_an_event(page: Page, url: str) -> None:
    """Which numbers does this event move? Also by keyboard."""
    page.goto(url)
    page.locator('[data-id="event:order.cancelled@1"]').focus()

    metric = page.locator('.node.on[data-kind="metric"]')
    expect(metric.filter(has_text="revenue").first).to_be_visible()
    expect(page.locator('[data-id="metric:page_views@1"]')).not_to_have_class(re.compile(r"\bon\b"))


def test_graph_is_one_stop_of_the_keyboard_and_walked_by_arrows(page: Page, url: str) -> None:
    """Sixty stops of Tab before what comes after it are a wall."""
    page.goto(url)
    expect(page.locator(".node").first).to_be_visible()
    assert page.locator('.node[tabindex="0"]').count() == 1
    page.locator('[data-id="event:order.cancelled@1"]').focus()

    page.keyboard.press("ArrowDown")
    below = page.evaluate("document.activeElement.dataset.id")
    page.keyboard.press("ArrowRight")
    across = page.evaluate("document.activeElement.dataset.id")

    assert below.startswith("event:")
    assert below != "event:order.cancelled@1"
    assert across.startswith("metric:")
    assert page.locator('.node[tabindex="0"]').get_attribute("data-id") == across


def test_graph_is_told_in_words_to_whom_taps_it(browser: Browser, url: str) -> None:
    """On a phone nothing hovers, and most arrows lead out of the picture."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    phone = context.new_page()
    phone.goto(url)

    phone.locator('[data-id="event:order.cancelled@1"]').tap()

    words = phone.locator("#graph-words")
    expect(words).to_contain_text("event order.cancelled: metrics")
    expect(words).to_contain_text("revenue v2")
    context.close()


def test_four_currencies_are_all_shown(page: Page, url: str) -> None:
    """A line that says "and 1 more" takes the room of the one it hides."""
    for number, currency in enumerate(("EUR", "USD", "GBP", "CHF")):
        post(url, ORDER | {"order_id": currency, "currency": currency}, id=f"e{number}")

    page.goto(url)

    expect(page.locator("[data-metric=revenue] .value")).to_have_count(4)
    expect(page.locator("[data-metric=revenue] .rest")).to_have_count(0)


def test_number_is_explained_and_proved(page: Page, url: str) -> None:
    """Contract, causes, split, and the recompute from the lake."""
    post(url, ORDER)
    page.goto(url)

    page.get_by_role("button", name="revenue", exact=True).click()
    detail = page.get_by_role("dialog")
    expect(detail).to_contain_text("version 2, approved, finance")
    expect(detail.get_by_role("row", name="order.created")).to_contain_text("+99.50")
    detail.get_by_label("by").select_option("country")
    expect(detail.get_by_role("row", name="DE ·")).to_contain_text("99.50")
    detail.get_by_role("button", name="Recompute from the lake").click()

    expect(detail).to_contain_text("Equal to the live value")


def test_key_is_asked_for_once_and_kept(page: Page, server: FakeServer) -> None:
    """With keys configured the page is of no use without one, and must say so."""
    server.api_key = "secret"
    with served(server) as url:
        page.goto(url)
        page.get_by_role("textbox", name="Key").fill("wrong")
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#key-note")).to_contain_text("does not know this key")
        page.get_by_role("textbox", name="Key").fill("secret")
        page.get_by_role("button", name="Use this key").click()

        expect(page.locator("[data-metric=revenue] .status")).to_have_text("never moved")
        page.reload()
        expect(page.locator("[data-metric=revenue] .status")).to_have_text("never moved")


def test_what_events_carry_is_text_and_never_markup(page: Page, url: str) -> None:
    """Events come from anywhere; a page that trusts them is somebody else's page."""
    evil = "<img src=x onerror=alert(1)>"
    post(url, ORDER, type=evil, id=evil)
    post(url, ORDER | {"country": evil}, id=evil)
    page.goto(url)

    expect(page.locator(".letter summary")).to_contain_text(evil)
    page.get_by_role("button", name="revenue", exact=True).click()
    expect(page.get_by_role("dialog").locator("table").last).to_contain_text(evil)

    assert page.locator("img[src=x]").count() == 0


def test_page_fits_a_phone(page: Page, url: str) -> None:
    """On call means in bed: nothing may hang out to the right."""
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(url)
    expect(page.locator("[data-metric=revenue] .status")).to_have_text("never moved")

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_everything_has_a_name_for_those_who_cannot_see_it(page: Page, url: str) -> None:
    """Every control is announced as something, and every control is reached."""
    page.goto(url)
    expect(page.locator("[data-metric=revenue] .status")).to_have_text("never moved")

    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('input, select, textarea, button, a')]
          .filter((e) => !e.labels?.length && !e.textContent.trim() && !e.ariaLabel)
          .map((e) => e.outerHTML)"""
    )

    assert unnamed == []
