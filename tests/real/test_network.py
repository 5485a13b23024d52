"""Two machines on one network that know nothing of each other: namespaces on a bridge, mDNS alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from scripts.device import pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.device import Device

BY_MDNS = "listen_port = 0\nreconnect_min_s = 0.2\n"


def _inside(name: str) -> tuple[str, ...]:
    return ("ip", "netns", "exec", name)


def _files(folder: Path, count: int) -> Path:
    for at in range(count // 100):
        (folder / f"d{at}").mkdir(parents=True)
        for number in range(100):
            (folder / f"d{at}" / f"f{number}").touch()
    return folder


def test_mdns_alone_pairs_and_syncs_ten_thousand_files(
    make_device: Callable[..., Device], namespaces: list[str], tmp_path: Path
) -> None:
    """Found by mDNS, paired by code, both export the same within 30 seconds."""
    a = make_device("a", BY_MDNS, _inside(namespaces[0]))
    b = make_device("b", BY_MDNS, _inside(namespaces[1]))
    a.run("location", "add", str(_files(tmp_path / "files", 10_000)), "--wait")
    began = time.monotonic()
    pair(a, b)
    b.run("wait", "--synced", "--timeout", "30")
    a.run("wait", "--synced", "--timeout", "30")
    assert time.monotonic() - began < 30
    assert a.export() == b.export()
    assert a.export().count(b"\n") > 10_000


def test_a_wrong_code_is_refused_and_a_fourth_try_too(
    make_device: Callable[..., Device], namespaces: list[str]
) -> None:
    """Three wrong codes void the right one; the stranger stays alone and is told nothing."""
    a = make_device("a", BY_MDNS, _inside(namespaces[0]))
    b = make_device("b", BY_MDNS, _inside(namespaces[1]))
    shown = a.json("pair", "--no-wait")
    digit, words = shown["code"].split("-", 1)
    wrong = f"{(int(digit) + 1) % 10}-{words}"
    address = f"192.0.2.1:{shown['port']}"
    for _ in range(3):
        assert b.run("pair", wrong, "--address", address, code=None).returncode != 0
    assert a.json("status")["peers"] == []
    assert b.run("pair", shown["code"], "--address", address, code=None).returncode != 0
    assert a.json("status")["peers"] == b.json("status")["peers"] == []


def test_a_stranger_gets_nothing_from_the_sync_port(
    make_device: Callable[..., Device], namespaces: list[str]
) -> None:
    """Who knows all that mDNS shows, address and port, is refused before a byte is answered."""
    a = make_device("secret-name", BY_MDNS, _inside(namespaces[0]))
    sync_port = next(
        item["addresses"][0].rpartition(":")[2] for item in a.json("device", "list")["devices"]
    )
    script = (
        "import ssl, socket, sys\n"
        "c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); c.check_hostname = False\n"
        "c.verify_mode = ssl.CERT_NONE\n"
        "s = c.wrap_socket(socket.create_connection(('192.0.2.1', int(sys.argv[1])), 5))\n"
        "try:\n"
        "    s.sendall(b'GET /sync/1 HTTP/1.1\\r\\n\\r\\n'); print(s.recv(100))\n"
        "except (ssl.SSLError, OSError) as error:\n"
        "    print('refused', s.getpeercert(True).find(b'secret'), s.getpeercert(True).find(b'home'))\n"
    )
    command = [*_inside(namespaces[1]), sys.executable, "-c", script, sync_port]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    assert done.stdout.strip() in (b"refused -1 -1", b"b''")
    assert json.loads(a.run("--json", "status").stdout)["peers"] == []
