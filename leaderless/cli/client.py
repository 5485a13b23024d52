"""Asking the daemon, and what its errors mean for whoever asked."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import h11

from leaderless.errors import (
    LeaderlessError,
    NotFoundError,
    NotPermittedError,
    NotYetError,
    TimedOutError,
    UnreachableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from leaderless.config import Paths

_PIECE_BYTES = 64 << 10
EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE = 1, 2, 3
EXIT_NOT_PERMITTED, EXIT_NOT_FOUND, EXIT_PROBLEMS, EXIT_NOT_YET = 4, 5, 6, 75
_BY_STATUS: dict[int, type[LeaderlessError]] = {
    400: UsageError,
    403: NotPermittedError,
    404: NotFoundError,
    413: UsageError,
    503: LeaderlessError,
    504: NotYetError,
}
_EXITS: tuple[tuple[type[LeaderlessError], int], ...] = (
    (UsageError, EXIT_USAGE),
    (UnreachableError, EXIT_UNREACHABLE),
    (NotPermittedError, EXIT_NOT_PERMITTED),
    (NotFoundError, EXIT_NOT_FOUND),
    (NotYetError, EXIT_NOT_YET),
)


def exit_code(error: LeaderlessError) -> int:
    """Return the exit code that scripts can tell an error by."""
    return next((code for kind, code in _EXITS if isinstance(error, kind)), EXIT_FAILED)


class _Question:
    """One question at the status socket, and its answer piece by piece.

    The standard library's HTTP brings e-mail and TLS along, and a start is what is counted here.
    """

    def __init__(self, path: str, timeout_s: float | None) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._path = path
        self._http = h11.Connection(h11.CLIENT)

    def __enter__(self) -> Self:
        """Have it closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it, whether or not all has come."""
        self._socket.close()

    def ask(
        self, method: str, path: str, query: dict[str, Any] | None, body: dict[str, Any] | None
    ) -> int:
        """Ask; return the status of the answer. Raises OSError, h11.RemoteProtocolError."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        # What was typed may be a name that is not UTF-8: its bytes travel as they are.
        target = f"{path}?{urlencode(given, errors='surrogateescape')}" if given else path
        data = None if body is None else json.dumps(body).encode()
        headers = [("Host", "localhost")]
        if data is not None:
            headers.append(("Content-Length", str(len(data))))
        events = [
            h11.Request(method=method, target=target, headers=headers),
            *([] if data is None else [h11.Data(data=data)]),
            h11.EndOfMessage(),
        ]
        self._socket.connect(self._path)
        self._socket.sendall(b"".join(self._http.send(event) or b"" for event in events))
        while not isinstance(event := self._next(), h11.Response):
            pass
        return event.status_code

    def pieces(self) -> Iterator[bytes]:
        """Yield the answer as it comes; raises h11.RemoteProtocolError where it breaks off."""
        while not isinstance(event := self._next(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self._socket.recv(_PIECE_BYTES))
        return event


class Client:
    """The daemon of one home, as it can be asked; `start_command` is for whom it does not answer."""

    def __init__(self, paths: Paths, start_command: Callable[[], str]) -> None:
        self._path = os.fspath(paths.socket)
        self._start_command = start_command

    def get(
        self, path: str, query: dict[str, Any] | None = None, timeout_s: float | None = 60.0
    ) -> dict[str, Any]:
        """Ask for a JSON object."""
        return self._ask("GET", path, query, None, timeout_s)

    def post(
        self, path: str, body: dict[str, Any] | None = None, timeout_s: float | None = 120.0
    ) -> dict[str, Any]:
        """Ask for something to be done."""
        return self._ask("POST", path, None, body or {}, timeout_s)

    def delete(self, path: str) -> dict[str, Any]:
        """Ask for something to be taken back."""
        return self._ask("DELETE", path, None, None, 10.0)

    def lines(self, path: str, query: dict[str, Any] | None = None) -> Iterator[bytes]:
        """Yield the lines of a stream as they come; raises UnreachableError where it breaks off."""
        with self._translated(), _Question(self._path, None) as question:
            status = question.ask("GET", path, query, None)
            if status >= 400:
                raise _error(status, b"".join(question.pieces()))
            rest = b""
            for data in question.pieces():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield line + b"\n"
            if rest:
                yield rest

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None,
        body: dict[str, Any] | None,
        timeout_s: float | None,
    ) -> dict[str, Any]:
        with self._translated(), _Question(self._path, timeout_s) as question:
            status = question.ask(method, path, query, body)
            data = b"".join(question.pieces())
        if status >= 400:
            raise _error(status, data)
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise LeaderlessError("the daemon answered something else than expected")
        return answer

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Say what a failure of the connection means."""
        try:
            yield
        except TimeoutError as error:
            raise TimedOutError("the daemon did not answer in time") from error
        except PermissionError as error:
            raise NotPermittedError(
                f"{self._path} belongs to another user",
                hint="run this as the daemon's user; for the machine's service as root",
            ) from error
        except (OSError, h11.RemoteProtocolError) as error:
            raise UnreachableError(
                f"no daemon answers at {self._path}", hint=self._start_command()
            ) from error


def _error(status: int, data: bytes) -> LeaderlessError:
    kind = _BY_STATUS.get(status, LeaderlessError)
    try:
        about = json.loads(data)["error"]
        error = kind(str(about["message"]), hint=about["hint"])
        error.code = str(about["code"])
    except (ValueError, KeyError, TypeError):
        return kind(f"the daemon answered {status}")
    return error


def start_command(paths: Paths, unit: str, units: Path, *, system: bool = False) -> str:
    """Return the command that starts the daemon of a home, or of the machine.

    `unit` is what the service of this home is called where it is installed, in the folder `units`.
    """
    if system:
        return "sudo systemctl start leaderless"
    if not paths.database.exists():
        return "leaderless init"
    return f"systemctl --user start {unit}" if (units / unit).exists() else "leaderless serve"
