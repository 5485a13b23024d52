"""`scripts/simulate`: explores seeds, prints what was found, and shows a failing one."""

from __future__ import annotations

import sys

from scripts.simulation.commandline import main

if __name__ == "__main__":
    sys.exit(main())
