"""One action over 100,000 files: whole on every device, at every moment, until one undo."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from leaderless.cli.client import Client
from leaderless.config import find_paths
from scripts.device import Device, pair

FILES, RATED = 100_000, 20_000
DEADLINE_S = 120.0
PAUSE_S = 0.2


class Reader:
    """Somebody who asks a device again and again how many files carry the tag."""

    def __init__(self, device: Device) -> None:
        self._client = Client(find_paths(str(device.home), {}), lambda: "")
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self.seen: list[int] = []
        """What was answered, each time that it was not what was answered before."""
        self.asked = 0
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until that many are answered."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.seen[-1:] == [count], DEADLINE_S), self.seen

    def _read(self) -> None:
        while not self._stop.wait(PAUSE_S):
            (tag,) = self._client.get("/v1/tags")["tags"]
            self.asked += 1
            if self.seen[-1:] != [int(tag["files"])]:
                with self._changed:
                    self.seen.append(int(tag["files"]))
                    self._changed.notify()


def _tree(folder: Path, files: int = FILES) -> Path:
    for at in range(files // 1_000):
        inside = folder / f"directory {at}"
        inside.mkdir(parents=True)
        for number in range(1_000):
            (inside / f"{number}.jpg").touch()
    return folder


def _actions(device: Device) -> list[dict[str, Any]]:
    actions: list[dict[str, Any]] = device.json("history")["actions"]
    return [item for item in actions if item["command"] != "tag.create"]


def test_an_action_over_100_000_files_is_whole_everywhere_and_one_undo_takes_it_back(
    make_device: Callable[..., Device], tmp_path: Path
) -> None:
    """A reader at the peer sees all of it or nothing; history shows one action; undone by one."""
    a, b = make_device("anna"), make_device("ben")
    pair(a, b, "127.0.0.1")
    a.run("location", "add", str(_tree(tmp_path / "pictures")), "--name", "Pictures", "--wait")
    a.run("tag", "create", "trip")
    b.run("wait", "--synced", "--timeout", "120")
    with Reader(b) as reader:
        reader.wait_for(0)
        a.run("tag", "add", "trip", "--location", "Pictures", "--ext", "jpg")
        reader.wait_for(FILES)
        a.run("undo")
        reader.wait_for(0)
    assert reader.seen == [0, FILES, 0]
    assert reader.asked > len(reader.seen)
    a.run("wait", "--synced", "--timeout", "60")
    for device in (a, b):
        undone, added = _actions(device)
        assert (undone["command"], added["command"]) == ("undo", "tag.add")
        assert (added["changes"], added["undone"]) == (FILES, True)
    assert a.export() == b.export()


def test_undos_of_actions_over_the_same_files_go_back_one_by_one(
    make_device: Callable[..., Device], tmp_path: Path
) -> None:
    """Each shows what stood there before, also the second, which looks behind the first."""
    a = make_device("anna")
    tree = _tree(tmp_path / "pictures", RATED)
    a.run("location", "add", str(tree), "--name", "Pictures", "--wait")
    every = ("--location", "Pictures", "--ext", "jpg", "--scope", "entry")
    for rating in ("3", "4", "5"):
        a.run("rate", *every, rating)
    for _ in range(2):
        a.run("undo")
    shown = a.json("show", str(tree / "directory 0" / "7.jpg"))
    assert "'rating': 3" in str(shown)
