"""`python -m leaderless`: the command line."""

from __future__ import annotations

from leaderless.cli.app import main

if __name__ == "__main__":
    main()
