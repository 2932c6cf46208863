"""A child process that commits batches and prints each acknowledgement; the test kills it.

Run as: python crashing_writer.py FILE FIRST_BATCH SEED
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from agentflow.events import RawEvent
from ingestion.log.opening import open_log
from ingestion.log.port import Accept, Batch, Reject


def verdict(number: int) -> Accept | Reject:
    """Return the verdict on event *number*: every tenth is rejected."""
    name = b"%d" % number
    if number % 10 == 0:
        return Reject("t", "schema", name)
    identity = blake2b(name, digest_size=16).digest()
    return Accept(identity, "t", 1, "t", None, name, number, (identity,))


def batches(first: int, seed: int) -> Iterator[range]:
    """Yield the event numbers of one batch after the other, for ever."""
    sizes = random.Random(seed)
    while True:
        numbers = range(first, first + sizes.choice([1, 3, 40, 700]))
        yield numbers
        first = numbers.stop


def main() -> None:
    """Commit batches for ever; print `first stop` of each when it is durable."""
    path, first, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    log = open_log(path, staged_identities=500, staged_links=500).log
    for numbers in batches(first, seed):
        log.commit(
            Batch([RawEvent(b"%d" % n, "t", n) for n in numbers], [verdict(n) for n in numbers])
        )
        os.write(1, b"%d %d\n" % (numbers.start, numbers.stop))


if __name__ == "__main__":
    main()
