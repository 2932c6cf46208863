"""What makes two events the same: tenant, source and id, or else their content."""

from __future__ import annotations

import json
from hashlib import blake2b, sha256

_KEY_SIZE_BYTES = 16


def identity_key(tenant: str, source: str, event_id: str) -> bytes:
    """Return the 16-byte key under which an event counts once.

    CloudEvents 1.0 makes `source` + `id` unique; tenants never share identities.

    >>> identity_key("t", "/shop", "1") == identity_key("t", "/shop", "1")
    True
    >>> identity_key("t", "/shop", "1") == identity_key("u", "/shop", "1")
    False
    """
    text = f"{len(tenant)}:{tenant}{len(source)}:{source}{event_id}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_SIZE_BYTES).digest()


def canonical_json(document: object) -> bytes:
    """Render JSON with sorted keys and no spaces, so that equal documents have equal bytes.

    >>> canonical_json({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def content_id(document: object) -> str:
    """Return the id of an event that came without one: the hash of its canonical JSON.

    >>> content_id({"type": "click"}).startswith("sha256:")
    True
    """
    return f"sha256:{sha256(canonical_json(document)).hexdigest()}"
