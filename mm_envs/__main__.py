"""The command ``mm-envs``, also as ``python -m mm_envs``. Needs the extra ``mm-envs[cli]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; ``argv`` is what follows the name of the program.

    Returns:
        0; 1 where something went wrong or does not hold; 2 for wrong usage or a broken installation.
    """
    # Before anything heavy is imported: a broken installation would end in an import error there.
    from mm_envs.cli.installation import faults

    found = faults()
    for fault in found:
        print(f"mm-envs: {fault}", file=sys.stderr)
    if found:
        return 2
    from mm_envs.cli.app import run

    return run(sys.argv[1:] if argv is None else list(argv))


if __name__ == "__main__":
    sys.exit(main())
