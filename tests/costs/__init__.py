"""What things cost, in counts that are the same on every machine: a change for the worse fails here.

Times are for scripts/bench.
"""
