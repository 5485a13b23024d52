"""A device's first day: its key, its configuration, a library of its own."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from leaderless.clock import wall_ms
from leaderless.config import default_text, load
from leaderless.daemon.members import genesis
from leaderless.errors import LeaderlessError
from leaderless.identity import load_or_create
from leaderless.protocol.membership import library_of
from leaderless.store import create_store
from leaderless.words import checked_text
from registry.changes import Incarnation

if TYPE_CHECKING:
    from leaderless.clock import Clock
    from leaderless.config import Paths


class InitializedError(LeaderlessError):
    """There is a device in this home already."""

    code = "initialized"


MAX_NAME = 64


def init_home(paths: Paths, name: str | None, library_name: str, clock: Clock) -> bytes:
    """Make a device with a library of its own; returns the device's id.

    Raises InitializedError and changes nothing where there is one, UsageError for a name that is
    none. Blocks.
    """
    if name is not None:
        checked_text("a device's name", name, MAX_NAME)
    checked_text("a library's name", library_name, MAX_NAME)
    if paths.database.exists():
        raise InitializedError(
            f"there is a device at {paths.state} already", hint="leaderless serve"
        )
    for folder in (paths.config, paths.state, paths.runtime):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    identity = load_or_create(paths.keys)
    _write_config(paths, name)
    first = genesis(identity, library_name, wall_ms(clock), secrets.token_bytes(16))
    incarnation = Incarnation(1, secrets.token_bytes(8))
    partial = paths.database.with_suffix(".new")
    for leftover in paths.state.glob(f"{partial.name}*"):
        leftover.unlink()
    create_store(partial, clock, identity.device, incarnation, library_of(first), (first,))
    partial.replace(paths.database)
    return identity.device


def _write_config(paths: Paths, name: str | None) -> None:
    """Write the options with their explanations; raises InitializedError over a name in the way."""
    if paths.config_file.exists():
        if name is not None and load(paths).name != name:
            raise InitializedError(
                f"{paths.config_file} is there already, and says another name",
                hint="set name in it, and leave --name out",
            )
        return
    text = default_text()
    if name is not None:
        text = text.replace('# name = ""', f"name = {_quoted(name)}")
    paths.config_file.write_text(text, encoding="utf-8")


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
