"""leaderless: one catalogue of all files on all devices, kept by equals.

The top floor: the daemon, the rooms it joins, and the command line. What a change is and who wins
is decided in `registry`; the columns and apply rules of the models stand in `entities`.
"""

__version__ = "0.2.0.dev0"
