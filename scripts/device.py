"""A real daemon in a home of its own, for the demo, the cluster and the real-world tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = ("-m", "leaderless")
START_S = 30.0


class Device:
    """A home with a daemon that can be started, stopped and killed; made unless `options` is None."""

    def __init__(
        self,
        home: Path,
        name: str,
        options: str | None,
        prefix: tuple[str, ...] = (),
        interpreter: str = sys.executable,
    ) -> None:
        self.home = home
        self.interpreter = interpreter
        self.name = name
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None
        if options is None:
            return  # the home is there already
        self.run("init", "--name", name)
        with (home / "config" / "leaderless.toml").open("a") as file:
            file.write(options)

    def become(self, prefix: tuple[str, ...]) -> None:
        """Run from now on as another version does: with this before its commands."""
        self._prefix = prefix

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that asks this device."""
        return [*self._prefix, self.interpreter, *PROGRAM, "--home", str(self.home), *arguments]

    def run(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[bytes]:
        """Run a verb; raises RuntimeError unless it exits with `code` (None: any)."""
        done = subprocess.run(self.command(*arguments), capture_output=True, check=False)
        if code is not None and done.returncode != code:
            raise RuntimeError(
                f"{self.name}: leaderless {' '.join(arguments)} exited {done.returncode}: "
                + done.stderr.decode(errors="replace")
            )
        return done

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - JSON
        """Run a verb with --json and return its answer."""
        return json.loads(self.run("--json", *arguments).stdout)

    def begin(self) -> None:
        """Start the daemon; it may not answer yet."""
        log = (self.home / "daemon.log").open("ab")
        self._process = subprocess.Popen(
            self.command("serve"), stdout=log, stderr=log, start_new_session=True
        )
        log.close()

    def runs(self) -> bool:
        """Return whether the daemon has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        self.begin()
        deadline = time.monotonic() + START_S
        while self.run("status", code=None).returncode != 0:
            if not self.runs() or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start; see {self.home / 'daemon.log'}")

    @property
    def pid(self) -> int:
        """Return the process of the daemon; raises RuntimeError if none runs."""
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process.pid

    def kill(self) -> None:
        """Kill the daemon with SIGKILL."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask the daemon to stop, and wait for it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def export(self) -> bytes:
        """Return every synced record."""
        return self.run("export").stdout


def pair(host: Device, joiner: Device, address: str | None = None) -> float:
    """Pair two devices by a code; return the seconds it took. `address` is the host's IP."""
    began = time.monotonic()
    shown = host.json("pair", "--no-wait")
    arguments = ["pair", shown["code"]]
    if address is not None:
        arguments += ["--address", f"{address}:{shown['port']}"]
    joiner.run(*arguments)
    return time.monotonic() - began
