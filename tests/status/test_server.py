"""The status socket, asked for real."""

from __future__ import annotations

import json
import os
import socket
import stat
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from leaderless.errors import LeaderlessError, NotFoundError, TimedOutError
from leaderless.status.http import Answer, Request, Routes
from leaderless.status.server import (
    IDLE_S,
    MAX_BODY_BYTES,
    MAX_CONNECTIONS,
    REQUEST_S,
    SocketTakenError,
    may_ask,
    serve_status,
)
from tests.unprivileged import as_nobody

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path


async def _echo(request: Request) -> Answer:
    return Answer({"query": dict(request.query), "body": dict(request.body)})


async def _missing(_: Request) -> Answer:
    raise NotFoundError("no such thing", hint="look elsewhere")


async def _bug(_: Request) -> Answer:
    raise ZeroDivisionError


async def _late(_: Request) -> Answer:
    raise TimedOutError("late")


async def _refused(_: Request) -> Answer:
    raise LeaderlessError("no")


@trio.as_safe_channel
async def _lines() -> AsyncGenerator[bytes, None]:
    for number in range(3):
        yield b"%d\n" % number
        await trio.lowlevel.checkpoint()


async def _stream(_: Request) -> Answer:
    return Answer(stream=_lines())


ROUTES = Routes(
    {
        ("GET", "/v1/echo"): _echo,
        ("POST", "/v1/echo"): _echo,
        ("GET", "/v1/missing"): _missing,
        ("GET", "/v1/bug"): _bug,
        ("GET", "/v1/late"): _late,
        ("GET", "/v1/refused"): _refused,
        ("GET", "/v1/stream"): _stream,
    }
)


@asynccontextmanager
async def serving(tmp_path: Path, routes: Routes = ROUTES) -> AsyncIterator[Path]:
    """Serve at a socket."""
    path = tmp_path / "run" / "status.sock"
    with trio.fail_after(300):
        async with serve_status(path, routes):
            yield path


async def ask(path: Path, raw: bytes) -> trio.SocketStream:
    """Send bytes to a server; return the open connection."""
    stream = await trio.open_unix_socket(os.fspath(path))
    await stream.send_all(raw)
    return stream


async def rest(stream: trio.SocketStream) -> bytes:
    """Return all that a server sends until it closes the connection."""
    said = b""
    async with stream:
        async for chunk in stream:
            said += chunk
    return said


class Slow:
    """A route that takes until it is let go."""

    def __init__(self, method: str) -> None:
        self.began = trio.Event()
        self.go = trio.Event()
        self.ended = trio.Event()
        self.outcome = ""
        self.routes = Routes({(method, "/v1/slow"): self._answer})

    async def _answer(self, _: Request) -> Answer:
        self.began.set()
        try:
            await self.go.wait()
            self.outcome = "answered"
        except trio.Cancelled:
            self.outcome = "given up"
            raise
        finally:
            self.ended.set()
        return Answer({"outcome": "done"})


async def curl(path: Path, *arguments: str) -> tuple[int, Any]:
    """Ask with curl: (HTTP status, JSON)."""
    command = ["curl", "-s", "-w", "\n%{http_code}", "--unix-socket", str(path), *arguments]
    done = await trio.run_process(command, capture_stdout=True, check=False)
    body, _, code = done.stdout.decode().rpartition("\n")
    return int(code), json.loads(body) if body.startswith("{") else body


async def test_curl_gets_an_answer(tmp_path: Path) -> None:
    """Query and body arrive, and the answer has a schema."""
    async with serving(tmp_path) as path:
        assert await curl(path, "http://localhost/v1/echo?a=1&b=x%20y") == (
            200,
            {"schema": 1, "query": {"a": "1", "b": "x y"}, "body": {}},
        )
        code, answer = await curl(path, "-d", '{"k": [1]}', "http://localhost/v1/echo")
        assert (code, answer["body"]) == (200, {"k": [1]})


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["http://localhost/v1/missing"], 404, "not_found"),
        (["http://localhost/v1/nowhere"], 404, "not_found"),
        (["-X", "DELETE", "http://localhost/v1/echo"], 405, "method"),
        (["http://localhost/v1/bug"], 500, "bug"),
        (["http://localhost/v1/late"], 504, "timed_out"),
        (["http://localhost/v1/refused"], 409, "failed"),
        (["-H", "Origin: http://evil", "http://localhost/v1/echo"], 403, "not_permitted"),
        (["-H", "Referer: http://evil", "http://localhost/v1/echo"], 403, "not_permitted"),
        (["-d", "no json", "http://localhost/v1/echo"], 400, "usage"),
        (["-d", "[1]", "http://localhost/v1/echo"], 400, "usage"),
        (["-d", "[" * 100_000, "http://localhost/v1/echo"], 400, "usage"),
        (["--request-target", "//[", "http://localhost/v1/echo"], 400, "usage"),
    ],
)
async def test_errors_are_answers(
    tmp_path: Path, arguments: list[str], code: int, word: str
) -> None:
    """What is wrong has a status, a code and words; the server goes on."""
    async with serving(tmp_path) as path:
        found, answer = await curl(path, *arguments)
        assert (found, answer["error"]["code"]) == (code, word)
        assert (await curl(path, "http://localhost/v1/echo"))[0] == 200


async def test_a_body_over_the_cap_is_refused(tmp_path: Path) -> None:
    """More than a megabyte is answered with 413."""
    big = tmp_path / "big"
    big.write_bytes(b" " * (MAX_BODY_BYTES + 1))
    async with serving(tmp_path) as path:
        arguments = ("--data-binary", f"@{big}", "http://localhost/v1/echo")
        assert (await curl(path, *arguments))[0] == 413


async def test_a_stream_comes_line_by_line(tmp_path: Path) -> None:
    """An NDJSON answer is whole."""
    async with serving(tmp_path) as path:
        assert await curl(path, "http://localhost/v1/stream") == (200, "0\n1\n2\n")


async def test_garbage_gets_an_error_and_harms_nobody(tmp_path: Path) -> None:
    """Bytes that are no HTTP end their own connection."""
    async with serving(tmp_path) as path:
        stream = await trio.open_unix_socket(os.fspath(path))
        async with stream:
            await stream.send_all(b"\x00\x01 nonsense\r\n\r\n")
            assert b"400" in await stream.receive_some(1000)
        assert (await curl(path, "http://localhost/v1/echo"))[0] == 200


async def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    """The file has mode 0600 in a folder of mode 0700, and goes with the server."""
    async with serving(tmp_path) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


async def test_a_stale_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    """A socket nobody answers at is leftover; one that answers means a second daemon."""
    path = tmp_path / "run" / "status.sock"
    path.parent.mkdir()
    path.touch()
    async with serving(tmp_path):
        with pytest.raises(SocketTakenError):
            async with serve_status(path, ROUTES):
                pass


async def test_another_user_cannot_open_the_socket(tmp_path: Path) -> None:
    """Who is not the owner is refused by the file's mode."""
    async with serving(tmp_path) as path:

        def ask() -> str:
            with socket.socket(socket.AF_UNIX) as stranger:
                try:
                    stranger.connect(os.fspath(path))
                except PermissionError:
                    return "refused"
            return "same user" if os.geteuid() == path.parent.stat().st_uid else "let in"

        assert as_nobody(ask) in ("refused", "same user")


@pytest.mark.parametrize(
    ("uid", "answered"), [(1000, True), (0, True), (65_534, True), (1001, False), (1, False)]
)
def test_the_owner_and_root_are_answered(uid: int, answered: bool) -> None:
    """So is whom the kernel cannot name from within a user's service; no other user is."""
    assert may_ask(uid, 1000) is answered


async def test_a_connection_can_ask_several_times(tmp_path: Path) -> None:
    """The second request is answered on the connection of the first."""
    async with serving(tmp_path) as path:
        request = b"GET /v1/echo?n=%d HTTP/1.1\r\nHost: x\r\n"
        first = request % 1 + b"\r\n"
        said = await rest(await ask(path, first + request % 2 + b"Connection: close\r\n\r\n"))
        assert (said.count(b"200"), b'"n": "1"' in said, b'"n": "2"' in said) == (2, True, True)


async def test_a_body_is_asked_for_where_it_waits(tmp_path: Path) -> None:
    """Who expects 100 Continue gets it before the body is sent."""
    async with serving(tmp_path) as path:
        head = b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
        stream = await ask(path, head + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        assert b" 100 " in await stream.receive_some(1000)
        await stream.send_all(b"{}")
        assert b" 200 " in await rest(stream)


async def test_a_request_that_dribbles_is_ended(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """A body that does not come in time is answered with 408."""
    async with serving(tmp_path) as path:
        head = b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        stream = await ask(path, head + b"{")
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(REQUEST_S)
        assert b" 408 " in await rest(stream)


async def test_a_connection_that_asks_nothing_is_ended(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """It does not take a place for ever."""
    async with serving(tmp_path) as path:
        stream = await ask(path, b"")
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(IDLE_S)
        assert await rest(stream) == b""


async def test_a_request_that_breaks_off_harms_nobody(tmp_path: Path) -> None:
    """Who leaves in the middle of a body is forgotten; the next is answered."""
    async with serving(tmp_path) as path:
        head = b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        await (await ask(path, head + b"{")).aclose()
        assert (await curl(path, "http://localhost/v1/echo"))[0] == 200


async def test_more_connections_than_the_cap_are_closed(tmp_path: Path) -> None:
    """Those that are open go on being answered."""
    request = b"GET /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(tmp_path) as path:
        held = []
        for _ in range(MAX_CONNECTIONS):
            held.append(await ask(path, request))
            assert b"200" in await held[-1].receive_some(1000)
        assert await rest(await ask(path, b"")) == b""
        await held[0].send_all(request)
        assert b"200" in await held[0].receive_some(1000)
        for stream in held:
            await stream.aclose()


async def test_a_place_is_free_again_once_a_connection_ends(tmp_path: Path) -> None:
    """Any number can ask, one after another."""
    request = b"GET /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serving(tmp_path) as path:
        said = [await rest(await ask(path, request)) for _ in range(2 * MAX_CONNECTIONS)]
        assert all(b" 200 " in answer for answer in said)


async def test_nobody_is_answered_who_has_left(tmp_path: Path) -> None:
    """An answer that takes hours ends when whoever waits for it goes."""
    slow = Slow("GET")
    async with serving(tmp_path, slow.routes) as path:
        stream = await ask(path, b"GET /v1/slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await slow.began.wait()
        await stream.aclose()
        await slow.ended.wait()
        assert slow.outcome == "given up"


async def test_who_sends_no_more_is_still_answered(tmp_path: Path) -> None:
    """A connection closed in one direction is not left."""
    slow = Slow("GET")
    async with serving(tmp_path, slow.routes) as path:
        head = b"GET /v1/slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        stream = await ask(path, head)
        await slow.began.wait()
        await stream.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        slow.go.set()
        assert b'"done"' in await rest(stream)


async def test_what_was_begun_is_ended_even_if_nobody_waits(tmp_path: Path) -> None:
    """A change is not left half done because whoever asked for it went away."""
    slow = Slow("POST")
    async with serving(tmp_path, slow.routes) as path:
        stream = await ask(path, b"POST /v1/slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await slow.began.wait()
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        slow.go.set()
        await slow.ended.wait()
        assert slow.outcome == "answered"


async def test_a_stream_that_breaks_ends_its_connection_alone(tmp_path: Path) -> None:
    """Its reader sees that it is cut, the log says why, and the others are answered."""

    @trio.as_safe_channel
    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"first\n"
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    async def answer(_: Request) -> Answer:
        return Answer(stream=broken())

    routes = Routes({("GET", "/v1/broken"): answer, ("GET", "/v1/echo"): _echo})
    with capture_logs() as logged:
        async with serving(tmp_path, routes) as path:
            said = await rest(await ask(path, b"GET /v1/broken HTTP/1.1\r\nHost: x\r\n\r\n"))
            assert (await curl(path, "http://localhost/v1/echo"))[0] == 200
    assert (b"first" in said, said.endswith(b"0\r\n\r\n")) == (True, False)
    assert [entry["event"] for entry in logged] == ["answer_failed"]


async def test_many_ask_at_once(tmp_path: Path) -> None:
    """Nobody waits for another's answer."""
    slow = Slow("GET")
    routes = Routes({**slow.routes._table, ("GET", "/v1/echo"): _echo})
    async with serving(tmp_path, routes) as path, trio.open_nursery() as nursery:
        nursery.start_soon(partial(curl, path, "http://localhost/v1/slow"))
        await slow.began.wait()
        assert (await curl(path, "http://localhost/v1/echo"))[0] == 200
        slow.go.set()
