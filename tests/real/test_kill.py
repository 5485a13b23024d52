"""Daemons that are killed in the middle of a backfill."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from scripts.device import Device, pair
from scripts.relay import Relay, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENTRIES = 200_000
NAME_BYTES = 16
KILLS = 10
# Handshakes, positions and acknowledgements of ten more sessions, beside the rows.
ALLOWED = 1.1


def _tree(folder: Path, chance: random.Random) -> Path:
    """Make a tree of ENTRIES names that do not compress well, so that bytes stand for rows."""
    base = folder / "big"
    first = base / "seed"
    base.mkdir(parents=True)
    first.touch()
    for at in range(ENTRIES // 1_000):
        inside = base / f"directory {at}"
        inside.mkdir()
        for number in range(999):
            (inside / f"{number}-{chance.randbytes(NAME_BYTES).hex()}").symlink_to("nowhere")
    return base


def _behind_a_relay(make_device: Callable[..., Device], name: str) -> tuple[Device, Relay]:
    """Start a device that names its relay as its address: both sides dial, either may win."""
    relay = Relay()
    relay.target = free_port()
    device = make_device(
        name,
        f'listen_host = "127.0.0.1"\nlisten_port = {relay.target}\nmdns = false\n'
        f'advertise = ["127.0.0.1:{relay.port}"]\nreconnect_min_s = 0.1\nreconnect_max_s = 0.3\n'
        "watch = false\n",
    )
    return device, relay


def _rows_of(device: Device, owner: str) -> int:
    listed = device.json("device", "list")["devices"]
    return next((int(item["rows"]) for item in listed if item["id"] == owner), 0)


def test_a_backfill_survives_ten_kills_and_sends_hardly_more(
    make_device: Callable[..., Device], tmp_path: Path
) -> None:
    """Killed at ten random points on either side, it resumes; rows sent stay under 1.1 times."""
    chance = random.Random(20_261_121)
    a, wire_to_a = _behind_a_relay(make_device, "a")
    a.run("location", "add", str(_tree(tmp_path, chance)), "--wait")
    owner = a.json("status")["device_id"]
    plain, wire_to_plain = _behind_a_relay(make_device, "plain")
    pair(a, plain, "127.0.0.1")
    plain.run("wait", "--synced", "--timeout", "120")
    plain.stop()
    clean = wire_to_a.bytes_forwarded + wire_to_plain.bytes_forwarded
    assert clean > ENTRIES * NAME_BYTES, "not every row went through the relays"
    b, wire_to_b = _behind_a_relay(make_device, "b")
    before = wire_to_a.bytes_forwarded
    pair(a, b, "127.0.0.1")
    points = sorted(chance.randrange(ENTRIES // 100, ENTRIES * 9 // 10) for _ in range(KILLS))
    for point in points:
        deadline = time.monotonic() + 60
        while _rows_of(b, owner) < point:
            assert time.monotonic() < deadline, "the backfill does not go on"
        victim = chance.choice((a, b))
        kept = _rows_of(b, owner)
        victim.kill()
        victim.start()
        assert _rows_of(b, owner) >= kept
    b.run("wait", "--synced", "--timeout", "120")
    a.run("wait", "--synced", "--timeout", "120")
    sent = wire_to_a.bytes_forwarded - before + wire_to_b.bytes_forwarded
    assert a.export() == b.export()
    assert sent < ALLOWED * clean, f"{sent} bytes instead of {clean}"
