"""`scripts/simulate`: explores seeds, prints what was found, and shows a failing one."""

from __future__ import annotations

import sys

import structlog

from scripts.simulation.commandline import main

# Standard output is for totals; processes that share the seeds begin here, too.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

if __name__ == "__main__":
    sys.exit(main())
