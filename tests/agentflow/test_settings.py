"""Every setting is documented with its default."""

from __future__ import annotations

import re
from pathlib import Path

from agentflow.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def test_the_reference_page_lists_every_setting_with_its_default() -> None:
    """A setting nobody can find does not exist."""
    rows = re.findall(
        r"^\| `AGENTFLOW_(\w+)` \| (?:`([^`]*)`)? ?\|", PAGE.read_text(), re.MULTILINE
    )

    listed = {name.lower(): default for name, default in rows}

    assert listed == {name: str(field.default) for name, field in Settings.model_fields.items()}
