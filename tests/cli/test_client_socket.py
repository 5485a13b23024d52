"""The client against the status socket as the daemon serves it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from leaderless.cli.client import Client
from leaderless.errors import (
    LeaderlessError,
    NotPermittedError,
    TimedOutError,
    UnreachableError,
    UsageError,
)
from leaderless.status.http import Answer, Request, Routes
from leaderless.status.server import MAX_BODY_BYTES, serve_status
from tests.cli.asking import paths_of

DEADLINE_S = 30.0
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Answer]]


async def _ask(work: Callable[[], T]) -> T:
    """Ask as a program of its own would: the daemon goes on meanwhile."""
    with trio.fail_after(DEADLINE_S):
        return await trio.to_thread.run_sync(work)


@asynccontextmanager
async def _daemon(home: Path, handler: Handler) -> AsyncIterator[Client]:
    routes = Routes({(method, "/v1/x"): handler for method in ("GET", "POST", "DELETE")})
    async with serve_status(paths_of(home).socket, routes):
        yield Client(paths_of(home), lambda: "start it")


async def _echo(request: Request) -> Answer:
    return Answer(
        {"method": request.method, "query": dict(request.query), "body": dict(request.body)}
    )


async def _never(_: Request) -> Answer:
    await trio.sleep_forever()
    raise AssertionError


@pytest.mark.parametrize("text", ["a b&c", "é", "caf\udce9"])
async def test_what_is_typed_is_what_the_daemon_reads(tmp_path: Path, text: str) -> None:
    """Also bytes that are not UTF-8."""
    async with _daemon(tmp_path, _echo) as client:
        answer = await _ask(partial(client.get, "/v1/x", {"text": text}))
    assert answer["query"] == {"text": text}


async def test_a_body_is_read_as_it_was_given(tmp_path: Path) -> None:
    """Whatever JSON can say."""
    body = {"fields": {"color": None, "aliases": ["+é"]}}
    async with _daemon(tmp_path, _echo) as client:
        answer = await _ask(partial(client.post, "/v1/x", body))
    assert (answer["method"], answer["body"]) == ("POST", body)


async def test_something_can_be_taken_back(tmp_path: Path) -> None:
    """By the method that says so."""
    async with _daemon(tmp_path, _echo) as client:
        assert (await _ask(partial(client.delete, "/v1/x")))["method"] == "DELETE"


async def test_an_error_crosses_the_socket_whole(tmp_path: Path) -> None:
    """Its kind, its code, its words and its remedy."""

    async def refuse(_: Request) -> Answer:
        error = NotPermittedError("not yours", hint="leaderless tag list")
        error.code = "theirs"
        raise error

    async with _daemon(tmp_path, refuse) as client:
        with pytest.raises(NotPermittedError) as caught:
            await _ask(partial(client.get, "/v1/x"))
    error = caught.value
    assert (error.code, error.message, error.hint) == ("theirs", "not yours", "leaderless tag list")


async def test_a_daemon_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """The time is the one that was given."""
    async with _daemon(tmp_path, _never) as client:
        with pytest.raises(TimedOutError, match="in time"):
            await _ask(partial(client.get, "/v1/x", timeout_s=0.01))


async def test_a_daemon_that_stops_before_it_answers_is_not_reachable(tmp_path: Path) -> None:
    """Its socket is gone: the remedy is to start it."""
    asked = trio.Event()

    async def wait(request: Request) -> Answer:
        asked.set()
        return await _never(request)

    async with trio.open_nursery() as nursery, _daemon(tmp_path, wait) as client:

        async def ask() -> None:
            with pytest.raises(UnreachableError) as caught:
                await _ask(partial(client.get, "/v1/x"))
            assert caught.value.hint == "start it"

        nursery.start_soon(ask)
        with trio.fail_after(DEADLINE_S):
            await asked.wait()


async def test_a_daemon_that_stops_within_a_stream_is_not_its_end(tmp_path: Path) -> None:
    """What had come counts; a stream that breaks off is no whole one."""
    lines: list[bytes] = []
    first = trio.Event()

    @trio.as_safe_channel
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"one\n"
        await trio.sleep_forever()

    async def stream(_: Request) -> Answer:
        return Answer(stream=chunks())

    def follow(client: Client) -> None:
        for line in client.lines("/v1/x"):
            lines.append(line)
            trio.from_thread.run_sync(first.set)

    async with trio.open_nursery() as nursery, _daemon(tmp_path, stream) as client:

        async def ask() -> None:
            with pytest.raises(UnreachableError):
                await _ask(partial(follow, client))

        nursery.start_soon(ask)
        with trio.fail_after(DEADLINE_S):
            await first.wait()
    assert lines == [b"one\n"]


async def test_a_whole_stream_ends_as_one(tmp_path: Path) -> None:
    """Each line comes once, in order."""

    @trio.as_safe_channel
    async def chunks() -> AsyncGenerator[bytes, None]:
        for number in range(1_000):
            yield b"%d\n" % number

    async def stream(_: Request) -> Answer:
        return Answer(stream=chunks())

    async with _daemon(tmp_path, stream) as client:
        lines = await _ask(lambda: list(client.lines("/v1/x")))
    assert lines == [b"%d\n" % number for number in range(1_000)]


async def test_a_body_that_is_too_large_is_the_askers_mistake(tmp_path: Path) -> None:
    """It ends in words, not in a broken connection."""
    async with _daemon(tmp_path, _echo) as client:
        with pytest.raises(UsageError, match="bytes"):
            await _ask(partial(client.post, "/v1/x", {"name": "x" * MAX_BODY_BYTES}))


async def test_a_bug_in_an_answer_is_an_error_that_says_so(tmp_path: Path) -> None:
    """The daemon lives on and answers the next."""

    async def fail(request: Request) -> Answer:
        if request.query:
            raise ZeroDivisionError("by nought")
        return Answer()

    async with _daemon(tmp_path, fail) as client:
        with pytest.raises(LeaderlessError) as caught:
            await _ask(partial(client.get, "/v1/x", {"a": "b"}))
        assert caught.value.code == "bug"
        assert await _ask(partial(client.get, "/v1/x")) == {"schema": 1}
