"""Asking the daemon, and what its answers mean."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from leaderless.cli.client import Client, exit_code, start_command
from leaderless.errors import (
    InvalidDataError,
    LeaderlessError,
    NotFoundError,
    NotPermittedError,
    NotYetError,
    TimedOutError,
    UnreachableError,
    UsageError,
)
from tests.cli.asking import answering, chunks, failed, http, paths_of
from tests.unprivileged import as_nobody


def _client(home: Path) -> Client:
    return Client(paths_of(home), lambda: "start it")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LeaderlessError("x"), 1),
        (InvalidDataError("x"), 1),
        (UsageError("x"), 2),
        (UnreachableError("x"), 3),
        (NotPermittedError("x"), 4),
        (NotFoundError("x"), 5),
        (NotYetError("x"), 75),
        (TimedOutError("x"), 75),
    ],
)
def test_exit_codes_are_what_scripts_rely_on(error: LeaderlessError, code: int) -> None:
    """Each kind of error has its number."""
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (403, 4), (404, 5), (405, 1), (409, 1), (413, 2), (500, 1), (503, 1), (504, 75)],
)
def test_an_error_of_the_daemon_has_its_exit_code(tmp_path: Path, status: int, code: int) -> None:
    """A peer that does not answer (503) is not the daemon: that is another code."""
    with (
        answering(tmp_path, failed(status, "word", "no")),
        pytest.raises(LeaderlessError) as caught,
    ):
        _client(tmp_path).get("/v1/x")
    assert exit_code(caught.value) == code


def test_an_error_keeps_the_daemons_words(tmp_path: Path) -> None:
    """Code, message and hint arrive as they were said."""
    answer = failed(404, "no_tag", "there is no tag “x”", "leaderless tag list")
    with answering(tmp_path, answer), pytest.raises(NotFoundError) as caught:
        _client(tmp_path).get("/v1/x")
    error = caught.value
    assert (error.code, error.message, error.hint) == (
        "no_tag",
        "there is no tag “x”",
        "leaderless tag list",
    )


@pytest.mark.parametrize(
    "body", [b"no json", b"{}", b'{"error": "text"}', b'{"error": {"message": "x"}}', b"[]"]
)
def test_an_error_of_another_form_is_still_an_error(tmp_path: Path, body: bytes) -> None:
    """Something else may answer at the socket: its status is what is known."""
    with answering(tmp_path, http(body, 404)), pytest.raises(NotFoundError, match="answered 404"):
        _client(tmp_path).get("/v1/x")


@pytest.mark.parametrize("body", [b"no json", b"[1]", b"\xff"])
def test_an_answer_of_another_form_is_refused(tmp_path: Path, body: bytes) -> None:
    """Only an object is taken."""
    with answering(tmp_path, http(body)), pytest.raises(LeaderlessError, match="something else"):
        _client(tmp_path).get("/v1/x")


def test_without_a_daemon_the_remedy_is_its_start(tmp_path: Path) -> None:
    """Nobody at the socket is said so, with the command."""
    with pytest.raises(UnreachableError) as caught:
        _client(tmp_path).get("/v1/status")
    assert caught.value.hint == "start it"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 x\r\nContent-Length: 99\r\n\r\n{", b"\x00garbage\r\n\r\n"]
)
def test_a_daemon_that_dies_while_it_answers_is_not_reachable(
    tmp_path: Path, answer: bytes
) -> None:
    """Before, within and instead of an answer."""
    with answering(tmp_path, answer), pytest.raises(UnreachableError):
        _client(tmp_path).get("/v1/status")


@pytest.mark.parametrize("begun", [None, b"HTTP/1.1 200 x\r\nContent-Length: 99\r\n\r\n{"])
def test_a_daemon_that_does_not_answer_in_time_is_given_up(
    tmp_path: Path, begun: bytes | None
) -> None:
    """Whether it says nothing at all, or begins and stops."""
    with _silent(tmp_path, begun) as client, pytest.raises(TimedOutError):
        client.get("/v1/status", timeout_s=0.01)


class _silent:  # noqa: N801 - reads as a word
    """A daemon that takes a connection, perhaps begins an answer, and no more."""

    def __init__(self, home: Path, begun: bytes | None) -> None:
        path = paths_of(home).socket
        path.parent.mkdir(parents=True)
        self._home, self._begun = home, begun
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(path))
        self._listener.listen()

    def __enter__(self) -> Client:
        return _client(self._home)

    def __exit__(self, *_: object) -> None:
        self._listener.close()


def test_a_socket_of_another_user_is_not_permitted() -> None:
    """The remedy is to ask as its owner."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        home.chmod(0o755)
        with answering(home):
            socket_file = paths_of(home).socket
            socket_file.parent.chmod(0o755)
            socket_file.chmod(0o000)

            def attempt() -> str:
                try:
                    _client(home).get("/v1/status")
                except NotPermittedError as error:
                    return error.message
                return "answered"

            assert as_nobody(attempt) == f"{socket_file} belongs to another user"


def test_what_is_asked_arrives_as_it_was_typed(tmp_path: Path) -> None:
    """Spaces, letters of any script, and bytes that are not UTF-8; what is not given is left out."""
    with answering(tmp_path, http({})) as requests:
        _client(tmp_path).get("/v1/find", {"text": "a é\udce9&", "ext": None, "limit": 5})
    assert requests[0].startswith(b"GET /v1/find?text=a+%C3%A9%E9%26&limit=5 HTTP/1.1\r\n")


def test_what_is_to_be_done_arrives_as_json(tmp_path: Path) -> None:
    """Also where nothing is given with it."""
    with answering(tmp_path, http({}), http({})) as requests:
        client = _client(tmp_path)
        client.post("/v1/tags/create", {"name": "é"})
        client.post("/v1/pair")
    assert [request.partition(b"\r\n\r\n")[2] for request in requests] == [
        b'{"name": "\\u00e9"}',
        b"{}",
    ]


def test_something_is_taken_back_by_delete(tmp_path: Path) -> None:
    """The method says what is meant."""
    with answering(tmp_path, http({})) as requests:
        _client(tmp_path).delete("/v1/pair")
    assert requests[0].startswith(b"DELETE /v1/pair HTTP/1.1\r\n")


def test_a_stream_comes_line_by_line(tmp_path: Path) -> None:
    """However the lines were cut into pieces on the way."""
    with answering(tmp_path, chunks(b"one\ntw", b"o\n", b"three\n")):
        assert list(_client(tmp_path).lines("/v1/events")) == [b"one\n", b"two\n", b"three\n"]


def test_a_stream_that_breaks_off_is_no_end(tmp_path: Path) -> None:
    """A cut export is not taken for a whole one."""
    with answering(tmp_path, chunks(b"one\n", whole=False)):
        lines = _client(tmp_path).lines("/v1/export")
        assert next(lines) == b"one\n"
        with pytest.raises(UnreachableError):
            next(lines)


def test_a_last_line_without_a_break_is_a_line(tmp_path: Path) -> None:
    """Nothing that came is kept back."""
    with answering(tmp_path, chunks(b"one\ntwo")):
        assert list(_client(tmp_path).lines("/v1/events")) == [b"one\n", b"two"]


def test_a_stream_that_is_refused_is_an_error(tmp_path: Path) -> None:
    """Its words are not taken for lines."""
    with answering(tmp_path, failed(404, "not_found", "no")), pytest.raises(NotFoundError):
        list(_client(tmp_path).lines("/v1/export"))


def _made(home: Path) -> Path:
    """Make a home look as if it held a device; return the folder of its user's units."""
    paths_of(home).database.parent.mkdir()
    paths_of(home).database.touch()
    return home / "units"


def test_a_device_is_started_in_the_foreground_where_no_service_is_installed(
    tmp_path: Path,
) -> None:
    """There is a device, and nothing that would run it."""
    units = _made(tmp_path)
    assert start_command(paths_of(tmp_path), "l.service", units) == "leaderless serve"


def test_what_is_no_device_yet_has_to_become_one(tmp_path: Path) -> None:
    """A daemon could not start: the first step is named instead."""
    assert start_command(paths_of(tmp_path), "l.service", tmp_path) == "leaderless init"


def test_an_installed_service_is_started_as_one(tmp_path: Path) -> None:
    """Where the unit of this home is, systemd starts it."""
    units = _made(tmp_path)
    units.mkdir()
    (units / "l.service").touch()
    command = start_command(paths_of(tmp_path), "l.service", units)
    assert command == "systemctl --user start l.service"


def test_the_machines_service_is_started_by_its_administrator(tmp_path: Path) -> None:
    """Who asks cannot see whether it has a device: only root can."""
    command = start_command(paths_of(tmp_path), "l.service", tmp_path, system=True)
    assert command == "sudo systemctl start leaderless"
