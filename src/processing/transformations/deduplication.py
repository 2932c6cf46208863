"""An identity counts once: across redelivery, replay and within one batch."""

from __future__ import annotations

from collections.abc import Container, Iterable


def first_seen(identities: Iterable[bytes], *, known: Container[bytes]) -> list[bool]:
    """Tell for each identity, in order, whether its event counts.

    It does when *known* does not hold it and no earlier one of the batch equals it.

    >>> first_seen([b"a", b"b", b"a"], known={b"b"})
    [True, False, False]
    """
    batch: set[bytes] = set()
    counts: list[bool] = []
    for identity in identities:
        counts.append(identity not in batch and identity not in known)
        batch.add(identity)
    return counts
