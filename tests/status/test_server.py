"""The status socket, asked for real."""

from __future__ import annotations

import json
import os
import socket
import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from leaderless.errors import LeaderlessError, NotFoundError, TimedOutError
from leaderless.status.http import Answer, Request, Routes
from leaderless.status.server import MAX_BODY_BYTES, SocketTakenError, serve_status
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
async def serving(tmp_path: Path) -> AsyncIterator[Path]:
    """Serve at a socket."""
    path = tmp_path / "run" / "status.sock"
    with trio.fail_after(30):
        async with serve_status(path, ROUTES):
            yield path


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
