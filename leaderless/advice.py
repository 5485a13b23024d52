"""What a configuration allows but people are surprised by. Pure; what is wrong is `config`'s word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leaderless.config import Config

_HAS_PORT = re.compile(r"(\[[^\]]*\]|[^:]*):[0-9]+")


class Advice(NamedTuple):
    """What will happen, and what a person can do about it."""

    text: str
    hint: str


LOST = Advice(
    "another device that takes calls at any port cannot find this one after a restart: listen_port"
    " is 0, mDNS is off and peers is empty",
    "set a fixed listen_port on one of the two, or name the other in peers",
)


def is_findable(config: Config) -> bool:
    """Return whether others know where this device is after a restart, or it knows where they are."""
    return config.listen_port != 0 or config.mdns or bool(config.peers)


def advice(config: Config) -> Iterator[Advice]:
    """Yield what people may not expect of a configuration that is valid."""
    if not is_findable(config):
        yield LOST
    for name in ("peers", "advertise"):
        for text in getattr(config, name):
            if _HAS_PORT.fullmatch(text.strip()) is None:
                yield Advice(
                    f"{name}: “{text}” has no port, so it means port 4747", "write HOST:PORT"
                )
    if config.listen_port and config.listen_port == config.pair_port:
        yield Advice(
            "listen_port and pair_port are one port: no code can be shown while calls are taken",
            "set pair_port = 0, which takes any that is free",
        )
