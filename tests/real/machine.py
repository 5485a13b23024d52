"""A machine booted by a real systemd from this one's own files; nothing that it writes stays."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import time
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOT_S = 60.0
PROGRAM = Path("/opt/leaderless/bin/leaderless")
SHOWN = {
    Path(__file__).parent.parent.parent: Path("/opt/project"),
    Path(sysconfig.get_path("platlib")): Path("/opt/packages"),
}
UNWANTED = ("systemd-networkd-wait-online.service", "apt-daily.timer", "man-db.timer")
NSPAWN = (
    *("systemd-nspawn", "--register=no", "--keep-unit", "--quiet", "--link-journal=no"),
    *("--private-network", "--console=pipe"),
)


class Machine:
    """A booted machine, as its administrator uses it."""

    def __init__(self, leader: int) -> None:
        self._leader = leader

    def run(
        self, *command: str, user: str | None = None, code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root or as a user; raises RuntimeError unless it exits with `code`."""
        inside = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        if user is not None:
            number = self.run("id", "-u", user).stdout.strip()
            home = f"/home/{user}"
            inside += ["runuser", "-u", user, "--", "env", "--chdir", home, f"HOME={home}"]
            inside += [f"XDG_RUNTIME_DIR=/run/user/{number}"]
        done = subprocess.run(
            [*inside, *command], capture_output=True, text=True, check=False, timeout=60
        )
        if code is not None and done.returncode != code:
            raise RuntimeError(f"{command} exited {done.returncode}: {done.stderr}{done.stdout}")
        return done

    def wait_for(self, *command: str, says: str, user: str | None = None) -> None:
        """Ask until the answer holds `says`; raises RuntimeError with the last after a minute."""
        deadline = time.monotonic() + BOOT_S
        while says not in (said := self.run(*command, user=user, code=None).stdout):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{command} still says {said}")


@contextmanager
def booted(scratch: Path) -> Iterator[Machine]:
    """Boot a machine on which this program is installed; it goes when the context ends."""
    scratch.mkdir()
    _do("mount", "-t", "tmpfs", "tmpfs", scratch)
    root = scratch / "root"
    for folder in (root, scratch / "upper", scratch / "work"):
        folder.mkdir()
    layers = f"lowerdir=/,upperdir={scratch / 'upper'},workdir={scratch / 'work'}"
    try:
        _do("mount", "-t", "overlay", "overlay", "-o", layers, root)
        (root / "etc/machine-id").write_text("")
        for name in UNWANTED:
            (root / "etc/systemd/system" / name).unlink(missing_ok=True)
            (root / "etc/systemd/system" / name).symlink_to("/dev/null")
        _install(root)
        binds = [f"--bind-ro={ours}:{theirs}" for ours, theirs in SHOWN.items()]
        nspawn = subprocess.Popen(
            [*NSPAWN, *binds, "-D", root, "-b"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            machine = Machine(_leader(nspawn))
            machine.wait_for("systemctl", "is-system-running", says="running")
            yield machine
        finally:
            nspawn.terminate()
            try:
                nspawn.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                nspawn.kill()
                nspawn.communicate()
    finally:
        subprocess.run(["umount", "-l", root], check=False, capture_output=True)
        subprocess.run(["umount", "-l", scratch], check=False, capture_output=True)


def _leader(nspawn: subprocess.Popen[bytes]) -> int:
    """Return the machine's first process, once systemd runs in it."""
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    deadline = time.monotonic() + BOOT_S
    while nspawn.poll() is None and time.monotonic() < deadline:
        for pid in children.read_text().split():
            if _name(pid) == "systemd":
                return int(pid)
    said = b"" if nspawn.poll() is None else nspawn.communicate()[0]
    raise RuntimeError(f"the machine did not boot: {said.decode(errors='replace')}")


def _name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _install(root: Path) -> None:
    """Install the program as `PROGRAM`, with the interpreter and the packages that run this."""
    _open_to_all(root, Path(sys.executable).resolve())
    home = root / PROGRAM.relative_to("/").parent.parent
    venv.create(home, symlinks=True)
    packages = next((home / "lib").glob("python*/site-packages"))
    (packages / "shown.pth").write_text("".join(f"{folder}\n" for folder in SHOWN.values()))
    program = home / "bin" / PROGRAM.name
    inside = PROGRAM.with_name("python")
    program.write_text(f"#!{inside}\nfrom leaderless.__main__ import main\nmain()\n")
    program.chmod(0o755)


def _open_to_all(root: Path, program: Path) -> None:
    """Let every user of the machine reach a program that may lie in root's own folder."""
    for folder in program.parents:
        inside = root / folder.relative_to("/")
        if inside.is_dir():
            inside.chmod(inside.stat().st_mode | 0o055)


def _do(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
