"""What the log says, and where."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from leaderless.logs import configure, under_journald

HOSTILE = "red\x1b[31m\nsecond\u202eline"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Leave the logging of the process as it was."""
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=level, force=True)


def _journal(path: Path) -> tuple[Any, dict[str, str]]:
    """Return a stream, and the environment in which it is the journal."""
    stream = path.open("w+", encoding="utf-8")
    about = os.fstat(stream.fileno())
    return stream, {"JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}"}


def _error() -> Exception:
    """Return an error as it was raised, quoting what a peer wrote."""
    try:
        int(HOSTILE)
    except ValueError as error:
        error.add_note(HOSTILE)
        return error
    raise AssertionError


def _read(stream: Any) -> str:
    stream.flush()
    stream.seek(0)
    text: str = stream.read()
    stream.close()
    return text


def test_the_journal_is_known_by_its_stream(tmp_path: Path) -> None:
    """Only the very file that systemd names counts: not one that was redirected since."""
    stream, environment = _journal(tmp_path / "journal")
    with stream, (tmp_path / "other").open("w") as other:
        told = [under_journald(one, environment) for one in (stream, other)]
        assert [*told, under_journald(stream, {})] == [True, False, False]


def test_a_stream_without_a_file_is_no_journal() -> None:
    """A stream in memory is asked without harm."""
    assert not under_journald(io.StringIO(), {"JOURNAL_STREAM": "1:1"})


@pytest.mark.parametrize(
    ("level", "priority"), [("info", 6), ("warning", 4), ("error", 3), ("critical", 2)]
)
def test_under_journald_an_event_is_one_line_behind_its_priority(
    tmp_path: Path, level: str, priority: int
) -> None:
    """The rest of the line is JSON, whatever stands in the event."""
    stream, environment = _journal(tmp_path / "journal")
    configure(stream, environment)
    getattr(structlog.get_logger(), level)("peer_connected", name=HOSTILE)
    (line,) = _read(stream).splitlines()
    assert line.startswith(f"<{priority}>{{")
    assert json.loads(line.partition(">")[2])["event"] == "peer_connected"


def test_debug_has_the_least_priority(tmp_path: Path) -> None:
    """It is shown once the level is set to it."""
    stream, environment = _journal(tmp_path / "journal")
    configure(stream, environment, "debug")
    structlog.get_logger().debug("dial_failed")
    assert _read(stream).startswith("<7>")


def test_what_is_below_the_level_is_left_out() -> None:
    """At the usual level, debug is not written."""
    stream = io.StringIO()
    configure(stream, {})
    structlog.get_logger().debug("dial_failed")
    structlog.get_logger().info("started")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["started"]


def test_elsewhere_an_event_is_a_line_of_json() -> None:
    """Sent to a file or another program there is no priority in front."""
    stream = io.StringIO()
    configure(stream, {})
    structlog.get_logger().info("started", port=4747)
    said = json.loads(stream.getvalue())
    assert (said["event"], said["level"], said["port"]) == ("started", "info", 4747)


def test_times_are_utc() -> None:
    """Lines of two devices can be laid side by side."""
    stream = io.StringIO()
    configure(stream, {})
    structlog.get_logger().info("started")
    assert json.loads(stream.getvalue())["timestamp"].endswith("Z")


def test_bytes_are_hexadecimal() -> None:
    """Ids read as everywhere else."""
    stream = io.StringIO()
    configure(stream, {})
    structlog.get_logger().info("proved", device=b"\x01\xff")
    assert json.loads(stream.getvalue())["device"] == "01ff"


def test_a_terminal_gets_colours_and_words() -> None:
    """A person reads the event and its values on one coloured line."""
    stream = Terminal()
    configure(stream, {})
    structlog.get_logger().info("peer_connected", name="ben")
    said = stream.getvalue()
    assert said.count("\n") == 1
    assert "\x1b[" in said
    assert "peer_connected" in said


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_what_peers_write_steers_no_terminal(stream: io.StringIO) -> None:
    """Escapes, line breaks and reordering characters are spelled out."""
    configure(stream, {})
    structlog.get_logger().info("peer_error", why=HOSTILE)
    said = stream.getvalue()
    assert ("\x1b[31m" in said, "\nsecond" in said, "\u202e" in said) == (False, False, False)


def test_a_traceback_stays_readable_on_a_terminal() -> None:
    """It has its lines, but what the error quotes steers nothing."""
    stream = Terminal()
    configure(stream, {})
    structlog.get_logger().error("request_failed", exc_info=_error())
    said = stream.getvalue()
    assert "\nTraceback" in said or "Traceback (most recent call last):\n" in said
    assert "\x1b[31mline" not in said
    assert "red\x1b[31m" not in said


def test_a_traceback_is_within_the_line_of_json() -> None:
    """One event stays one line."""
    stream = io.StringIO()
    configure(stream, {})
    structlog.get_logger().error("request_failed", exc_info=_error())
    (line,) = stream.getvalue().splitlines()
    assert "Traceback" in json.loads(line)["exception"]


def test_libraries_that_warn_are_heard_in_the_same_form() -> None:
    """What comes through the standard logging is a line of JSON, too, and as harmless."""
    stream = io.StringIO()
    configure(stream, {})
    logging.getLogger("zeroconf").warning("odd packet from %s", HOSTILE)
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert (said["level"], "\x1b" in said["event"]) == ("warning", False)


def test_libraries_that_chat_are_not_heard() -> None:
    """Below a warning they are left out even at our debug level."""
    stream = io.StringIO()
    configure(stream, {}, "debug")
    logging.getLogger("zeroconf").info("packet")
    assert stream.getvalue() == ""


def test_a_library_that_warns_has_a_priority_under_journald(tmp_path: Path) -> None:
    """The journal's filter by priority holds for it."""
    stream, environment = _journal(tmp_path / "journal")
    configure(stream, environment)
    logging.getLogger("zeroconf").error("socket lost")
    assert _read(stream).startswith("<3>{")


def test_a_full_disk_under_the_log_ends_nothing() -> None:
    """What cannot be written is dropped, of our events and of those of others."""
    # The device has no room for anything, not even for what is left when it is closed.
    full = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w", buffering=1)
    configure(full, {})
    structlog.get_logger().warning("lost")
    logging.getLogger("other").warning("lost")
    with contextlib.suppress(OSError):
        full.close()
