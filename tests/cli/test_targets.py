"""Files as people name them on a command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from leaderless.cli.targets import file_options, record_reference, reference
from leaderless.errors import UsageError


def test_a_path_is_made_absolute_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEVICE:PATH and ids travel as they are; what looks like an id but is a file is a path."""
    monkeypatch.chdir(tmp_path)
    here = os.fspath(tmp_path)
    assert reference("a.jpg") == f"{here}/a.jpg"
    assert reference("../x") == f"{os.path.dirname(here)}/x"  # noqa: PTH120 - text, as it travels
    assert reference("/a/b") == "/a/b"
    assert reference("nas:/a/b") == "nas:/a/b"
    assert reference("sub/a:/b") == f"{here}/sub/a:/b"
    assert reference("deadbeef") == "deadbeef"
    assert reference("01a1fd43-e7db-7000-8000-d7c2dbe616cf").startswith("01a1")
    (tmp_path / "deadbeef").touch()
    assert reference("deadbeef") == f"{here}/deadbeef"


@pytest.mark.parametrize("read", [reference, record_reference])
def test_an_empty_name_is_not_the_folder_one_is_in(read: Callable[[str], str]) -> None:
    """It is refused."""
    with pytest.raises(UsageError):
        read("")


def test_a_tag_or_album_travels_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be a record of any kind is a file unless it says otherwise."""
    monkeypatch.chdir(tmp_path)
    assert record_reference("tag:trip") == "tag:trip"
    assert record_reference("album:top") == "album:top"
    assert record_reference("a.jpg") == f"{os.fspath(tmp_path)}/a.jpg"


def test_a_kind_that_there_is_not_is_refused() -> None:
    """A slip of the pen is no empty search."""

    @click.command()
    @file_options
    def verb(files: dict[str, object]) -> None: ...

    assert CliRunner().invoke(verb, ["--kind", "folder"]).exit_code == 2


def test_filters_travel_as_one_search() -> None:
    """What was given and nothing else, with sizes as numbers; without any there is no search."""
    seen: list[dict[str, object]] = []

    @click.command()
    @file_options
    def verb(files: dict[str, object]) -> None:
        seen.append(files)

    arguments = ["/a", "--where", "", "--larger", "2K", "--tag", "trip", "--ext", "jpg"]
    assert CliRunner().invoke(verb, arguments).exit_code == 0
    assert CliRunner().invoke(verb, ["/a", "/b"]).exit_code == 0
    where = {"text": "", "larger": 2048, "tag": "trip", "ext": "jpg"}
    assert seen == [{"targets": ["/a"], "where": where}, {"targets": ["/a", "/b"]}]
