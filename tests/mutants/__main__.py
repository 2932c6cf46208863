"""Plant each fault in turn and run the test that notices it.

python -m tests.mutants ["an older deletion wins" …]
"""

from __future__ import annotations

import sys

from tests.mutants.faults import FAULTS
from tests.mutants.noticing import noticed, warm_up


def main() -> int:
    """Print a line for each fault; 1 when one stays unnoticed."""
    wanted = sys.argv[1:] or [fault.name for fault in FAULTS]
    chosen = [fault for fault in FAULTS if fault.name in wanted]
    warm_up()
    unnoticed = 0
    for fault in chosen:
        found = noticed(fault)
        unnoticed += not found
        print(f"{'noticed' if found else 'UNNOTICED':<10} {fault.name}", flush=True)
    print(f"{len(chosen) - unnoticed} of {len(chosen)} faults are noticed")
    return 0 if chosen and not unnoticed else 1


if __name__ == "__main__":
    sys.exit(main())
