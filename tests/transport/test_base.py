"""How a connection fails, in terms of the errors that all rooms share."""

from __future__ import annotations

import pytest

from leaderless.errors import (
    InvalidDataError,
    LeaderlessError,
    NotPermittedError,
    UnreachableError,
)
from leaderless.transport import base


@pytest.mark.parametrize(
    ("error", "root", "code"),
    [
        (base.ConnectionLostError, UnreachableError, "connection_lost"),
        (base.DialError, UnreachableError, "dial_failed"),
        (base.SelfDialError, base.DialError, "self_dial"),
        (base.UntrustedPeerError, NotPermittedError, "untrusted_peer"),
        (base.FrameRefusedError, InvalidDataError, "frame_refused"),
    ],
)
def test_each_failure_has_its_place_and_code(
    error: type[LeaderlessError], root: type[LeaderlessError], code: str
) -> None:
    """Who handles a kind of error handles those of the road with it."""
    assert (issubclass(error, root), error.code) == (True, code)
