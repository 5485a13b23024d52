"""What is kept of a released version: a library as it wrote it, and a session as it spoke.

Run inside a checkout of that version by `scripts/make-release-fixtures`; what it writes stands in
tests/fixtures, and tests of every later version read it from there.
"""
