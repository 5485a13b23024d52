"""What records are called: by their own name, or by the things they are about."""

from __future__ import annotations

from leaderless.catalogue.names import device_name, file_of, record_name
from registry.changes import Create, Delete, Edit
from tests.catalogue.files import Drive
from tests.replicas import Replica
from tests.store.passing import within

TAG, ALBUM, RECORD = b"t" * 16, b"a" * 16, b"r" * 16


def named(replica: Replica, *edits: Edit) -> str:
    """Return what the last record that these edits make is called."""
    replica.store.write_here(lambda tx: tx.commit("test", edits))
    return within(replica, lambda c: record_name(c, edits[-1].model, edits[-1].record))


def test_a_record_has_its_name_also_when_it_is_deleted(replica: Replica) -> None:
    """It had been called so; one without a name has its id."""
    assert named(replica, Create("tag", TAG, {"canonical_name": "trip"})) == "trip"
    assert named(replica, Delete("tag", TAG)) == "trip"
    assert named(replica, Create("album", ALBUM, {})) == ALBUM.hex()


def test_what_is_said_of_a_file_is_called_after_it(replica: Replica) -> None:
    """Also while it is only remembered as deleted; a file that is not here has its id."""
    disk = Drive(replica, "disk")
    about = {"scope": "entry", "target": disk.put("a.jpg")}
    assert named(replica, Create("user_metadata", RECORD, about)) == "of a.jpg"
    within(replica, lambda c: c.exec_driver_sql("UPDATE entry SET dead = 1 WHERE kind = 'file'"))
    assert within(replica, lambda c: record_name(c, "user_metadata", RECORD)) == "of a.jpg"
    gone = {"scope": "entry", "target": ALBUM}
    assert named(replica, Create("user_metadata", TAG, gone)) == f"of {ALBUM.hex()}"
    assert named(replica, Create("user_metadata", ALBUM, {})) == "of nothing"


def test_a_link_is_called_after_both_its_ends(replica: Replica) -> None:
    """A file by one of its copies, where the link is to a content."""
    disk = Drive(replica, "disk")
    disk.put("a.jpg", "x")
    content = b"c" * 16
    made = [
        Create("content", content, {"hash": _hash(replica)}),
        Create("tag", TAG, {"canonical_name": "trip"}),
        Create("album", ALBUM, {"name": "summer"}),
    ]
    replica.store.write_here(lambda tx: tx.commit("test", made))
    item = {"item": content, "scope": "content"}
    tagged = Create("user_metadata_tag", RECORD, {**item, "tag": TAG})
    assert named(replica, tagged) == "trip on a.jpg"
    assert named(replica, Create("album_entry", RECORD, {**item, "album": ALBUM})) == (
        "a.jpg in summer"
    )


def test_what_says_something_of_a_file_has_its_name(replica: Replica) -> None:
    """A record of another kind, or of a file that is gone, has none."""
    disk = Drive(replica, "disk")
    about = {"scope": "entry", "item": disk.put("a.jpg"), "tag": TAG}
    assert file_of_last(replica, Create("user_metadata_tag", RECORD, about)) == "a.jpg"
    gone = {"scope": "entry", "target": ALBUM}
    assert file_of_last(replica, Create("user_metadata", RECORD, gone)) is None
    assert file_of_last(replica, Create("user_metadata", ALBUM, {})) is None
    assert file_of_last(replica, Create("tag", TAG, {})) is None


def file_of_last(replica: Replica, edit: Create) -> str | None:
    """Return the file of a record that was just made."""
    replica.store.write_here(lambda tx: tx.commit("test", [edit]))
    return within(replica, lambda c: file_of(c, edit.model, edit.record))


def _hash(replica: Replica) -> bytes:
    query = "SELECT content FROM entry WHERE content IS NOT NULL"
    return within(replica, lambda c: bytes(c.exec_driver_sql(query).scalar_one()))


def test_a_relation_of_tags_says_which_it_is(replica: Replica) -> None:
    """Under, the same as, related to."""
    other = b"u" * 16
    made = [
        Create("tag", TAG, {"canonical_name": "trip"}),
        Create("tag", other, {"canonical_name": "life"}),
    ]
    replica.store.write_here(lambda tx: tx.commit("test", made))
    fields = {"child": TAG, "parent": other}
    for at, (relation, words) in enumerate(
        {"parent_child": "under", "synonym": "the same as", "related": "related to"}.items()
    ):
        edge = Create("tag_relation", bytes([at]) * 16, {**fields, "relation": relation})
        assert named(replica, edge) == f"trip {words} life"


def test_a_device_that_is_not_known_has_the_beginning_of_its_id(replica: Replica) -> None:
    """Any other has its name."""
    assert within(replica, lambda c: device_name(c, replica.store.own_device)) == "device0"
    assert within(replica, lambda c: device_name(c, b"d" * 16)) == b"dddd".hex()
