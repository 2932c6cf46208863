"""Administrators make and end keys on the page of a real platform; others do not see how."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from agentflow_cli import main
from tests.e2e.conftest import Up, platform_up
from tests.fakes.few_metrics import few_metrics

pytestmark = pytest.mark.browser


def made(data_dir: Path, *options: str) -> str:
    """Make a key while the platform does not run."""
    arguments = ["keys", "create", "boss", *options, "--data-dir", str(data_dir)]
    return CliRunner().invoke(main, arguments).stdout.strip()


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, str, str]]:
    """A platform that takes stored keys, with one of an administrator and one of a reader."""
    directory = tmp_path_factory.mktemp("page")
    contracts = few_metrics(directory / "contracts", {"revenue", "order_count"})
    keys = made(directory / "data", "--scope", "admin"), made(directory / "data", "--scope", "read")
    with platform_up(directory / "data", contracts) as running:
        yield (running, *keys)


def opened(page: Page, up: Up, key: str) -> None:
    page.goto(up.url)
    page.locator("#key-value").fill(key)
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("[data-metric=revenue]")).to_be_visible()


def test_a_key_is_made_shown_once_and_revoked(page: Page, keyed: tuple[Up, str, str]) -> None:
    """What was made works over HTTP, for what was chosen; ended, it says so."""
    up, boss, _ = keyed
    opened(page, up, boss)
    section = page.locator("#keys")
    section.get_by_label("Name").fill("dashboard")
    section.get_by_label("Only these metrics").select_option("revenue")
    section.get_by_role("button", name="Make a key").click()

    key = section.get_by_label("The key").input_value()
    row = section.locator("tr", has_text="dashboard")
    expect(row).to_contain_text(re.compile("metrics: revenue"))
    answers = [
        up.http.get(f"/v1/metrics/{name}", headers={"X-API-Key": key})
        for name in ("revenue", "order_count")
    ]
    assert [answer.status_code for answer in answers] == [200, 404]
    page.reload()
    expect(row).to_be_visible()
    assert key not in page.content()
    page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Revoke").click()
    expect(row).to_have_attribute("data-status", "revoked")
    assert up.http.get("/v1/metrics/revenue", headers={"X-API-Key": key}).status_code == 401


def test_who_may_not_make_keys_is_not_shown_how(page: Page, keyed: tuple[Up, str, str]) -> None:
    """The rest of the page works as before."""
    up, _, reader = keyed
    opened(page, up, reader)

    expect(page.locator("#keys")).to_be_hidden()
    expect(page.locator("#keys-link")).to_be_hidden()
