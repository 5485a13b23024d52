"""What two devices may do at once, in three scenes: with tags, with an album, with metadata.

A scene has a record and, where there are links, a link of it. Every deed is done to one of the two
or to the other end of the link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from entities.user_metadata import metadata_id
from registry.changes import Create, Delete, Edit, Lock, Restore, Update
from registry.derived import link_id
from tests.merge.devices import Agreed, edit, state_of
from tests.merge.oracle import Key
from tests.merge.world import ALBUMS, ITEMS, TAGS, Fields
from tests.replicas import Replica

# The tag merged into has the greater id: the other one is canonical, whoever merged.
BEACH, SEA = TAGS[0], TAGS[1]
OLD = "old"


@dataclass(frozen=True)
class Scene:
    """A record with two fields, a link of it with one, and the link's other shared end."""

    record: Key
    made: Fields
    same: str
    other: tuple[str, Any]
    link: Key | None = None
    joins: Fields | None = None
    detail: str = ""
    end: Key | None = None

    def can(self, deed: str) -> bool:
        """Return whether there is what the deed is done to."""
        if deed in ("link", "unlink", "relink"):
            return self.link is not None
        if deed in ("end", "merge"):
            return self.end is not None
        return True


SCENES = {
    "tags": Scene(
        ("tag", BEACH),
        {"canonical_name": "beach"},
        "color",
        ("icon", "palm"),
        ("tag_relation", link_id("tag_relation", BEACH, SEA)),
        {"child": BEACH, "parent": SEA, "relation": "parent_child"},
        "relation",
        ("tag", SEA),
    ),
    "an album": Scene(
        ("album", ALBUMS[0]),
        {"sort_order": "name"},
        "name",
        ("description", "summer"),
        ("album_entry", link_id("album_entry", ITEMS[0], ALBUMS[0])),
        {"item": ITEMS[0], "scope": "content", "album": ALBUMS[0]},
        "caption",
    ),
    "metadata": Scene(
        ("user_metadata", metadata_id("content", ITEMS[0])),
        {"scope": "content", "target": ITEMS[0]},
        "note",
        ("rating", 4),
    ),
}


@dataclass(frozen=True)
class Deed:
    """What one device does; `value` tells it from what the other one does."""

    scene: Scene
    name: str
    value: str
    back: bool = False

    def edit(self) -> Edit:
        """Return the edit that does it."""
        scene, record = self.scene, self.scene.record
        match self.name:
            case "create":
                return Create(*record, {**scene.made, scene.same: self.value})
            case "update":
                return Update(*record, {scene.same: self.value})
            case "other":
                return Update(*record, dict([scene.other]))
            case "delete":
                return Delete(*record)
            case "restore":
                return Restore(*record)
            case "lock":
                return Lock(*record)
        assert scene.link is not None
        match self.name:
            case "link":
                return Create(*scene.link, scene.joins or {})
            case "unlink":
                return Delete(*scene.link)
            case "relink":
                return Update(*scene.link, {scene.detail: self.value})
        assert scene.end is not None
        if self.name == "end":
            return Delete(*scene.end)
        into, merged = (record, scene.end) if self.back else (scene.end, record)
        return Update(*merged, {"merged_into": into[1]})

    def do(self, device: Replica) -> None:
        """Let a device do it; to create or restore what is there it has taken it away before."""
        taken = {"create": self.scene.record, "restore": self.scene.record, "link": self.scene.link}
        key = taken.get(self.name)
        if key is not None and state_of(device, *key).alive:
            edit(device, Delete(*key))
        edit(device, self.edit())

    def is_held(self, device: Replica, author: Replica) -> bool:
        """Return whether the registers of a device say what the deed of `author` said."""
        scene = self.scene
        state = state_of(device, *scene.record)
        shown = {field: write.value for (field, _), write in state.shown().items()}
        match self.name:
            case "create":
                return state.alive and shown.get(scene.same) == self.value
            case "restore":
                return shown.get(scene.same) == OLD
            case "update":
                return shown.get(scene.same) == self.value
            case "other":
                return shown.get(scene.other[0]) == scene.other[1]
            case "delete":
                return not state.alive
            case "lock":
                return state.locked_by == author.identity.device
            case "merge":
                merged = scene.end if self.back else scene.record
                assert merged is not None
                held = state_of(device, *merged).shown().get(("merged_into", None))
                return held is not None and held.value is not None
            case "end":
                assert scene.end is not None
                return not state_of(device, *scene.end).alive
        assert scene.link is not None
        state = state_of(device, *scene.link)
        held = state.shown().get((scene.detail, None))
        match self.name:
            case "link":
                return state.alive
            case "unlink":
                return not state.alive
        return held is not None and held.value == self.value

    def is_seen(self, agreed: Agreed) -> bool:
        """Return whether what the deed is about is to be seen, if it leaves anything to see."""
        scene = self.scene
        if self.name in ("link", "relink"):
            assert scene.link is not None
            return scene.link[1] in agreed.tables[scene.link[0]]
        if self.name == "merge":
            return agreed.tables["tag"].get(SEA, {}).get("canonical") == BEACH
        return True
