"""Installing the daemon as a service: the unit, and the calls to systemctl."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from leaderless.errors import LeaderlessError, NotFoundError, NotPermittedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAME = "leaderless.service"
SYSTEM_UNITS = Path("/etc/systemd/system")
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - what PrivateTmp= takes away
PLACES = (Path(__file__).parent.parent / "systemd", Path(sys.prefix) / "share" / "leaderless")
"""Where the units are: in the checkout, or where pip installed them."""


class ServiceError(LeaderlessError):
    """The service manager refused."""

    code = "service"


class Plan(NamedTuple):
    """What installing does: the unit's path and text, then the commands."""

    path: Path
    text: str
    control: tuple[str, ...]
    advice: str

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """Return what is run once the unit is written."""
        return (
            (*self.control, "daemon-reload"),
            (*self.control, "enable", "--now", self.path.name),
        )


def run(command: Sequence[str]) -> None:
    """Run a command of the service manager; raises ServiceError with what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise ServiceError(f"{' '.join(command)}: {said[0]}")


def unit_template(*, system: bool, places: Sequence[Path] = PLACES) -> str:
    """Return the unit with @EXEC@ in it."""
    name = "leaderless-system.service" if system else NAME
    for place in places:
        if (place / name).exists():
            return (place / name).read_text(encoding="utf-8")
    raise NotFoundError(f"{name} was not installed with this program")


def _quoted(text: str) -> str:
    """Return a word of a unit's command line (systemd.service(5)); only arguments expand `$`."""
    for special, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("%", "%%")):
        text = text.replace(special, escape)
    return f'"{text}"'


def unit_name(home: str | None) -> str:
    """Return what the service of a home is called; each home has one of its own."""
    if not home:
        return NAME
    path = Path(home).expanduser().absolute()
    shown = re.sub("[^A-Za-z0-9]+", "-", path.name).strip("-")[:32]
    return f"leaderless-{shown}-{hashlib.sha256(bytes(path)).hexdigest()[:8]}.service"


def in_temporary(home: str | None) -> bool:
    """Return whether a home is where a service with a /tmp of its own would not see it."""
    path = None if not home else Path(home).expanduser().absolute()
    return path is not None and any(path.is_relative_to(folder) for folder in TEMPORARY)


def unit_folder(environment: Mapping[str, str], *, system: bool) -> Path:
    """Return where units are."""
    if system:
        return SYSTEM_UNITS
    person = Path(environment.get("HOME") or Path.home())
    config = Path(environment.get("XDG_CONFIG_HOME") or person / ".config")
    return config / "systemd/user"


def plan(
    *,
    system: bool,
    program: Path,
    home: str | None,
    environment: Mapping[str, str],
    folder: Path | None = None,
) -> Plan:
    """Return what installing would do; `folder` is where units are, if not where they always are."""
    name, quoted = unit_name(home), _quoted(str(program))
    text = unit_template(system=system)
    if home:
        # systemd starts programs in a folder of its own.
        quoted += " --home " + _quoted(str(Path(home).expanduser().absolute())).replace("$", "$$")
        # Whichever service ends takes its folder along.
        runtime = "RuntimeDirectory="
        text = text.replace(f"{runtime}leaderless", f"{runtime}{name.removesuffix('.service')}")
        if in_temporary(home):
            text = text.replace("PrivateTmp=yes", "PrivateTmp=no")
    text = text.replace("@EXEC@", quoted)
    if system:
        control: tuple[str, ...] = ("systemctl",)
        advice = "it is asked as root: sudo leaderless --system status"
    else:
        control = ("systemctl", "--user")
        advice = "the service stops at logout; to keep it: loginctl enable-linger"
        if in_temporary(home):
            advice += "; this home is in a folder for temporary files: the system may empty it, the"
            advice += " library with it; the service runs without a /tmp of its own (PrivateTmp=no)"
    place = folder or unit_folder(environment, system=system)
    return Plan(place / name, text, control, advice)


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


def uninstall(found: Plan, runner: Callable[[Sequence[str]], None] = run) -> None:
    """Stop the service and take the unit away; the library stays."""
    if not found.path.exists():
        raise NotFoundError(f"no service is installed at {found.path}")
    runner((*found.control, "disable", "--now", found.path.name))
    try:
        found.path.unlink()
    except PermissionError as error:
        raise NotPermittedError(f"{found.path} cannot be removed") from error
    runner((*found.control, "daemon-reload"))


def program_path(interpreter: Path = Path(sys.executable)) -> Path:
    """Return the absolute path of the installed command."""
    beside = interpreter.parent / "leaderless"
    if beside.exists():
        return beside
    raise NotFoundError(
        f"the command leaderless is not installed beside {interpreter.name}",
        hint="pip install .",
    )
