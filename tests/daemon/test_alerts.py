"""What the status report says of shared records that most others hold otherwise."""

from __future__ import annotations

from pathlib import Path

import trio

from leaderless.protocol.trusting import MOST_DISAGREED_S
from leaderless.store import givers
from tests.daemon.rooms import open_rooms
from tests.replicas import Replica


async def test_who_gave_altered_records_is_a_warning_for_as_long_as_it_is_not_asked(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """It says what was altered, and what is done about it."""
    device = pair[1].identity.device
    async with open_rooms(tmp_path, pair[0]) as rooms:
        trust, now = rooms.driver.exchange.fetching.trust, trio.current_time()
        trust.altered_records(device, now)
        (alert,) = (await rooms.overview.view()).warnings
        assert alert.code == "RELAY_DISTRUSTED"
        assert device.hex()[:8] in alert.text
        trust.altered_records(device, now - MOST_DISAGREED_S)
        assert (await rooms.overview.view()).warnings == []


async def test_records_that_most_others_hold_otherwise_are_a_warning(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Whom to connect is said, as nobody may be there who can give them."""
    replica, giver = pair
    replica.store.write_here(lambda tx: givers.note(tx.conn, [giver.identity.device]))
    assert replica.store.write_here(lambda tx: givers.doubt(tx.conn))
    async with open_rooms(tmp_path, replica) as rooms:
        (alert,) = (await rooms.overview.view()).warnings
        assert (alert.code, alert.hint) == (
            "FETCHING_RECORDS",
            "connect a device that holds what most hold",
        )
        assert "others agree about" in alert.text
