"""The README is true: its tour is run, its links lead somewhere, it stays short."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import AGENTFLOW, ROOT, Up
from tests.e2e.pages import blocks

README = (ROOT / "README.md").read_text()


def the_block(language: str) -> str:
    """Return the one block of the README in *language*."""
    (found,) = (block.text for block in blocks(ROOT / "README.md") if block.language == language)
    return found


def test_every_command_of_the_tour_succeeds(up: Up) -> None:
    """A newcomer types these first."""
    tour = the_block("bash")
    commands = [line for line in tour.splitlines() if line and not line.startswith("#")]
    environment = {**os.environ, "AGENTFLOW_URL": up.url}

    for command in commands:
        words = command.replace("uv run agentflow", str(AGENTFLOW)).split()
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if "--watch revenue" in command:
            assert "99.50" in done.stdout + done.stderr


def test_the_refused_event_of_the_readme_can_be_fixed(up: Up) -> None:
    """What the README says about dead letters, typed in."""
    environment = {**os.environ, "AGENTFLOW_URL": up.url}

    def agentflow(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(AGENTFLOW), *line.split()], env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    refused = agentflow("send order.created order_id=TOUR-2 amount=12.345 currency=EUR")
    listed = agentflow("deadletter list")
    offset = listed.stdout.split()[0]
    fixed = agentflow(f"deadletter fix {offset} --set /data/amount=12.35")

    assert refused.returncode == 4
    assert "scale_exceeded" in listed.stdout
    assert fixed.returncode == 0, fixed.stderr
    assert up.http.get("/v1/entity/order/TOUR-2").json()["attributes"]["amount"] == "12.35"


def test_the_python_of_the_readme_runs(up: Up) -> None:
    """Copied, with the address of this platform."""
    source = the_block("python")

    done = subprocess.run(
        [sys.executable, "-c", source.replace("http://127.0.0.1:8000", up.url)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "5.00"


def test_the_questions_of_the_readme_are_answered(up: Up) -> None:
    """Each address as it is printed; a token is there at once, or is waited for as it says."""
    asked = re.findall(r"^GET +(/v1/metrics/\S+)", README, re.MULTILINE)
    event = {"type": "order.created", "source": "/readme", "id": "README-1"}
    data = {"order_id": "README-1", "amount": "2.00", "currency": "EUR"}
    token = up.http.post("/v1/events", json={**event, "data": data}).json()["token"]

    (preference,) = re.findall(r"`Prefer: (wait=\d+)`", README)
    answers = {
        url: up.http.get(url.replace("TOKEN", token), headers={"Prefer": preference})
        for url in asked
    }

    assert len(asked) == 4
    assert {url: answer.status_code for url, answer in answers.items()} == dict.fromkeys(asked, 200)
    (seen,) = (answer.json() for url, answer in answers.items() if "at_least" in url)
    assert [group["value"] for group in seen["groups"]] == ["2.00"]


def test_links_lead_somewhere_and_it_stays_short() -> None:
    """At most 150 lines, and no dead ends."""
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if not (ROOT / link).exists()]

    assert missing == []
    assert len(README.splitlines()) <= 150


def test_links_of_the_docs_lead_somewhere() -> None:
    """The same for every page under docs."""
    missing = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if page.name != "0000-template.md"
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists() and Path(link).suffix
    ]

    assert missing == []
