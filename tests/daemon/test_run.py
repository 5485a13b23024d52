"""The whole daemon in this process: opened, asked, stopped."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import logging
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from leaderless.config import Config, find_paths, load
from leaderless.daemon import init_home, serve
from leaderless.daemon.alone import DaemonRunningError, alone
from leaderless.daemon.run import GARBAGE, Daemon, ListenError
from leaderless.errors import NotFoundError
from leaderless.notify import Notifier
from leaderless.status.server import SocketTakenError
from leaderless.store import repair
from leaderless.store.disk import DamagedError, DiskError
from leaderless.store.engine import NewerSchemaError
from tests.daemon.rooms import OPTIONS
from tests.limits import limited
from tests.replicas import START_MS, SteppedClock, query_file

DEADLINE_S = 60.0


def home(folder: Path, options: str = OPTIONS) -> Config:
    """Make a device and return its configuration."""
    paths = find_paths(str(folder), {})
    paths.config.mkdir(parents=True)
    paths.config_file.write_text(options)
    init_home(paths, None, "home", SteppedClock())
    return load(paths)


class Manager:
    """A service manager that hears what the daemon says of itself."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._socket = trio.socket.from_stdlib_socket(
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        )
        self._path = folder / "notify"
        self._environment = environment

    async def open(self) -> Notifier:
        """Listen, and return the line to this manager."""
        await self._socket.bind(str(self._path))
        return Notifier({"NOTIFY_SOCKET": str(self._path), **self._environment})

    async def hear(self) -> list[str]:
        """Return the lines of the next message."""
        return (await self._socket.recv(4_096)).decode().split("\n")

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@asynccontextmanager
async def running(config: Config, folder: Path, **environment: str) -> AsyncIterator[Manager]:
    """Run a daemon that is ready."""
    manager = Manager(folder, **environment)
    try:
        notifier = await manager.open()
        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Daemon(config, SteppedClock(), notifier).run)
                assert "READY=1" in await manager.hear()
                yield manager
                nursery.cancel_scope.cancel()
    finally:
        manager.close()


async def ask(config: Config, path: str) -> dict[str, Any]:
    """Ask the status socket as curl would."""
    async with await trio.open_unix_socket(str(config.paths.socket)) as stream:
        await stream.send_all(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        text = b"".join([data async for data in stream])
    _, _, body = text.partition(b"\r\n\r\n")
    found: dict[str, Any] = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])
    return found


async def test_a_daemon_that_is_ready_answers(tmp_path: Path) -> None:
    """READY comes when the socket is up, whether or not any peer is."""
    config = home(tmp_path)
    async with running(config, tmp_path):
        report = await ask(config, "/v1/status")
        assert report["verdict"].startswith("Alone:")


async def test_a_new_device_describes_itself(tmp_path: Path) -> None:
    """Its row has its configured name and the port it really listens at."""
    config = home(tmp_path)
    async with running(config, tmp_path):
        ((name, addresses),) = query_file(
            config.paths.database, "SELECT name, addresses FROM device"
        )
        (address,) = json.loads(addresses)
        host, _, port = address.partition(":")
        assert (name, host) == ("anna", "127.0.0.1")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.aclose()


async def test_its_events_begin_with_its_start(tmp_path: Path) -> None:
    """Whoever follows them from the beginning sees which version runs."""
    config = home(tmp_path)
    async with (
        running(config, tmp_path),
        await trio.open_unix_socket(str(config.paths.socket)) as stream,
    ):
        await stream.send_all(b"GET /v1/events?since=old-1 HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b""
        while b'"started"' not in text:
            text += await stream.receive_some()


async def test_the_watchdog_hears_of_a_living_writer(tmp_path: Path) -> None:
    """WATCHDOG is told after a round trip through the database."""
    config = home(tmp_path)
    async with running(config, tmp_path, WATCHDOG_USEC="60000000") as manager:
        assert await manager.hear() == ["WATCHDOG=1"]


async def test_a_daemon_that_ends_says_so_and_leaves_its_database_whole(tmp_path: Path) -> None:
    """STOPPING is told, and beside the file is its snapshot, and no log."""
    config = home(tmp_path)
    manager = Manager(tmp_path)
    notifier = await manager.open()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Daemon(config, SteppedClock(), notifier).run)
            assert "READY=1" in await manager.hear()
            nursery.cancel_scope.cancel()
        assert await manager.hear() == ["STOPPING=1"]
    manager.close()
    left = sorted(path.name for path in config.paths.state.glob("library*"))
    assert left == ["library.db", "library.db.good"]
    assert query_file(config.paths.database, "PRAGMA integrity_check") == [("ok",)]


async def test_two_daemons_that_name_each_other_meet(tmp_path: Path) -> None:
    """A code shown by one and typed at the other is all it takes to be in sync."""
    first, second = home(tmp_path / "a"), home(tmp_path / "b")
    async with (
        running(first, tmp_path / "a"),
        running(second, tmp_path / "b"),
    ):
        shown = await post(first, "/v1/pair", {})
        await post(
            second, "/v1/join", {"code": shown["code"], "address": f"127.0.0.1:{shown['port']}"}
        )
        report = await ask(second, "/v1/wait?timeout_s=50")
        assert report["in_sync"] is True


async def test_a_restart_calls_where_it_was_answered_before(tmp_path: Path) -> None:
    """Without mDNS, configuration or rows of addresses: the last known address is enough."""
    first, second = home(tmp_path / "a"), home(tmp_path / "b")
    async with running(first, tmp_path / "a"):
        async with running(second, tmp_path / "b"):
            shown = await post(first, "/v1/pair", {})
            address = f"127.0.0.1:{shown['port']}"
            await post(second, "/v1/join", {"code": shown["code"], "address": address})
            await ask(second, "/v1/wait?timeout_s=50")
        (row,) = query_file(second.paths.database, "SELECT * FROM presence")
        (own,) = query_file(first.paths.database, "SELECT addresses FROM device WHERE epoch = 1")
        assert (row[1], [row[2]], row[3]) == (START_MS, json.loads(own[0]), START_MS)
        _forget_addresses(second)
        async with running(second, tmp_path):
            before = (await ask(second, "/v1/peers"))["peers"][0]
            assert (before["last_seen_ms"], before["proved_at_ms"]) == (str(START_MS),) * 2
            assert (await ask(second, "/v1/wait?timeout_s=50"))["in_sync"] is True


def _forget_addresses(config: Config) -> None:
    """Have a device know no address from the others' rows."""
    with contextlib.closing(sqlite3.connect(config.paths.database)) as database, database:
        database.execute("UPDATE device SET addresses = NULL WHERE epoch <> 1")


async def post(config: Config, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Post to the status socket."""
    data = json.dumps(body).encode()
    async with await trio.open_unix_socket(str(config.paths.socket)) as stream:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        length = f"Content-Length: {len(data)}\r\nContent-Type: application/json\r\n\r\n"
        await stream.send_all((head + length).encode() + data)
        text = b"".join([data async for data in stream])
    _, _, answer = text.partition(b"\r\n\r\n")
    found: dict[str, Any] = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
    assert "error" not in found, found
    return found


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Undo what `serve` sets for the logs, and for the garbage, of a whole process."""
    handlers = logging.getLogger().handlers[:]
    garbage = gc.get_threshold()
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    gc.unfreeze()
    gc.set_threshold(*garbage)


def test_without_a_device_the_command_that_makes_one_is_named(
    tmp_path: Path, logging_as_before: None
) -> None:
    """A daemon does not make a device by itself."""
    with pytest.raises(NotFoundError) as caught:
        serve(load(find_paths(str(tmp_path), {})))
    assert caught.value.hint == "leaderless init"


def test_a_port_that_is_taken_is_named_with_the_option(
    tmp_path: Path, logging_as_before: None
) -> None:
    """What the system said, and which line of which file to change; no group of errors."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = home(tmp_path, OPTIONS.replace("listen_port = 0", f"listen_port = {port}"))
        with pytest.raises(ListenError, match=f"{port}: Address already in use") as caught:
            serve(config)
    hint = caught.value.hint or ""
    assert ("listen_port" in hint, str(config.paths.config_file) in hint) == (True, True)


@pytest.mark.parametrize("host", ["192.0.2.1", "two..dots"])
def test_an_address_that_is_none_of_ours_is_named(
    tmp_path: Path, logging_as_before: None, host: str
) -> None:
    """Calls cannot be taken there: the option that says so stands in the remedy."""
    config = home(tmp_path, OPTIONS.replace("127.0.0.1", host))
    with pytest.raises(ListenError) as caught:
        serve(config)
    assert "listen_host" in (caught.value.hint or "")


def test_a_newer_database_is_refused_in_words(tmp_path: Path, logging_as_before: None) -> None:
    """The error of a room comes out of the daemon as it is."""
    config = home(tmp_path)
    with contextlib.closing(sqlite3.connect(config.paths.database)) as database, database:
        database.execute("UPDATE schema_version SET version_num = '9999'")
    with pytest.raises(NewerSchemaError):
        serve(config)


def test_what_stays_is_not_gone_through_for_garbage(
    tmp_path: Path, logging_as_before: None
) -> None:
    """What a daemon has loaded by its start is out of the collector's sight."""
    config = home(tmp_path)
    with contextlib.closing(sqlite3.connect(config.paths.database)) as database, database:
        database.execute("UPDATE schema_version SET version_num = '9999'")
    with pytest.raises(NewerSchemaError):
        serve(config)
    assert gc.get_freeze_count() > 50_000
    assert len(gc.get_objects()) < gc.get_freeze_count()
    assert gc.get_threshold() == GARBAGE


def test_a_taken_socket_is_refused_in_words(tmp_path: Path, logging_as_before: None) -> None:
    """Somebody else answers there: the second daemon says so."""
    config = home(tmp_path)
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(config.paths.socket))
        taken.listen()
        with pytest.raises(SocketTakenError):
            serve(config)


def test_an_error_that_nobody_raised_on_purpose_is_shown_whole(
    tmp_path: Path, logging_as_before: None
) -> None:
    """A bug keeps its traceback."""
    config = home(tmp_path)
    config.paths.socket.parent.rmdir()
    config.paths.socket.parent.touch()
    with pytest.raises(ExceptionGroup) as caught:
        serve(config)
    assert caught.group_contains(OSError)


def test_a_second_daemon_in_one_home_is_refused(tmp_path: Path, logging_as_before: None) -> None:
    """Two would write one database: the second says that the first is there."""
    config = home(tmp_path)
    with (config.paths.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        config.paths.socket.touch()
        with pytest.raises(DaemonRunningError):
            serve(config)


def test_a_database_that_cannot_be_mended_is_refused_in_words(
    tmp_path: Path, logging_as_before: None
) -> None:
    """The file is named, with what to do."""
    config = home(tmp_path)
    config.paths.database.write_bytes(b"this is a letter" * 1_000)
    with pytest.raises(DamagedError, match="is damaged") as caught:
        serve(config)
    assert "leaderless init" in (caught.value.hint or "")


def test_a_state_folder_that_cannot_be_written_is_refused_in_words(
    tmp_path: Path, logging_as_before: None
) -> None:
    """The lock cannot be made: that is told as what it means."""
    config = home(tmp_path)
    (config.paths.state / "lock").mkdir()
    with pytest.raises(DiskError):
        serve(config)


async def test_a_replaced_database_is_told_until_it_is_acknowledged(tmp_path: Path) -> None:
    """The status says so; once seen, it says so no more."""
    config = home(tmp_path)
    async with running(config, tmp_path):
        pass
    config.paths.database.write_bytes(b"this is a letter" * 1_000)
    repair.suspect(config.paths.database)
    assert repair.mend(config.paths.database, START_MS, b"new life") is not None
    async with running(config, config.paths.state):
        codes = [alert["code"] for alert in (await ask(config, "/v1/status"))["warnings"]]
        assert "DATABASE_REPLACED" in codes
        seen = [alert["code"] for alert in (await post(config, "/v1/acknowledge", {}))["warnings"]]
        assert "DATABASE_REPLACED" not in seen


def test_a_full_disk_is_no_reason_not_to_hold_the_home(tmp_path: Path) -> None:
    """Whose it is cannot be written down, but it is held all the same."""
    config = home(tmp_path)
    with limited(0), alone(config.paths), pytest.raises(DaemonRunningError):  # noqa: SIM117
        with alone(config.paths, lambda _: None):
            pass
