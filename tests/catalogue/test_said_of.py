"""Which records say something of a file, a tag or an album."""

from __future__ import annotations

import pytest

from entities.content import content_id
from entities.user_metadata import metadata_id
from leaderless.catalogue.said_of import (
    Lost,
    is_known_of,
    lost_without,
    records_of,
    records_of_file,
    records_on,
    said_of_nothing,
)
from leaderless.catalogue.targets import find_target
from registry.changes import Create, Delete, Value
from tests.catalogue.files import Drive, hash_of
from tests.replicas import Replica
from tests.store.passing import within

TAG, OTHER, ALBUM, LINK, ITEM = (bytes([at]) * 16 for at in range(1, 6))
LINKS = [
    Create("user_metadata", LINK, {"target": ITEM, "scope": "entry"}),
    Create("user_metadata_tag", LINK, {"item": ITEM, "scope": "entry", "tag": TAG}),
    Create("album_entry", LINK, {"item": ITEM, "scope": "entry", "album": ALBUM}),
    Create("tag_relation", LINK, {"child": TAG, "parent": OTHER, "relation": "parent_child"}),
]


def _commit(replica: Replica, *edits: Create | Delete) -> None:
    replica.store.write_here(lambda tx: tx.commit("test", edits))


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("gone", [False, True])
def test_both_ends_have_their_links_also_gone_ones(
    replica: Replica, link: Create, gone: bool
) -> None:
    """A link that was taken away is still one that was there."""
    named = [Create("tag", TAG), Create("tag", OTHER), Create("album", ALBUM)]
    _commit(replica, *named, link)
    if gone:
        _commit(replica, Delete(link.model, LINK))
    ends = [value for value in link.fields.values() if isinstance(value, bytes)]
    for end in ends:
        assert within(replica, lambda c, end=end: records_of([end], c)) == {end, LINK}


def test_what_says_nothing_of_an_item_is_left_out(replica: Replica) -> None:
    """Another file's note is no news of this one."""
    _commit(replica, LINKS[0])
    assert within(replica, lambda c: records_of([OTHER], c)) == {OTHER}
    assert within(replica, lambda c: is_known_of(ITEM, c))
    assert not within(replica, lambda c: is_known_of(OTHER, c))


@pytest.mark.parametrize("text", ["text", None])
def test_of_a_file_they_are_told_apart_by_scope(replica: Replica, text: str | None) -> None:
    """The metadata of either is among them, also where nobody has said anything yet."""
    entry = Drive(replica, "disk").put("a", text)
    file = within(replica, lambda c: find_target(c, replica.store.own_epoch, "/disk/a"))
    known = {"entry": {entry, metadata_id("entry", entry)}}
    if text is not None:
        content = content_id(hash_of(text))
        known["content"] = {content, metadata_id("content", content)}
    assert within(replica, lambda c: records_of_file(file, c)) == known


def test_of_a_device_it_is_what_is_said_of_its_files(replicas: list[Replica]) -> None:
    """Those of other devices are left out."""
    anna, ben, _ = replicas
    uuid = Drive(anna, "disk").put("a")
    _commit(anna, Create("user_metadata", LINK, {"target": uuid, "scope": "entry"}))
    assert within(anna, lambda c: records_on(c, anna.identity.device)) == {LINK}
    assert within(anna, lambda c: records_on(c, ben.identity.device)) == frozenset()


def _say(item: bytes, scope: str, number: int) -> list[Create]:
    """Say all there is to say of an item: a note with a rating, a tag, a place in an album."""
    ids = [bytes([number, at]) * 8 for at in range(3)]
    about: dict[str, Value] = {"item": item, "scope": scope}
    return [
        Create("user_metadata", ids[0], {"target": item, "scope": scope, "note": "x", "rating": 3}),
        Create("user_metadata_tag", ids[1], {**about, "tag": TAG}),
        Create("album_entry", ids[2], {**about, "album": ALBUM}),
    ]


def test_what_is_said_of_files_alone_is_lost_with_them(replica: Replica) -> None:
    """A file counts once, however much is said of it; what is said of files elsewhere does not."""
    disk, other = Drive(replica, "disk"), Drive(replica, "other")
    uuid, elsewhere = disk.put("a"), other.put("b")
    disk.put("c", "text")
    ends = [Create("tag", TAG), Create("album", ALBUM)]
    _commit(replica, *ends, *_say(uuid, "entry", 1), *_say(elsewhere, "entry", 2))
    assert within(replica, lambda c: lost_without(c, disk.location)) == (
        Lost(1, 1, 1, 1, 1),
        Lost(0, 0, 0, 0, 0),
    )


@pytest.mark.parametrize(("copied", "unseen"), [(False, 1), (True, 0)])
def test_what_is_said_of_a_content_is_unseen_without_its_last_place(
    replica: Replica, copied: bool, unseen: int
) -> None:
    """A copy in another location shows it still; a second one in the same goes, too."""
    disk, other = Drive(replica, "disk"), Drive(replica, "other")
    disk.put("a", "text")
    disk.put("again", "text")
    if copied:
        other.put("b", "text")
    content = content_id(hash_of("text"))
    made = [Create("content", content, {"hash": hash_of("text")})]
    ends = [Create("tag", TAG), Create("album", ALBUM)]
    _commit(replica, *ends, *made, *_say(content, "content", 1))
    gone, hidden = within(replica, lambda c: lost_without(c, disk.location))
    assert (gone, hidden) == (Lost(0, 0, 0, 0, 0), Lost(*[unseen] * 5))


def test_what_was_cleared_again_is_no_loss(replica: Replica) -> None:
    """Its record is still there, and says nothing."""
    disk = Drive(replica, "disk")
    uuid = disk.put("a")
    empty = {"target": uuid, "scope": "entry", "note": None, "rating": None}
    _commit(replica, Create("user_metadata", LINK, empty))
    assert within(replica, lambda c: lost_without(c, disk.location))[0].files == 0


@pytest.mark.parametrize(
    ("scope", "here"), [("entry", 0), ("content", 0), ("gone", 3), ("lost", 3)]
)
def test_what_says_something_of_no_file_that_is_here_is_counted(
    replica: Replica, scope: str, here: int
) -> None:
    """Of a content it says something as long as any file has that."""
    disk = Drive(replica, "disk")
    items = {
        "entry": disk.put("a"),
        "content": content_id(hash_of("text")),
        "gone": OTHER,
        "lost": content_id(hash_of("lost")),
    }
    disk.put("b", "text")
    made = [
        Create("content", content_id(hash_of(text)), {"hash": hash_of(text)})
        for text in ("text", "lost")
    ]
    ends = [Create("tag", TAG), Create("album", ALBUM)]
    said = _say(items[scope], "content" if scope in ("content", "lost") else "entry", 1)
    _commit(replica, *ends, *made, *said)
    assert within(replica, said_of_nothing) == here
