"""Where things are, and what may be set."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from leaderless.config import (
    FILE_NAME,
    OPTIONS,
    ConfigError,
    check,
    default_text,
    find_paths,
    load,
)
from leaderless.errors import UsageError


def _written(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / FILE_NAME).write_text(text)
    return tmp_path


def test_one_home_holds_everything(tmp_path: Path) -> None:
    """With --home or LEADERLESS_HOME, all paths are below it."""
    for paths in (
        find_paths(str(tmp_path), {}),
        find_paths(None, {"LEADERLESS_HOME": str(tmp_path)}),
    ):
        for path in (paths.config_file, paths.database, paths.keys, paths.socket):
            assert path.is_relative_to(tmp_path)


def test_a_system_service_uses_the_folders_it_was_given() -> None:
    """Systemd's directories win over a user's."""
    paths = find_paths(
        None, {"STATE_DIRECTORY": "/var/lib/x", "RUNTIME_DIRECTORY": "/run/x", "HOME": "/root"}
    )
    assert paths.database == Path("/var/lib/x/library.db")
    assert paths.socket == Path("/run/x/status.sock")


def test_a_user_has_the_usual_folders() -> None:
    """Without anything set, the XDG folders of the user are used."""
    paths = find_paths(None, {"HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/user/7"})
    assert paths.config_file == Path("/home/me/.config/leaderless/leaderless.toml")
    assert paths.socket == Path("/run/user/7/leaderless/status.sock")
    assert find_paths(None, {"HOME": "/home/me"}).socket.is_relative_to("/home/me")


def test_a_path_too_long_for_a_socket_is_named() -> None:
    """The limit of sun_path is met before the kernel says something unclear."""
    with pytest.raises(UsageError, match="socket"):
        find_paths("/" + "x" * 120, {})


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """No file is no problem, and the name is the host's."""
    config = load(find_paths(str(tmp_path), {}))
    assert config.listen_port == 4747
    assert config.name
    assert set(config.options()) == {option.name for option in OPTIONS}


def test_the_default_file_is_valid_and_sets_nothing() -> None:
    """Every option stands in it, as a comment."""
    assert tomllib.loads(default_text()) == {}
    uncommented = "\n".join(
        line[2:] for line in default_text().splitlines() if line.startswith("# ") and " = " in line
    )
    assert set(tomllib.loads(uncommented)) == {option.name for option in OPTIONS}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\nlisten_prot = 1", [":2:", "listen_prot", "did you mean listen_port?"]),
        ("nonsense_here = 1", ["no option"]),
        ("listen_port = 99999", ["between 0 and 65535"]),
        ("listen_port = true", ["a number"]),
        ('listen_port = "x"', ["a number"]),
        ("mdns = 1", ["true or false"]),
        ("peers = [1]", ["a list of texts"]),
        ("name = 1", ["a text"]),
        ('log_level = "loud"', ["one of debug"]),
        ("name =", ["Invalid"]),
    ],
)
def test_a_mistake_is_named_with_file_line_and_remedy(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    """Each kind of mistake gives one problem that says where and what."""
    paths = find_paths(str(_written(tmp_path, text)), {})
    (problem,) = check(paths)
    assert all(word in problem for word in [FILE_NAME, *words])
    with pytest.raises(ConfigError):
        load(paths)


def test_what_is_set_holds(tmp_path: Path) -> None:
    """Values of every kind arrive."""
    text = 'name = "nas"\npeers = ["a:1"]\nmass_delete_ratio = 0.5\nmdns = false\n'
    config = load(find_paths(str(_written(tmp_path, text)), {}))
    assert (config.name, config.peers, config.mdns) == ("nas", ("a:1",), False)


def _even(text: str) -> int:
    if text == "odd":
        raise UsageError("“odd” is not even", hint="write even")
    return int(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('\npeers = ["2", "odd"]', [":2: peers: “odd” is not even; write even"]),
        ('peers = ["x"]', [":1: peers: “x”: invalid literal"]),
    ],
)
def test_what_a_room_cannot_read_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    """Who uses an option says what its texts have to be; the file and line stand before it."""
    paths = find_paths(str(_written(tmp_path, text)), {})
    (problem,) = check(paths, {"peers": _even})
    assert all(word in problem for word in [FILE_NAME, *words])
    with pytest.raises(ConfigError):
        load(paths, {"peers": _even})


def test_what_a_room_can_read_holds(tmp_path: Path) -> None:
    """The texts stay as they were written; only options that are set are read."""
    paths = find_paths(str(_written(tmp_path, 'peers = ["2"]\n')), {})
    assert load(paths, {"peers": _even, "ignore": _even}).peers == ("2",)


def test_a_value_of_a_wrong_kind_is_one_problem(tmp_path: Path) -> None:
    """What is no list of texts is not read any further."""
    paths = find_paths(str(_written(tmp_path, "peers = 7\n")), {})
    assert len(check(paths, {"peers": _even})) == 1
