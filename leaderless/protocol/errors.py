"""What a peer can do wrong, by name; each ends its connection and touches nobody else.

::

    ProtocolError                the peer's fault, always
    ├── FrameTooLargeError       more bytes than the limits allow, before or after decompression
    ├── MalformedError           truncated, too deep, of a wrong type, of an unknown kind
    ├── IncompatibleError        another major version, or another library
    ├── OutOfTurnError           a message that cannot come now
    └── InvalidCommitError       a commit that no replica may apply
"""

from __future__ import annotations

from leaderless.errors import InvalidDataError


class ProtocolError(InvalidDataError):
    """A peer broke a rule of the protocol."""

    code = "protocol_error"


class FrameTooLargeError(ProtocolError):
    """More bytes than a frame may have."""

    code = "frame_too_large"


class MalformedError(ProtocolError):
    """Bytes that are no message."""

    code = "malformed"


class IncompatibleError(ProtocolError):
    """A peer that cannot be talked with, and why."""

    code = "incompatible"


class OutOfTurnError(ProtocolError):
    """A message at a time when it means nothing."""

    code = "out_of_turn"


class InvalidCommitError(ProtocolError):
    """A commit whose bytes break a rule; it is invalid for everyone."""

    code = "invalid_commit"
