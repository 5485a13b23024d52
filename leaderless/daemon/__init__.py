"""The composition root: opens every room, joins them, and closes them in the reverse order."""

from leaderless.daemon.home import init_home
from leaderless.daemon.run import serve

__all__ = ["init_home", "serve"]
