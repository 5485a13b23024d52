"""The command line: arguments and output only. It talks to the socket and never opens the database.

Quick to start: this package and what it imports at the top need click, h11 and the standard library
alone.
"""
