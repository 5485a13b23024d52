"""The connection within a process keeps the promises of a real one."""

from __future__ import annotations

import pytest

from leaderless.transport.base import ConnectionLostError
from leaderless.transport.memory import memory_pair


async def test_messages_arrive_whole_and_in_order() -> None:
    """What one end sends the other receives; each knows whom it talks with."""
    dialer, listener = memory_pair(b"d", b"l")
    assert (dialer.peer_key, listener.peer_key) == (b"l", b"d")
    await dialer.send(b"one")
    await dialer.send(b"two")
    assert [await listener.receive(), await listener.receive()] == [b"one", b"two"]


async def test_an_end_is_noticed_on_both_sides() -> None:
    """After one end closes, sending and receiving fail at the other."""
    dialer, listener = memory_pair(b"d", b"l")
    await dialer.aclose()
    with pytest.raises(ConnectionLostError):
        await listener.receive()
    with pytest.raises(ConnectionLostError):
        await listener.send(b"x")
