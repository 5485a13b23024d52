"""What keeps a daemon from starting is said in a sentence, before or when it starts."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

OPTIONS = 'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'


def _run(home: Path, *arguments: str) -> tuple[int, str]:
    """Run a verb; return its exit code and what it said on standard error."""
    command = [sys.executable, "-m", "leaderless", "--home", str(home), *arguments]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    return done.returncode, done.stderr


def _home(home: Path, options: str) -> Path:
    """Have these options in a home; return their file."""
    file = home / "config" / "leaderless.toml"
    file.parent.mkdir()
    file.write_text(options)
    return file


def test_a_taken_port_is_said_with_the_line_to_change(tmp_path: Path) -> None:
    """Two devices on one machine: the second says which option of which file, and exits 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = _home(tmp_path, OPTIONS.replace("listen_port = 0", f"listen_port = {port}"))
        assert _run(tmp_path, "init")[0] == 0
        code, said = _run(tmp_path, "serve")
    assert (code, "Traceback" in said) == (1, False)
    assert all(words in said for words in (str(port), "listen_port", str(file)))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ('peers = ["not an address"]', "“not an address” is no address"),
        ('advertise = ["192.0.2.1:99999"]', "has no port between 1 and 65535"),
        ('ignore = ["*~", "!"]', "“!”"),
        ('ignore = ["[z-a]"]', "“[z-a]”"),
    ],
)
@pytest.mark.parametrize(("verb", "code"), [(("config", "check"), 6), (("serve",), 2)])
def test_an_option_that_means_nothing_is_found(
    tmp_path: Path, option: str, words: str, verb: tuple[str, ...], code: int
) -> None:
    """`config check` and `serve` read addresses and globs alike, and name file and line."""
    file = _home(tmp_path, f"{OPTIONS}{option}\n")
    exited, said = _run(tmp_path, *verb)
    assert (exited, "Traceback" in said) == (code, False)
    assert f"{file}:4: {option.split(maxsplit=1)[0]}" in said
    assert words in said
