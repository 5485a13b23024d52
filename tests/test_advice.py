"""What a configuration allows but people are surprised by."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderless.advice import LOST, advice, is_findable
from leaderless.config import Config, Paths, load


def _config(folder: Path, text: str) -> Config:
    paths = Paths(folder, folder, folder)
    paths.config_file.write_text(text)
    return load(paths)


def test_the_defaults_surprise_nobody(tmp_path: Path) -> None:
    """There is nothing to say of them."""
    assert list(advice(_config(tmp_path, ""))) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("listen_port = 0\nmdns = false", False),
        ("listen_port = 0", True),
        ("mdns = false", True),
        ('listen_port = 0\nmdns = false\npeers = ["nas:1"]', True),
    ],
)
def test_a_device_is_found_by_one_way_at_least(tmp_path: Path, text: str, found: bool) -> None:
    """A port that stays, mDNS, or others that it calls itself."""
    config = _config(tmp_path, text)
    assert is_findable(config) == found
    assert (LOST in advice(config)) != found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('peers = ["foo"]', "“foo” has no port, so it means port 4747"),
        ('advertise = ["[::1]"]', "“[::1]” has no port"),
        ("listen_port = 7\npair_port = 7", "are one port"),
    ],
)
def test_what_may_not_be_meant_is_said(tmp_path: Path, text: str, words: str) -> None:
    """With what to write instead."""
    (item,) = advice(_config(tmp_path, text))
    assert words in item.text
    assert item.hint


def test_an_address_with_its_port_is_taken_as_it_is(tmp_path: Path) -> None:
    """Of either family."""
    assert list(advice(_config(tmp_path, 'peers = ["nas:1", "[::1]:2"]'))) == []
