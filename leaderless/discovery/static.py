"""Addresses that a person typed: HOST:PORT, [V6]:PORT, HOST."""

from __future__ import annotations

import re
from typing import Final

from leaderless.errors import UsageError

DEFAULT_PORT: Final = 4747
_FORM: Final = "write HOST:PORT, such as 192.0.2.7:4747"


def parse_address(text: str, default_port: int = DEFAULT_PORT) -> tuple[str, int]:
    """Return (host, port); raises UsageError that shows the form."""
    text = text.strip()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        host = host if bracket else ""
        port_text = rest.removeprefix(":") if rest.startswith(":") or not rest else "?"
    elif text.count(":") > 1:
        host, port_text = text, ""
    else:
        host, _, port_text = text.partition(":")
    if not host or any(character.isspace() or character == "/" for character in host):
        raise UsageError(f"“{text}” is no address", hint=_FORM)
    if not port_text:
        return host, default_port
    # The pattern bounds the digits too: int() refuses thousands of them with an error of its own.
    if not re.fullmatch("[0-9]{1,5}", port_text) or not 1 <= int(port_text) <= 65_535:
        raise UsageError(f"“{text}” has no port between 1 and 65535", hint=_FORM)
    return host, int(port_text)
