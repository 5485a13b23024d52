"""The contract: what a change is, who may make it, and who wins.

Pure values and rules on the standard library alone. No I/O, no clock, no randomness, no SQL: a
caller hands in the time and the bytes, and gets back what must be true.
"""
