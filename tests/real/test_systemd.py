"""The units under a real systemd: started, watched, restarted, stopped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.real import machine as machines

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = str(machines.PROGRAM)
PYTHON = str(machines.PROGRAM.with_name("python"))
OWN = ("systemctl", "--user")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[machines.Machine]:
    """Boot one machine for the tests here, with a user who lingers."""
    scratch = tmp_path_factory.mktemp("machine") / "scratch"
    with machines.booted(scratch) as found:
        found.run("useradd", "--create-home", "anna")
        found.run("loginctl", "enable-linger", "anna")
        found.wait_for(*OWN, "is-system-running", says="running", user="anna")
        yield found


def _show(machine: machines.Machine, *properties: str) -> dict[str, str]:
    said = machine.run(*OWN, "show", "leaderless", "-p", ",".join(properties), user="anna").stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def test_a_users_service_is_ready_when_systemctl_returns(machine: machines.Machine) -> None:
    """After `service install` the daemon answers, its log is in the journal, line by line."""
    machine.run(PROGRAM, "init", "--name", "box", user="anna")
    machine.run(PROGRAM, "service", "install", user="anna")
    assert json.loads(machine.run(PROGRAM, "--json", "status", user="anna").stdout)["schema"] == 1
    lines = machine.run(
        "journalctl", "--user", "-u", "leaderless", "-o", "json", user="anna"
    ).stdout.splitlines()
    said = [json.loads(line) for line in lines]
    own = [line for line in said if line.get("_COMM") == "leaderless"]
    assert any(json.loads(line["MESSAGE"])["event"] == "started" for line in own)
    assert {line["PRIORITY"] for line in own} <= {"3", "4", "5", "6"}


def test_a_killed_daemon_is_started_again(machine: machines.Machine) -> None:
    """SIGKILL is survived without anybody's help."""
    before = _show(machine, "NRestarts", "MainPID")
    machine.run(*OWN, "kill", "-s", "KILL", "leaderless", user="anna")
    machine.wait_for(
        *OWN,
        "show",
        "leaderless",
        "-p",
        "NRestarts",
        says=f"={int(before['NRestarts']) + 1}",
        user="anna",
    )
    machine.wait_for(*OWN, "is-active", "leaderless", says="active\n", user="anna")
    assert _show(machine, "MainPID") != before["MainPID"]
    machine.run(PROGRAM, "status", user="anna")


def test_a_daemon_whose_writer_is_stuck_is_started_again(machine: machines.Machine) -> None:
    """The watchdog hears of the daemon only through its writer: who cannot write is replaced."""
    folder = "/home/anna/.config/systemd/user/leaderless.service.d"
    short = "[Service]\\nWatchdogSec=2\\nTimeoutAbortSec=2\\n"
    machine.run("mkdir", "-p", folder, user="anna")
    machine.run("sh", "-c", f"printf '{short}' > {folder}/short.conf", user="anna")
    machine.run(*OWN, "daemon-reload", user="anna")
    machine.run(*OWN, "restart", "leaderless", user="anna")
    before = int(_show(machine, "NRestarts")["NRestarts"])
    database = "/home/anna/.local/state/leaderless/library.db"
    held = (
        "import sqlite3, subprocess, sys\n"
        f"c = sqlite3.connect({database!r}, isolation_level=None); c.execute('BEGIN IMMEDIATE')\n"
        "show = 'systemctl --user show leaderless -p NRestarts --value'.split()\n"
        f"while int(subprocess.check_output(show)) <= {before}: pass\n"
    )
    machine.run(PYTHON, "-c", held, user="anna")
    machine.wait_for(*OWN, "is-active", "leaderless", says="active\n", user="anna")
    machine.run(PROGRAM, "status", user="anna")


def test_a_stopped_service_is_gone_and_says_how_to_start_it(machine: machines.Machine) -> None:
    """Stopping is clean, and the command line names the unit to start."""
    machine.run(*OWN, "stop", "leaderless", user="anna")
    assert _show(machine, "Result", "ActiveState") == {
        "Result": "success",
        "ActiveState": "inactive",
    }
    done = machine.run(PROGRAM, "status", user="anna", code=3)
    assert "systemctl --user start leaderless" in done.stderr


def test_a_service_is_taken_away_and_its_library_stays(machine: machines.Machine) -> None:
    """`service uninstall` removes the unit and nothing of the person's."""
    machine.run(PROGRAM, "service", "uninstall", user="anna")
    machine.run(*OWN, "cat", "leaderless", user="anna", code=1)
    machine.run("test", "-f", "/home/anna/.local/state/leaderless/library.db")


def test_the_machines_service_reads_everybodys_files_and_asks_for_no_setup(
    machine: machines.Machine,
) -> None:
    """As a user of its own without privileges it makes itself a device and indexes a home."""
    machine.run("sh", "-c", "mkdir -p -m 700 /home/anna/private && touch /home/anna/private/a")
    machine.run(PROGRAM, "service", "install", "--system")
    uid = machine.run("systemctl", "show", "leaderless", "-p", "UID", "--value").stdout.strip()
    assert uid not in ("", "0", "[not set]")
    system = (PROGRAM, "--system")
    machine.run(*system, "location", "add", "/home/anna/private", "--wait")
    found = json.loads(machine.run(*system, "--json", "find", "--kind", "file").stdout)
    assert [item["path"] for item in found["entries"]] == ["/home/anna/private/a"]
    machine.run("systemctl", "restart", "leaderless")
    assert json.loads(machine.run(*system, "--json", "find", "--kind", "file").stdout) == found
    assert machine.run(*system, "status", user="anna", code=4).stdout == ""
    machine.run(PROGRAM, "service", "uninstall", "--system")
