"""Errors of the protocol."""

from __future__ import annotations

from leaderless.errors import InvalidDataError
from leaderless.protocol import errors


def test_every_error_is_the_peers_and_has_a_code_of_its_own() -> None:
    """Codes are stable and tell the errors apart."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    ours = [kind for kind in kinds if kind.__module__ == errors.__name__]
    assert all(issubclass(kind, InvalidDataError) for kind in ours)
    assert len({kind.code for kind in ours}) == len(ours)
