"""Numbers and names in sentences: a noun agrees with its count, a name stands in quotes."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun, as in "1 event" and "2,000 events".

    >>> counted(1, "event"), counted(2_000, "event"), counted(0, "entity", "entities")
    ('1 event', '2,000 events', '0 entities')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def quoted(named: object) -> str:
    """Return a name, a path or a text in quotes that it does not hold itself.

    >>> print(quoted("revenue"), quoted('7"'))
    "revenue" '7"'
    """
    text = str(named)
    if '"' not in text:
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
