"""Requests and answers of the status socket, and how errors look."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import structlog

from leaderless.errors import (
    InvalidDataError,
    LeaderlessError,
    NotFoundError,
    NotPermittedError,
    NotYetError,
    UnreachableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

_STATUS: tuple[tuple[type[LeaderlessError], int], ...] = (
    (UsageError, 400),
    (InvalidDataError, 400),
    (NotPermittedError, 403),
    (NotFoundError, 404),
    (UnreachableError, 503),
    (NotYetError, 504),
)


@dataclass(frozen=True)
class Request:
    """What was asked: the path, the query as text values, the JSON body (empty if none)."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """Return a value of the query or body as text, or None if it is not there."""
        value = self.body.get(name, self.query.get(name))
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{name} must be a text")
        return value

    def needed(self, name: str) -> str:
        """Return a value that has to be there."""
        value = self.text(name)
        if value is None:
            raise UsageError(f"{name} is missing")
        return value

    def reference(self, name: str) -> str | None:
        """Return what names a thing, None if it is not there; raises UsageError if it is empty."""
        value = self.text(name)
        if value == "":
            raise UsageError(f"{name} is empty")
        return value

    def number(self, name: str, default: int | None = None) -> int | None:
        """Return a value as a whole number."""
        value = self.body.get(name, self.query.get(name))
        if value is None:
            return default
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"{name} must be a number") from error
        if not -(1 << 63) <= number < 1 << 63:
            raise UsageError(f"{name} must be a number of 64 bits")
        return number

    def within(self, name: str, default: int, least: int, most: int) -> int:
        """Return a value as a whole number of a range; raises UsageError that names the range."""
        number = self.number(name, default)
        if number is None or not least <= number <= most:
            raise UsageError(f"{name} is a number from {least:,} to {most:,}")
        return number


@dataclass(frozen=True)
class Answer:
    """A JSON object, or a stream of NDJSON lines."""

    data: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    stream: AbstractAsyncContextManager[AsyncIterable[bytes]] | None = None

    def body(self) -> bytes:
        """Return the bytes of the object."""
        text = json.dumps({"schema": 1, **self.data}, ensure_ascii=False)
        # Text made from bytes that are not UTF-8 holds surrogates: JSON has escapes for these.
        return text.encode("utf-8", "backslashreplace") + b"\n"


class Routes:
    """An explicit table of what can be asked."""

    def __init__(
        self, table: Mapping[tuple[str, str], Callable[[Request], Awaitable[Answer]]]
    ) -> None:
        self._table = dict(table)

    async def answer(self, request: Request) -> Answer:
        """Return the answer to a request; errors become answers too."""
        handler = self._table.get((request.method, request.path))
        if handler is None:
            if any(path == request.path for _, path in self._table):
                return error_answer(405, "method", f"{request.path} cannot be asked so")
            return error_answer(404, "not_found", f"there is no {request.path}")
        try:
            return await handler(request)
        except LeaderlessError as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), 409)
            return error_answer(status, error.code, error.message, error.hint)
        except UnicodeEncodeError:
            # Only what was asked holds text that cannot be written; nothing of it was.
            return error_answer(400, "usage", "what was given is not all UTF-8")
        except Exception as error:  # noqa: BLE001 - a bug in one answer must not end the daemon
            structlog.get_logger().error("request_failed", path=request.path, exc_info=error)
            return error_answer(500, "bug", f"{type(error).__name__}: {error}")


def error_answer(status: int, code: str, message: str, hint: str | None = None) -> Answer:
    """Return an answer that says what is wrong."""
    return Answer({"error": {"code": code, "message": message, "hint": hint}}, status)


def parse_request(method: str, target: str, body: bytes) -> Request:
    """Return the request in an HTTP target and body; raises UsageError.

    Bytes of the query that are not UTF-8 become surrogates, as in names of files.
    """
    try:
        parts = urlsplit(target)
        pairs = parse_qs(parts.query, keep_blank_values=True, errors="surrogateescape")
    except ValueError as error:
        raise UsageError("the address is none") from error
    query = {name: values[-1] for name, values in pairs.items()}
    try:
        given = json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise UsageError("the body is no JSON") from error
    if not isinstance(given, dict):
        raise UsageError("the body must be a JSON object")
    return Request(method, parts.path, query, given)
