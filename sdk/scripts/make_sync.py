"""Write the synchronous half of the client from the asynchronous one; `--check` only compares."""  # noqa: INP001

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "agentflow_sdk"
RUFF = str(Path(sys.executable).with_name("ruff"))
TWINS = {
    "_async_connection.py": "_connection.py",
    "_async_stream.py": "_stream.py",
    "_async_operations.py": "_operations.py",
    "_async_client.py": "_client.py",
}
REPLACEMENTS = (
    (
        r"`_client\.py` is made from this file by `sdk/scripts/make_sync\.py`",
        "made from `_async_client.py`",
    ),
    (r"\bAsyncGenerator\b", "Generator"),
    (r"Generator\[(\w+), None\]", r"Generator[\1, None, None]"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAsync(AgentFlow|Connection|Stream|Operations)\b", r"\1"),
    (r"\bAsyncClient\b", "Client"),
    (r"\bAsyncBaseTransport\b", "BaseTransport"),
    (r"\b_async_(\w+)", r"_\1"),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bimport asyncio\b", "import time"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"__a(iter|next|enter|exit)__", r"__\1__"),
    (r"\ba(close|read)\(", r"\1("),
    (r"\baiter_bytes\b", "iter_bytes"),
    (r"\baclosing\b", "closing"),
    (r"several tasks", "several threads"),
)


def synchronous(text: str) -> str:
    """Return the synchronous twin of a module."""
    for pattern, replacement in REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    # Imports and signatures became shorter: let the formatter lay them out anew.
    for command in (["check", "--select", "I,UP028", "--fix-only", "--unsafe-fixes"], ["format"]):
        text = subprocess.run(  # noqa: S603  # our own tool on our own text
            [RUFF, *command, "--stdin-filename", str(PACKAGE / "_client.py"), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return text


def main() -> int:
    """Write the twins, or with `--check` return 1 when one is out of date."""
    check = sys.argv[1:] == ["--check"]
    stale = []
    for source, target in TWINS.items():
        text = synchronous((PACKAGE / source).read_text("utf-8"))
        path = PACKAGE / target
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(target)
            if not check:
                path.write_text(text, "utf-8")
    if check and stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run sdk/scripts/make_sync.py\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
