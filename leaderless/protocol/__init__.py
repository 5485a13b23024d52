"""The pure core: what the bytes mean, and what to say to a peer next.

Events in, commands out. No I/O, no clock, no randomness, no SQL; PROTOCOL.md is its text.
"""
