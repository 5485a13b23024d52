"""The command line within this process, and daemons that answer as a test wants."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from leaderless.cli.app import main
from leaderless.config import Paths


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return the one JSON object on standard output."""
        return json.loads(self.out)


class Stream(io.TextIOWrapper):
    """A standard stream in memory; a terminal if it is told to be one."""

    def __init__(self, *, terminal: bool, encoding: str = "utf-8") -> None:
        self.held = io.BytesIO()
        self._terminal = terminal
        super().__init__(self.held, encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        """Return whether it plays a terminal."""
        return self._terminal

    def text(self) -> str:
        """Return all that was written."""
        return self.held.getvalue().decode(self.encoding)


@contextmanager
def printed(*, terminal: bool = False, encoding: str = "utf-8") -> Iterator[tuple[Stream, Stream]]:
    """Take what is printed meanwhile: (standard output, standard error)."""
    out, err = (Stream(terminal=terminal, encoding=encoding) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        yield out, err


def run(*arguments: str, terminal: bool = False, encoding: str = "utf-8") -> Said:
    """Run the command line in this process."""
    code: object = 0
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    with printed(terminal=terminal, encoding=encoding) as (out, err):
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code
    # `serve` sends the logging of its process to the streams that end here.
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=level, force=True)
    assert isinstance(code, int)
    return Said(code, out.text(), err.text())


def paths_of(home: Path) -> Paths:
    """Return the folders of a home."""
    return Paths(home / "config", home / "state", home / "run")


@contextmanager
def answering(home: Path, *answers: bytes | None) -> Iterator[list[bytes]]:
    """Answer each connection at a home's socket with bytes, then close it (None: never answer).

    Yields the requests as they come in.
    """
    path = paths_of(home).socket
    path.parent.mkdir(parents=True)
    requests: list[bytes] = []
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen()
        work = threading.Thread(target=_answer, args=(listener, answers, requests, over))
        work.start()
        try:
            yield requests
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            work.join()


def _answer(
    listener: socket.socket,
    answers: Sequence[bytes | None],
    requests: list[bytes],
    over: threading.Event,
) -> None:
    for answer in answers:
        try:
            asked, _ = listener.accept()
        except OSError:
            return
        with asked:
            requests.append(_request(asked))
            if answer is None:
                over.wait()
            else:
                asked.sendall(answer)


@contextmanager
def answering_at_once(home: Path, answer: Callable[[bytes], bytes]) -> Iterator[None]:
    """Answer all connections at a home's socket at once: `answer` may wait for another request."""
    path = paths_of(home).socket
    path.parent.mkdir(parents=True)

    class Answering(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(answer(_request(self.connection)))

    with socketserver.ThreadingUnixStreamServer(os.fspath(path), Answering) as server:
        work = threading.Thread(target=server.serve_forever, args=(0.01,))
        work.start()
        try:
            yield
        finally:
            server.shutdown()
            work.join()


def _request(asked: socket.socket) -> bytes:
    """Return one whole request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += asked.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        while name.lower() == b"content-length" and len(body) < int(value):
            body += asked.recv(65_536)
    return head + b"\r\n\r\n" + body


def http(body: bytes | dict[str, Any], status: int = 200) -> bytes:
    """Return an answer as it is on the wire."""
    raw = body if isinstance(body, bytes) else json.dumps({"schema": 1, **body}).encode()
    return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(raw), raw)


def failed(status: int, code: str, message: str, hint: str | None = None) -> bytes:
    """Return an error as the daemon answers it."""
    return http({"error": {"code": code, "message": message, "hint": hint}}, status)


def chunks(*lines: bytes, whole: bool = True) -> bytes:
    """Return a stream of lines; one that is not whole breaks off."""
    head = b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines)
    return head + body + (b"0\r\n\r\n" if whole else b"")
