"""Pairing over real TLS on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from leaderless.errors import LeaderlessError
from leaderless.identity import load_or_create
from leaderless.pairing.attempts import CodeState, OpenCode
from leaderless.pairing.code import Code
from leaderless.pairing.host import Joiner, open_pairing
from leaderless.pairing.join import Host, join

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = Code(4, ("maple", "otter", "lemon"))
WRONG = Code(5, ("maple", "otter", "lemon"))


class Table:
    """Two devices and what each of them stored."""

    def __init__(self, folder: Path, opened: float) -> None:
        self.host = load_or_create(folder / "host")
        self.joiner = load_or_create(folder / "joiner")
        self.code = OpenCode(RIGHT, opened)
        self.admitted: list[Joiner] = []
        self.kept: list[Host] = []

    async def admit(self, joiner: Joiner) -> bytes:
        """Store a joiner."""
        self.admitted.append(joiner)
        return b"welcome"

    async def keep(self, host: Host) -> None:
        """Store a welcome."""
        self.kept.append(host)

    async def attempt(self, port: int, code: Code) -> Host:
        """Try a code."""
        with trio.fail_after(30):
            return await join(self.joiner, ("127.0.0.1", port), code, b"hello", self.keep)


async def test_the_right_code_makes_both_sides_store_each_other(tmp_path: Path) -> None:
    """The host admits the joiner's key, the joiner keeps the host's welcome."""
    table = Table(tmp_path, trio.current_time())
    pairing = open_pairing(table.host, table.code, "127.0.0.1", 0, table.admit, lambda *_: None)
    async with pairing as endpoint:
        host = await table.attempt(endpoint.port, RIGHT)
        assert host.public_key == table.host.public_key
        assert table.kept[0].welcome == b"welcome"
        assert table.admitted[0].public_key == table.joiner.public_key
        assert table.admitted[0].introduction == b"hello"


async def test_a_wrong_code_counts_and_stores_nothing(tmp_path: Path) -> None:
    """After a wrong code one try is used up and nobody is admitted."""
    table = Table(tmp_path, trio.current_time())
    pairing = open_pairing(table.host, table.code, "127.0.0.1", 0, table.admit, lambda *_: None)
    async with pairing as endpoint:
        with pytest.raises(LeaderlessError):
            await table.attempt(endpoint.port, WRONG)
        assert (table.code.failures, table.admitted, table.kept) == (1, [], [])


async def test_a_fourth_try_is_refused_even_with_the_right_code(tmp_path: Path) -> None:
    """Three wrong tries void a code."""
    table = Table(tmp_path, trio.current_time())
    pairing = open_pairing(table.host, table.code, "127.0.0.1", 0, table.admit, lambda *_: None)
    async with pairing as endpoint:
        for _ in range(3):
            with pytest.raises(LeaderlessError):
                await table.attempt(endpoint.port, WRONG)
        assert table.code.state(trio.current_time()) is CodeState.VOID
        with pytest.raises(LeaderlessError):
            await table.attempt(endpoint.port, RIGHT)
        assert table.admitted == []


async def test_an_expired_code_is_refused(tmp_path: Path) -> None:
    """A code that was opened more than five minutes ago admits nobody."""
    table = Table(tmp_path, trio.current_time() - 301)
    pairing = open_pairing(table.host, table.code, "127.0.0.1", 0, table.admit, lambda *_: None)
    async with pairing as endpoint:
        with pytest.raises(LeaderlessError):
            await table.attempt(endpoint.port, RIGHT)
        assert table.admitted == []
