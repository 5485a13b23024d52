"""Where things are, and what a person may set.

Every option stands once, in `OPTIONS`; reading, checking, showing and the default file are made from
it. Cheap to import: the command line needs it at every start.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderless.errors import LeaderlessError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Parsers = Mapping[str, Callable[[str], object]]

FILE_NAME = "leaderless.toml"
_NO_PARSERS: Parsers = MappingProxyType({})
# sockaddr_un.sun_path has 108 bytes with its final zero (unix(7)).
_MAX_SOCKET_PATH = 107


class Option(NamedTuple):
    """An option: its name, default, bounds (numbers) or choices (text), and what it does."""

    name: str
    default: object
    help: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()


OPTIONS = (
    Option("name", "", "name of this device; empty: the host name"),
    Option("listen_host", "", "address to take calls at; empty: all"),
    Option("listen_port", 4747, "port to take calls at; 0: any", 0, 65_535),
    Option("pair_port", 0, "port that shows a pairing code; 0: any", 0, 65_535),
    Option("advertise", (), "HOST:PORT to be called at, if not this machine's own addresses"),
    Option("peers", (), "addresses to call, HOST:PORT, beside those that are found"),
    Option("mdns", True, "announce this device on the local network and look for others"),
    Option("ignore", ("*~", ".Trash-*", "lost+found"), "globs of names that are not indexed"),
    Option("watch", True, "notice changes at once (inotify), not only at full scans"),
    Option("full_scan_interval_s", 86_400, "seconds between full scans", 60, 31_536_000),
    Option("mass_delete_count", 1_000, "a scan that misses more entries asks first", 1, 2**40),
    Option("mass_delete_ratio", 0.2, "… if they are also more than this part", 0.0, 1.0),
    Option("history_days", 30, "keep what actions changed for so long, to take it back", 0, 36_500),
    Option("history_commits", 1_000, "… and that of so many of the newest commits", 0, 2**40),
    Option("lease_days", 180, "who is away for longer holds back no forgetting", 1, 36_500),
    Option("journal_days", 365, "conflicts that nobody decided are listed for so long", 1, 36_500),
    Option("reconnect_min_s", 1.0, "wait before the first new call", 0.05, 3_600),
    Option("reconnect_max_s", 300.0, "longest wait between calls", 0.05, 86_400),
    Option(
        "log_level",
        "info",
        "debug, info, warning or error",
        choices=("debug", "info", "warning", "error"),
    ),
)


class ConfigError(UsageError):
    """The configuration file cannot be used; nothing was changed."""

    code = "config"


@dataclass(frozen=True)
class Paths:
    """The folders and files of one device."""

    config: Path
    state: Path
    runtime: Path

    @property
    def config_file(self) -> Path:
        """Return the file with the options."""
        return self.config / FILE_NAME

    @property
    def database(self) -> Path:
        """Return the library's file."""
        return self.state / "library.db"

    @property
    def keys(self) -> Path:
        """Return the folder with the device's key."""
        return self.state / "keys"

    @property
    def socket(self) -> Path:
        """Return the status socket."""
        return self.runtime / "status.sock"


SYSTEM_PATHS = Paths(Path("/etc/leaderless"), Path("/var/lib/leaderless"), Path("/run/leaderless"))
"""Those of the machine's own service, as its unit names them."""


@dataclass(frozen=True)
class Config:
    """The options as they hold for one device."""

    paths: Paths
    name: str
    listen_host: str
    listen_port: int
    pair_port: int
    advertise: tuple[str, ...]
    peers: tuple[str, ...]
    mdns: bool
    ignore: tuple[str, ...]
    watch: bool
    full_scan_interval_s: float
    mass_delete_count: int
    mass_delete_ratio: float
    history_days: int
    history_commits: int
    lease_days: int
    journal_days: int
    reconnect_min_s: float
    reconnect_max_s: float
    log_level: str

    def options(self) -> dict[str, object]:
        """Return every option with its value."""
        return {
            item.name: getattr(self, item.name) for item in fields(self) if item.name != "paths"
        }


def find_paths(home: str | None, environment: Mapping[str, str], *, system: bool = False) -> Paths:
    """Return where this device keeps its things.

    `--home` or LEADERLESS_HOME puts all under one folder; else the folders that systemd gives a
    system service (`system`: asked about from outside of it); else those of the user (XDG base
    directories).
    """
    chosen = home or environment.get("LEADERLESS_HOME")
    if system:
        paths = SYSTEM_PATHS
    elif chosen:
        base = Path(chosen).expanduser().absolute()
        paths = Paths(base / "config", base / "state", base / "run")
    elif environment.get("STATE_DIRECTORY") and environment.get("RUNTIME_DIRECTORY"):
        paths = Paths(
            Path(environment.get("CONFIGURATION_DIRECTORY", SYSTEM_PATHS.config)),
            Path(environment["STATE_DIRECTORY"]),
            Path(environment["RUNTIME_DIRECTORY"]),
        )
    else:
        person = Path(environment.get("HOME") or Path.home())
        config = Path(environment.get("XDG_CONFIG_HOME") or person / ".config")
        state = Path(environment.get("XDG_STATE_HOME") or person / ".local/state")
        runtime = environment.get("XDG_RUNTIME_DIR")
        base = state / "leaderless"
        run = Path(runtime) / "leaderless" if runtime else base / "run"
        paths = Paths(config / "leaderless", base, run)
    if len(os.fsencode(paths.socket)) > _MAX_SOCKET_PATH:
        raise UsageError(
            f"{paths.socket} is too long for a socket ({_MAX_SOCKET_PATH} bytes at most)",
            hint="use a shorter --home",
        )
    return paths


def load(paths: Paths, parsers: Parsers = _NO_PARSERS) -> Config:
    """Return the configuration; raises ConfigError with file, line and remedy for what is wrong.

    `parsers` are, by option, those of the rooms that know what each text of a list has to be; they
    raise ValueError or LeaderlessError.
    """
    problems, values = _read(paths.config_file, parsers)
    if problems:
        raise ConfigError(problems[0], hint="leaderless config check")
    return Config(paths=paths, **values)


def check(paths: Paths, parsers: Parsers = _NO_PARSERS) -> list[str]:
    """Return every problem of the configuration file, in words; `parsers` as for `load`."""
    return _read(paths.config_file, parsers)[0]


def _read(path: Path, parsers: Parsers) -> tuple[list[str], dict[str, Any]]:
    # Most verbs ask for the paths alone, and are to start quickly.
    import tomllib  # noqa: PLC0415

    values: dict[str, Any] = {option.name: option.default for option in OPTIONS}
    problems: list[str] = []
    try:
        text = path.read_text(encoding="utf-8")
        given = tomllib.loads(text)
    except FileNotFoundError:
        text, given = "", {}
    except OSError as error:
        return [f"{path}: {error.strerror or error}"], values
    except UnicodeDecodeError as error:
        return [f"{path}: it must be UTF-8; byte {error.start + 1} is not"], values
    except tomllib.TOMLDecodeError as error:
        return [f"{path}: {error}"], values
    known = {option.name: option for option in OPTIONS}
    for name, value in given.items():
        where = f"{path}:{_line_of(text, name)}"
        if name not in known:
            import difflib  # noqa: PLC0415 - rare

            near = difflib.get_close_matches(name, known, n=1)
            more = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"{where}: there is no option “{name}”{more}")
            continue
        wrong = _wrong(known[name], value)
        if wrong is not None:
            problems.append(f"{where}: {name} {wrong}")
        elif unread := _unread(parsers.get(name), value):
            problems.append(f"{where}: {name}: {unread}")
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    if values["reconnect_min_s"] > values["reconnect_max_s"]:
        where = f"{path}:{_line_of(text, 'reconnect_min_s')}"
        problems.append(f"{where}: reconnect_min_s is more than reconnect_max_s")
    values["name"] = values["name"] or socket.gethostname()
    return problems, values


def _wrong(option: Option, value: object) -> str | None:
    """Return what is wrong with a value, or None."""
    if isinstance(option.default, tuple):
        fine = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return None if fine else "must be a list of texts"
    if isinstance(option.default, bool):
        return None if isinstance(value, bool) else "must be true or false"
    if isinstance(option.default, int | float):
        kinds = (int, float) if isinstance(option.default, float) else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return "must be a number"
        if not (option.least or 0) <= value <= (option.most or 0):
            return f"must be between {option.least} and {option.most}"
        return None
    if not isinstance(value, str):
        return "must be a text"
    if option.choices and value not in option.choices:
        return f"must be one of {', '.join(option.choices)}"
    return None


def _unread(parse: Callable[[str], object] | None, value: Any) -> str | None:  # noqa: ANN401
    """Return why a text of a list means nothing to the room that it is for, or None."""
    if parse is None:
        return None
    for item in value:
        try:
            parse(item)
        except LeaderlessError as error:
            return error.message if error.hint is None else f"{error.message}; {error.hint}"
        except ValueError as error:
            return f"“{item}”: {error}"
    return None


def _line_of(text: str, name: str) -> int:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.split("=")[0].strip().strip('"') == name:
            return number
    return 1


def default_text() -> str:
    """Return a configuration file in which every option is explained and none is set."""
    lines = ["# Options of this device; each line shows the default. `leaderless config check`", ""]
    for option in OPTIONS:
        lines += [f"# {option.help}", f"# {option.name} = {_toml(option.default)}", ""]
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
