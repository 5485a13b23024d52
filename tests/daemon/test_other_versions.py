"""What `status` says of devices of other versions."""

from __future__ import annotations

import pytest

from leaderless.daemon.other_versions import other_versions
from leaderless.protocol.commands import Key, Stream
from leaderless.protocol.messages import Hello, Vectors
from leaderless.protocol.peer import Peer
from registry.changes import Incarnation

DEVICE = b"p" * 16


def _peer(*, greeted: bool = True) -> Peer:
    peer = Peer(1, DEVICE, True, "x:1", 0, 0, Vectors())
    life = Incarnation(1, bytes(8))
    hello = Hello((1, 0), bytes(16), life, {}, bytes(32), bytes(32), 0, "0.1.0")
    peer.hello = hello if greeted else None
    return peer


def _codes(peer: Peer) -> list[str]:
    return [alert.code for alert in other_versions([peer], {DEVICE: "laptop"})]


@pytest.mark.parametrize("greeted", [True, False])
def test_another_version_alone_is_nothing_to_speak_of(greeted: bool) -> None:
    """As long as nothing is in the way."""
    assert _codes(_peer(greeted=greeted)) == []


def test_an_older_device_that_cannot_go_on_is_named() -> None:
    """With its version, and what to do there."""
    peer = _peer()
    peer.beyond.add(Key(Stream.LOG, b"f" * 44))
    (alert,) = other_versions([peer], {DEVICE: "laptop"})
    assert (alert.code, alert.hint) == (
        "OLDER_PEER",
        "upgrade leaderless on laptop; nothing of it is lost until then",
    )
    assert "0.1.0" in alert.text


def test_a_newer_device_that_is_not_understood_is_named() -> None:
    """It is this device that has to be upgraded; a device without a name is told by its id."""
    peer = _peer()
    peer.unknown[15] += 1
    assert _codes(peer) == ["NEWER_PEER"]
    (alert,) = other_versions([peer], {})
    assert alert.text.startswith(DEVICE.hex()[:8])
