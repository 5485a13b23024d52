"""Run benchmarks: scripts/bench --help."""

import sys

from scripts.benchmarks.commandline import main

if __name__ == "__main__":
    sys.exit(main())
