"""The library of a release's fixtures: all models, all forms of change, and what only others know.

Device 2 is newer than the release: its tags and entries have a field more, and it has a shared and
an owned model that nobody else knows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from entities import MODELS
from entities.custom import owned_model, shared_model
from leaderless.ids import RecordIds
from leaderless.protocol.records import decode_ref
from leaderless.store.store import Store
from registry.changes import Create, Delete, Dismiss, Lock, Restore, Unlock, Update
from registry.derived import derived_id, link_id
from registry.models import Field, Registry
from tests.replicas import ENTRY_COLUMNS, Replica, add_tree, make_replicas
from tests.store.passing import batches, held, log_of, pull, store_commits, take, within

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leaderless.store.log import Received
    from registry.changes import Edit, Value

    Fields = dict[str | tuple[str, str], Value]

NEWER = (
    *(
        replace(model, fields=(*model.fields, Field("mood"))) if model.sync_name == "tag" else model
        for model in MODELS
    ),
    shared_model("bookmark", 1, (Field("title"), Field("of", (bytes,)))),
    owned_model("job", 1, (Field("state"), Field("above", (bytes,), reference="job"))),
)
"""The models of the newer device."""

SUMMER, TRAVEL, OLD, LOCKED, LOST = (bytes([at]) * 16 for at in range(1, 6))
BEST, GONE, BOOKMARK = (bytes([at]) * 16 for at in range(17, 20))


def make_library(folder: Path) -> list[Replica]:
    """Return the devices of one library; all but the last hold the same, that holds nothing."""
    replicas = [_with_own_ids(replica, at) for at, replica in enumerate(make_replicas(folder, 4))]
    replicas[2] = newer(replicas[2])
    a, b, c, _ = replicas
    for replica, name in ((a, "pictures"), (b, "music"), (c, "archive")):
        add_tree(replica, 12, name)
    _write_owned(a, c)
    for edits in _told_by_all(a):
        _commit(a, *edits)
    spread(a, b, c)
    _write_conflicts(a, b)
    _commit(c, Update("tag", SUMMER, {"mood": "bright"}))
    _commit(c, Create("bookmark", BOOKMARK, {"title": "read me", "of": SUMMER}))
    spread(a, b, c)
    return replicas


def _with_own_ids(replica: Replica, at: int) -> Replica:
    replica.store.ids = RecordIds(replica.clock, bytes([at]) * 6)
    replica.clock.ms += at
    return replica


def newer(replica: Replica) -> Replica:
    """Return a device as one that has models of a later version."""
    path, sign = replica.store.path, replica.identity.sign
    ids = RecordIds(replica.clock, replica.store.ids.new()[10:])
    replica.store.close()
    store = Store(path, Registry(NEWER), replica.clock, ids, sign)
    store.load()
    return replace(replica, store=store)


def _commit(replica: Replica, *edits: Edit) -> None:
    replica.clock.ms += 1_000
    replica.store.write_here(lambda tx: tx.commit("fixture.edit", edits, {"what": "a fixture"}))


def spread(*replicas: Replica) -> None:
    """Have each device hold all that any of them has written."""
    for source in replicas:
        for target in replicas:
            if source is not target:
                pull(source, target, source)
                _send_log(source, target)
    for source in replicas:
        for target in replicas:
            if source is not target:
                _send_log(source, target)


def own_commits(replica: Replica) -> list[Received]:
    """Return what a device has written, as it hands it on."""
    feeds = within(
        replica, lambda c: c.exec_driver_sql("SELECT feed FROM feed ORDER BY feed").scalars().all()
    )
    own = [feed for feed in feeds if feed[:16] == replica.identity.device]
    return [item for feed in own for item in log_of(replica, feed)]


def _send_log(source: Replica, target: Replica) -> None:
    store_commits(target, *own_commits(source))


def _write_owned(a: Replica, c: Replica) -> None:
    """Deletes, a dead row, a row with a field of a later version, a model of a later version."""
    files = "SELECT uuid FROM entry WHERE parent IS NOT NULL ORDER BY rev LIMIT 1"
    first = within(a, lambda x: x.exec_driver_sql(files).scalar_one())
    a.store.write_here(lambda tx: tx.drop("entry", [first]))
    _bury_folder(a)
    wide = [*ENTRY_COLUMNS, "thumbnail"]
    (location, parent) = within(
        c,
        lambda x: x.exec_driver_sql(
            "SELECT l.uuid, e.uuid FROM location l, entry e WHERE e.parent IS NULL"
        ).one(),
    )
    new = c.store.ids.new
    rows: list[tuple[Any, ...]] = [
        (new(), location, parent, b"caf\xe9.jpg", "jpg", "file", 9, *[None] * 7, "tiny"),
        (new(), location, parent, b"plain.txt", "txt", "file", 9, *[None] * 7, None),
    ]
    c.store.write_here(lambda tx: tx.put("entry", wide, rows))
    above, below, gone = new(), new(), new()
    jobs = [(above, "done", None), (below, "waits", above), (gone, "old", None)]
    c.store.write_here(lambda tx: tx.put("job", ["uuid", "state", "above"], jobs))
    c.store.write_here(lambda tx: tx.drop("job", [gone]))


def _bury_folder(a: Replica) -> None:
    """Delete a folder whose file was not deleted: it stays, dead, as long as that refers to it."""
    ends = "SELECT l.uuid, e.uuid FROM location l, entry e WHERE e.parent IS NULL"
    location, root = within(a, lambda x: x.exec_driver_sql(ends).one())
    folder = a.store.ids.new()
    rows: list[tuple[Any, ...]] = [
        (folder, location, root, b"folder", None, "directory", *[None] * 8),
        (a.store.ids.new(), location, folder, b"left", None, "file", *[None] * 8),
    ]
    a.store.write_here(lambda tx: tx.put("entry", ENTRY_COLUMNS, rows))
    a.store.write_here(lambda tx: tx.drop("entry", [folder]))


def _told_by_all(a: Replica) -> Iterator[list[Edit]]:
    """Yield the actions of the first device."""
    content = derived_id("content", b"h" * 32)
    picture = within(
        a,
        lambda x: x.exec_driver_sql(
            "SELECT uuid FROM entry WHERE parent IS NOT NULL AND dead = 0 ORDER BY rev LIMIT 1"
        ).scalar_one(),
    )
    said = derived_id("user_metadata", b"entry", picture)
    about = derived_id("user_metadata", b"content", content)
    me = a.identity.device
    names: Fields = {
        "canonical_name": "summer",
        "display_name": "Sommer ☀",
        "created_by_device": me,
    }
    yield [
        Create("tag", SUMMER, {**names, ("aliases", "hot"): True, ("attributes", "year"): 2025}),
        Create("tag", TRAVEL, {"canonical_name": "travel", "search_weight": 7}),
        Create("tag", OLD, {"canonical_name": "old", "is_organizational_anchor": True}),
        Create("tag", LOCKED, {"canonical_name": "locked", "color": "blue"}),
        Create("tag", LOST, {"canonical_name": "lost"}),
    ]
    yield [Create("content", content, {"hash": b"h" * 32, "size_bytes": 9, "mime": "image/jpeg"})]
    ends: Fields = {"child": SUMMER, "parent": TRAVEL, "relation": "is_a", "strength": 0.5}
    yield [Create("tag_relation", link_id("tag_relation", SUMMER, TRAVEL), ends)]
    yield [
        Create("album", BEST, {"name": "Best of", "cover": picture}),
        Create("album", GONE, {"name": "gone"}),
    ]
    member: Fields = {"item": picture, "scope": "entry", "position": "a", "caption": "first"}
    yield [
        Create("album_entry", b"p" * 16, {**member, "album": BEST}),
        Create("album_entry", b"q" * 16, {**member, "album": GONE}),
    ]
    note: Fields = {"note": "print this", "rating": 5, ("custom_data", "frame"): "oak"}
    yield [Create("user_metadata", said, {"scope": "entry", "target": picture, **note})]
    yield [
        Create("user_metadata", about, {"scope": "content", "target": content, "favorite": True})
    ]
    link: Fields = {"item": content, "scope": "content", "tag": SUMMER, "confidence": 1.0}
    yield [Create("user_metadata_tag", link_id("user_metadata_tag", content, SUMMER), link)]
    yield [Update("tag", OLD, {"merged_into": TRAVEL})]
    yield [Delete("album", GONE)]
    yield [Delete("tag", LOST)]
    yield [Restore("tag", LOST, {"color": "grey"})]
    yield [Lock("tag", LOCKED)]
    yield [Lock("album", BEST)]


def _write_conflicts(a: Replica, b: Replica) -> None:
    """Edits that had not seen each other: of a field, against a delete, of what is locked."""
    _commit(a, Update("tag", SUMMER, {"color": "yellow"}), Update("tag", TRAVEL, {"icon": "plane"}))
    _commit(b, Update("tag", SUMMER, {"color": "gold"}), Update("tag", TRAVEL, {"icon": "ship"}))
    _commit(a, Delete("tag", OLD))
    _commit(b, Update("tag", OLD, {"color": "brown"}))
    _commit(a, Unlock("tag", LOCKED))
    _commit(a, Update("tag", LOCKED, {"color": "green"}))
    _send_log(a, b)
    _send_log(b, a)
    losers = within(a, lambda x: x.exec_driver_sql("SELECT count(*) FROM journal").scalar_one())
    if not losers:
        raise RuntimeError("there is no conflict in the library")
    _dismiss_one(a)


def _dismiss_one(a: Replica) -> None:
    """Let the loser of one field rest; the others stay listed."""
    model, record, field, loser = within(
        a,
        lambda x: x.exec_driver_sql(
            "SELECT model, record, field, loser FROM journal WHERE field = 'icon'"
        ).one(),
    )
    _commit(a, Dismiss(model, record, (((field, None), decode_ref(loser)),)))


def interrupt(a: Replica, b: Replica, c: Replica) -> None:
    """Leave a device in the middle of a catch-up: rows to come, and a commit on the shelf."""
    add_tree(b, 20, "later")
    take(a, next(batches(b, b, held(a, b).watermark, limit=5)))
    _commit(c, Create("tag", b"c" * 16, {"canonical_name": "c"}))
    _send_log(c, b)
    _commit(b, Update("tag", b"c" * 16, {"color": "red"}))
    _send_log(b, a)
