"""The text of a stored key: recognisable when it leaks, and known to be mistyped without a look.

`af_live_` or `af_test_`, 33 characters that say 192 random bits, 6 that are a checksum of all
before them. What looks for secrets in public places finds a key by its form, and can tell it from
an example.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

Mode: TypeAlias = Literal["live", "test"]

MODES: Final[tuple[Mode, ...]] = ("live", "test")
RANDOM_BYTES: Final = 24
PATTERN: Final = r"\baf_(?:live|test)_[0-9A-Za-z]{39}\b"
"""What a scanner looks for."""

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARACTERS: Final = 33
_CHECKSUM_CHARACTERS: Final = 6
_PREFIXES: Final = tuple(f"af_{mode}_" for mode in MODES)
_LENGTH: Final = len(_PREFIXES[0]) + _RANDOM_CHARACTERS + _CHECKSUM_CHARACTERS
_ALPHABET: Final = frozenset(_DIGITS)


def new_key(mode: Mode, draw: Callable[[int], bytes]) -> str:
    """Return a new key.

    >>> new_key("live", lambda count: bytes(count))
    'af_live_0000000000000000000000000000000004f3EFp'

    Args:
        mode: Whether it opens something real; it is only said, in the key itself.
        draw: Makes that many random bytes.
    """
    body = f"af_{mode}_{_digits(int.from_bytes(draw(RANDOM_BYTES), 'big'), _RANDOM_CHARACTERS)}"
    return body + _checksum(body)


def claims_to_be_stored(key: bytes) -> bool:
    """Tell whether a key begins as stored ones do."""
    return key.startswith((b"af_live_", b"af_test_"))


def fault_of(key: bytes) -> str | None:
    """Return what is wrong with the text of a key that begins as stored ones do; None if nothing.

    >>> fault_of(b"af_live_0000000000000000000000000000000004f3EFp") is None
    True
    >>> fault_of(b"af_live_0000000000000000000000000000000014f3EFp")
    'its checksum does not fit'
    """
    if len(key) != _LENGTH:
        return f"it has {len(key)} characters and not {_LENGTH}"
    text = key.decode("latin-1")
    if not _ALPHABET.issuperset(text[len(_PREFIXES[0]) :]):
        return "it has a character that no key has"
    body, checksum = text[:-_CHECKSUM_CHARACTERS], text[-_CHECKSUM_CHARACTERS:]
    return None if _checksum(body) == checksum else "its checksum does not fit"


def _checksum(body: str) -> str:
    return _digits(crc32(body.encode()), _CHECKSUM_CHARACTERS)


def _digits(number: int, count: int) -> str:
    text = ""
    for _ in range(count):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text
