"""Installing the daemon as a service: the unit, and the calls to systemctl."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from leaderless.errors import LeaderlessError, NotFoundError, NotPermittedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAME = "leaderless.service"


class ServiceError(LeaderlessError):
    """The service manager refused."""

    code = "service"


class Plan(NamedTuple):
    """What installing does: the unit's path and text, then the commands."""

    path: Path
    text: str
    commands: tuple[tuple[str, ...], ...]
    advice: str | None


def run(command: Sequence[str]) -> None:
    """Run a command of the service manager; raises ServiceError with what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise ServiceError(f"{' '.join(command)}: {said[0]}")


def unit_template(*, system: bool) -> str:
    """Return the unit with @EXEC@ in it; from the checkout, or from where pip installed it."""
    name = "leaderless-system.service" if system else NAME
    places = (
        Path(__file__).parent.parent / "systemd" / name,
        Path(sys.prefix) / "share" / "leaderless" / name,
    )
    for place in places:
        if place.exists():
            return place.read_text(encoding="utf-8")
    raise NotFoundError(f"{name} was not installed with this program")


def plan(*, system: bool, program: Path, home: str | None, environment: Mapping[str, str]) -> Plan:
    """Return what installing would do."""
    quoted = f'"{program}"' + (f' --home "{home}"' if home else "")
    text = unit_template(system=system).replace("@EXEC@", quoted)
    if system:
        folder = Path("/etc/systemd/system")
        control: tuple[str, ...] = ("systemctl",)
        advice = "it is asked as root: sudo leaderless --system status"
    else:
        person = Path(environment.get("HOME") or Path.home())
        config = Path(environment.get("XDG_CONFIG_HOME") or person / ".config")
        folder = config / "systemd/user"
        control = ("systemctl", "--user")
        advice = "the service stops at logout; to keep it: loginctl enable-linger"
    commands = ((*control, "daemon-reload"), (*control, "enable", "--now", NAME))
    return Plan(folder / NAME, text, commands, advice)


def install(found: Plan, runner: Callable[[Sequence[str]], None] = run) -> None:
    """Write the unit and start the service; raises NotPermittedError, ServiceError."""
    try:
        found.path.parent.mkdir(parents=True, exist_ok=True)
        found.path.write_text(found.text, encoding="utf-8")
    except PermissionError as error:
        raise NotPermittedError(
            f"{found.path} cannot be written", hint="sudo leaderless service install --system"
        ) from error
    for command in found.commands:
        runner(command)


def uninstall(found: Plan, *, system: bool, runner: Callable[[Sequence[str]], None] = run) -> None:
    """Stop the service and take the unit away; the library stays."""
    if not found.path.exists():
        raise NotFoundError(f"no service is installed at {found.path}")
    control = ("systemctl",) if system else ("systemctl", "--user")
    runner((*control, "disable", "--now", NAME))
    try:
        found.path.unlink()
    except PermissionError as error:
        raise NotPermittedError(f"{found.path} cannot be removed") from error
    runner((*control, "daemon-reload"))


def program_path() -> Path:
    """Return the absolute path of the installed command."""
    beside = Path(sys.executable).parent / "leaderless"
    if beside.exists():
        return beside
    raise NotFoundError(
        f"the command leaderless is not installed beside {Path(sys.executable).name}",
        hint="pip install .",
    )
