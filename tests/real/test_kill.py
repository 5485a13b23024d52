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
            (inside / f"{number}-{chance.randbytes(16).hex()}").symlink_to("nowhere")
    return base


def _rows_of(device: Device, owner: str) -> int:
    listed = device.json("device", "list")["devices"]
    return next((int(item["rows"]) for item in listed if item["id"] == owner), 0)


def test_a_backfill_survives_ten_kills_and_sends_hardly_more(
    make_device: Callable[..., Device], tmp_path: Path
) -> None:
    """Killed at ten random points on either side, it resumes; rows sent stay under 1.1 times."""
    chance = random.Random(20_261_121)
    relay = Relay()
    options = (
        f'listen_host = "127.0.0.1"\nlisten_port = {free_port()}\nmdns = false\n'
        f'advertise = ["127.0.0.1:{relay.port}"]\nreconnect_min_s = 0.1\nreconnect_max_s = 0.3\n'
        "watch = false\n"
    )
    a = make_device("a", options)
    relay.target = int(options.split("listen_port = ")[1].split("\n", maxsplit=1)[0])
    a.run("location", "add", str(_tree(tmp_path, chance)), "--wait")
    owner = a.json("status")["device_id"]
    plain = make_device("plain", 'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n')
    pair(a, plain, "127.0.0.1")
    plain.run("wait", "--synced", "--timeout", "120")
    clean = relay.bytes_forwarded
    plain.stop()
    b = make_device(
        "b",
        'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'
        "reconnect_min_s = 0.1\nreconnect_max_s = 0.3\n",
    )
    before = relay.bytes_forwarded
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
    sent = relay.bytes_forwarded - before
    assert a.export() == b.export()
    assert sent < ALLOWED * clean, f"{sent} bytes instead of {clean}"
