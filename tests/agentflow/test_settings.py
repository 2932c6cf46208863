"""Every setting is documented with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentflow.errors import ParameterError
from agentflow.settings import Settings
from ingestion.kafka.wiring import kafka_config

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def test_the_reference_page_lists_every_setting_with_its_default() -> None:
    """A setting nobody can find does not exist."""
    rows = re.findall(
        r"^\| `AGENTFLOW_(\w+)` \| (?:`([^`]*)`)? ?\|", PAGE.read_text(), re.MULTILINE
    )

    listed = {name.lower(): default for name, default in rows}

    assert listed == {
        name: "" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings end up in logs and tracebacks; keys and passwords must not."""
    for name in ("API_KEYS", "API_KEY", "KAFKA_SASL_PASSWORD", "REDIS_URL", "CONTROL_URL"):
        monkeypatch.setenv(f"AGENTFLOW_{name}", "hidden")
    monkeypatch.setenv("AGENTFLOW_KAFKA_SASL_USER", "somebody")
    monkeypatch.setenv("AGENTFLOW_KAFKA_SECURITY_PROTOCOL", "sasl_ssl")

    settings = Settings()

    assert "hidden" not in f"{settings!r} {settings} {kafka_config(settings)!r}"
    assert kafka_config(settings).sasl_password.startswith("hidden")


def test_values_that_do_not_fit_are_named_at_once_and_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page of pydantic is no answer, and a value may be a secret in the wrong variable."""
    monkeypatch.setenv("AGENTFLOW_PORT", "hidden")
    monkeypatch.setenv("AGENTFLOW_BUS", "hidden")

    with pytest.raises(ParameterError) as caught:
        Settings()

    assert "AGENTFLOW_PORT: input should be a valid integer" in str(caught.value)
    assert "AGENTFLOW_BUS: input should be 'embedded', 'redis' or 'kafka'" in str(caught.value)
    assert "hidden" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.__cause__ is None
