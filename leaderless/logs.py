"""Logging: one event a line; JSON with a priority under journald, readable on a terminal.

Always to standard error. Text from peers is escaped in both forms.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog

from leaderless.escape import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def under_journald(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether `stream` goes to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


def _readable(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Bytes become hex, text loses what could steer a terminal; a traceback keeps its lines."""
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = value.hex()
        elif isinstance(value, str) and key == "exception":
            event[key] = "\n".join(printable(line) for line in value.split("\n"))
        elif isinstance(value, str):
            event[key] = printable(value)
    return event


class _Lossy:
    """A stream that drops what cannot be written: a full disk under a log must not end the daemon."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class _Prioritised:
    """Renders JSON behind the priority that journald understands (sd-daemon(3))."""

    def __init__(self) -> None:
        self._json = structlog.processors.JSONRenderer(sort_keys=True)

    def __call__(self, logger: object, name: str, event: MutableMapping[str, Any]) -> str:
        priority = _PRIORITIES.get(str(event.get("level", name)), 6)
        rendered = self._json(logger, name, event)
        text = rendered if isinstance(rendered, str) else rendered.decode()
        return f"<{priority}>{text}"


def configure(stream: TextIO, environment: Mapping[str, str], level: str = "info") -> None:
    """Send all logging of the process to `stream`; `level` is a name such as "info"."""
    journald = under_journald(stream, environment)
    terminal = not journald and stream.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _readable,
    ]
    renderer: structlog.typing.Processor
    if journald:
        renderer = _Prioritised()
    elif terminal:
        renderer = structlog.dev.ConsoleRenderer(
            colors=True, exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer(sort_keys=True)
    lossy = cast("TextIO", _Lossy(stream))
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(lossy),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(lossy)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
