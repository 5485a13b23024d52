"""Installing the daemon as a service."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from leaderless.errors import NotFoundError, NotPermittedError
from leaderless.service import (
    NAME,
    Plan,
    ServiceError,
    install,
    plan,
    program_path,
    run,
    uninstall,
    unit_name,
    unit_template,
)
from tests.unprivileged import as_nobody

PROGRAM = Path("/opt/leaderless/bin/leaderless")


def _user(tmp_path: Path, program: Path = PROGRAM, home: str | None = None) -> Plan:
    environment = {"HOME": str(tmp_path)}
    return plan(system=False, program=program, home=home, environment=environment)


def _start(found: Plan) -> str:
    (line,) = [line for line in found.text.splitlines() if line.startswith("ExecStart=")]
    return line.removeprefix("ExecStart=")


class Runner:
    """Notes the commands instead of running them."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []

    def __call__(self, command: Sequence[str]) -> None:
        """Note a command."""
        self.ran.append(tuple(command))


def test_a_users_unit_goes_where_systemd_looks_for_it(tmp_path: Path) -> None:
    """Without anything set that is ~/.config/systemd/user."""
    assert _user(tmp_path).path == tmp_path / ".config/systemd/user" / NAME


def test_a_users_unit_follows_the_configuration_folder(tmp_path: Path) -> None:
    """XDG_CONFIG_HOME is where this user's systemd looks."""
    environment = {"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path)}
    found = plan(system=False, program=PROGRAM, home=None, environment=environment)
    assert found.path == tmp_path / "systemd/user" / NAME


def test_the_machines_unit_goes_to_etc() -> None:
    """And it is systemd itself, not the user's, that is told."""
    found = plan(system=True, program=PROGRAM, home=None, environment={})
    assert found.path == Path("/etc/systemd/system") / NAME
    assert all("--user" not in command for command in found.commands)


def test_a_user_is_told_that_the_service_ends_with_the_login(tmp_path: Path) -> None:
    """The advice names what keeps it."""
    advice = _user(tmp_path).advice or ""
    assert "logout" in advice
    assert "loginctl enable-linger" in advice


def test_installing_tells_systemd_and_starts_the_service(tmp_path: Path) -> None:
    """The unit is read anew, enabled for the next login, and started now."""
    assert [" ".join(command) for command in _user(tmp_path).commands] == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {NAME}",
    ]


def test_the_unit_runs_the_program_that_installs_it(tmp_path: Path) -> None:
    """By its whole path, and nothing is left to fill in."""
    found = _user(tmp_path)
    assert _start(found) == f'"{PROGRAM}" serve'
    assert "@EXEC@" not in found.text


def test_the_unit_serves_the_home_that_was_given(tmp_path: Path) -> None:
    """A folder named from here is named in whole, as the service runs elsewhere."""
    assert shlex.split(_start(_user(tmp_path, home="box"))) == [
        str(PROGRAM),
        "--home",
        str(Path.cwd() / "box"),
        "serve",
    ]


def test_what_systemd_would_expand_is_escaped(tmp_path: Path) -> None:
    """Quotes, backslashes, specifiers, variables and line breaks in a path mean themselves."""
    start = _start(_user(tmp_path, Path('/opt/a"b\\c%n/leaderless'), '/x y/100%\n$HOME/"'))
    assert start == ('"/opt/a\\"b\\\\c%%n/leaderless" --home "/x y/100%%\\n$$HOME/\\"" serve')


@pytest.mark.parametrize("system", [False, True])
def test_systemd_takes_the_unit(tmp_path: Path, system: bool) -> None:
    """It finds nothing wrong with what would be installed, odd paths included."""
    program = tmp_path / "a b" / "leaderless"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    environment = {"HOME": str(tmp_path)}
    home = None if system else "/x y/100%"
    found = plan(system=system, program=program, home=home, environment=environment)
    unit = tmp_path / NAME
    unit.write_text(found.text)
    scope = "--system" if system else "--user"
    verify = shutil.which("systemd-analyze")
    assert verify is not None
    done = subprocess.run(
        [verify, "verify", scope, "--man=no", "--recursive-errors=no", unit],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (done.returncode, NAME in done.stderr) == (0, False), done.stderr


def test_installing_writes_the_unit_before_systemd_is_told(tmp_path: Path) -> None:
    """Folders that are missing are made; the commands then find the unit."""
    found = _user(tmp_path)
    seen: list[str] = []
    install(found, lambda _: seen.append(found.path.read_text()))
    assert seen == [found.text, found.text]


def test_installing_anew_replaces_the_unit(tmp_path: Path) -> None:
    """An upgrade installs over what is there."""
    install(_user(tmp_path, Path("/old/leaderless")), Runner())
    install(_user(tmp_path), Runner())
    assert _user(tmp_path).path.read_text() == _user(tmp_path).text


def test_who_may_not_write_the_unit_is_told_so(tmp_path: Path) -> None:
    """A folder of somebody else is an error with a remedy, and nothing is run."""
    tmp_path.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    found = _user(closed)

    def attempt() -> str:
        try:
            install(found, Runner())
        except NotPermittedError as error:
            return error.hint or ""
        return "installed"

    # Whoever runs the tests can reach its folder; another user cannot even look.
    assert "service install" in as_nobody(attempt)


def test_uninstalling_stops_the_service_and_removes_the_unit(tmp_path: Path) -> None:
    """Systemd stops it while it still knows the unit, and forgets it afterwards."""
    found = _user(tmp_path)
    install(found, Runner())
    there: list[tuple[str, bool]] = []
    uninstall(found, lambda command: there.append((command[2], found.path.exists())))
    assert there == [("disable", True), ("daemon-reload", False)]


def test_the_machines_service_is_uninstalled_from_the_machine(tmp_path: Path) -> None:
    """No user's systemd is asked."""
    found = plan(system=True, program=PROGRAM, home=None, environment={}, folder=tmp_path)
    runner = Runner()
    install(found, runner)
    uninstall(found, runner)
    assert all(command[0] == "systemctl" for command in runner.ran)
    assert all("--user" not in command for command in runner.ran)


def test_each_home_has_a_service_of_its_own(tmp_path: Path) -> None:
    """Installing one leaves another's alone, even where both folders have one name."""
    units = {_user(tmp_path, home=home).path for home in (None, "/a/box", "/b/box")}
    assert len(units) == 3


def test_a_home_has_one_service_however_it_is_written(tmp_path: Path) -> None:
    """The same folder is the same service."""
    assert _user(tmp_path, home="box").path == _user(tmp_path, home=str(Path.cwd() / "box")).path


def test_the_service_of_a_home_ends_without_taking_anothers_socket(tmp_path: Path) -> None:
    """Its folder for sockets is called as it is."""
    found = _user(tmp_path, home="/a/box")
    assert f"RuntimeDirectory={found.path.stem}" in found.text.splitlines()


def test_what_is_enabled_is_what_was_written(tmp_path: Path) -> None:
    """The command names the unit of that home."""
    found = _user(tmp_path, home="/a/box")
    assert found.commands[-1][-1] == found.path.name


def test_uninstalling_what_is_not_installed_is_said(tmp_path: Path) -> None:
    """And systemd is left alone."""
    runner = Runner()
    with pytest.raises(NotFoundError, match="no service is installed"):
        uninstall(_user(tmp_path), runner)
    assert runner.ran == []


def test_who_may_not_remove_the_unit_is_told_so() -> None:
    """The unit of somebody else stays."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = _user(folder)
        install(found, Runner())
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555)

        def attempt() -> str:
            try:
                uninstall(found, Runner())
            except NotPermittedError as error:
                return error.message
            return "removed"

        assert as_nobody(attempt) == f"{found.path} cannot be removed"
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)


def test_what_a_command_says_last_is_the_error() -> None:
    """The service manager's own words are shown."""
    with pytest.raises(ServiceError, match="Failed to connect"):
        run(["sh", "-c", "echo noise >&2; echo 'Failed to connect to bus' >&2; exit 1"])


def test_a_command_that_fails_in_silence_is_named_with_its_code() -> None:
    """There is always something to go by."""
    with pytest.raises(ServiceError, match="exit 7"):
        run(["sh", "-c", "exit 7"])


def test_a_machine_without_systemd_is_said_so() -> None:
    """A command that is not there is an error in words."""
    with pytest.raises(ServiceError, match="no-such-systemctl cannot be run"):
        run(["no-such-systemctl"])


def test_a_command_that_works_says_nothing() -> None:
    """No error comes of it."""
    run(["true"])


def test_the_program_is_the_one_beside_this_interpreter(tmp_path: Path) -> None:
    """An environment of its own runs its own command."""
    program = tmp_path / "leaderless"
    program.touch()
    assert program_path(tmp_path / "python") == program


def test_a_program_that_is_not_installed_is_said_so(tmp_path: Path) -> None:
    """A unit cannot name what is not there."""
    with pytest.raises(NotFoundError) as caught:
        program_path(tmp_path / "python")
    assert caught.value.hint == "pip install ."


def test_a_unit_that_was_not_installed_is_said_so(tmp_path: Path) -> None:
    """A copy of the program without its data names what is missing."""
    with pytest.raises(NotFoundError, match=NAME):
        unit_template(system=False, places=(tmp_path,))


def test_this_interpreter_is_asked_unless_another_is_named() -> None:
    """What runs is what is installed."""
    expected = Path(sys.executable).parent / "leaderless"
    assert not expected.exists() or program_path() == expected


def test_a_person_can_tell_the_services_of_homes_apart() -> None:
    """The folder's name is part of the unit's, as far as a unit can have it."""
    assert unit_name("/a/lib two").startswith("leaderless-lib-two-")


@pytest.mark.parametrize("home", ["/tmp/a", "/var/tmp/x/../a"])
def test_a_home_among_temporary_files_is_seen_by_its_service(tmp_path: Path, home: str) -> None:
    """It gets no /tmp of its own, and the advice says what may happen to the library."""
    found = _user(tmp_path, home=home)
    assert ("PrivateTmp=no" in found.text, "PrivateTmp=yes" in found.text) == (True, False)
    assert "the system may empty it" in found.advice


@pytest.mark.parametrize("home", [None, "/srv/a", "/tmpfiles"])
def test_any_other_home_has_a_private_tmp(tmp_path: Path, home: str | None) -> None:
    """As the unit says."""
    found = _user(tmp_path, home=home)
    assert ("PrivateTmp=yes" in found.text, "empty it" in found.advice) == (True, False)
