"""Every pair of deeds by two devices that had not seen each other: who wins, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator

import msgpack
import pytest

from leaderless.catalogue.conflicts import DELETED, KEPT, LOCKED, OVERWRITTEN, REMADE, conflicts
from registry.changes import LOCK_FIELD, Create, Delete, Restore, Update, WriteRef
from tests.merge.devices import Library, agreed, edit, feeds, hand, meet, open_library, told
from tests.merge.oracle import replay
from tests.merge.scenes import OLD, SCENES, Deed, Scene
from tests.merge.world import TAGS, tables
from tests.replicas import Replica
from tests.store.passing import own_feed, within

DEEDS = [
    *("create", "update", "other", "delete", "restore"),
    *("link", "unlink", "relink", "end"),
    *("lock", "merge"),
]

# What becomes of the deed of the row and of the deed of the column, whoever did his first:
#   both     both are in effect, nothing is lost
#   row col  that one is in effect, the other is in the journal
#   later    the later one is in effect, the earlier in the journal; earlier: the other way round
#   row~ col~  that one is in effect; the other is kept, hidden, and seen again with its end
# "update" and "other" write two fields of a record, "link" joins it with another, "relink" writes a
# field of the link, "end" deletes the other end, "merge" merges the record into that one. Who
# creates, restores or links what is there has deleted it before; the other had not seen that either.
TABLE = """
         create  update  other   delete  restore link    unlink  relink  end     lock    merge
create   later   row     row     row     later   both    both    both    both    col     row
update           later   both    col     col     both    both    both    both    col     both
other                    both    col     col     both    both    both    both    col     both
delete                           both    col     row~    both    row~    both    col     row
restore                                  both    both    both    both    both    both    row
link                                             both    row     row     col~    both    both
unlink                                                   both    row     both    both    both
relink                                                           later   col~    both    both
end                                                                      both    both    row~
lock                                                                             earlier row
merge                                                                                    both
"""


def _cells() -> dict[tuple[str, str], str]:
    """Return the table by row and column."""
    header, *rows = TABLE.strip().splitlines()
    assert header.split() == DEEDS
    assert [row.split()[0] for row in rows] == DEEDS
    return {
        (DEEDS[at], column): word
        for at, row in enumerate(rows)
        for column, word in zip(DEEDS[at:], row.split()[1:], strict=True)
    }


CELLS = _cells()
FATES = {
    "both": ("stands", "stands"),
    "row": ("stands", "lost"),
    "col": ("lost", "stands"),
    "row~": ("stands", "hidden"),
    "col~": ("hidden", "stands"),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Open three devices, for all pairs."""
    with open_library(tmp_path_factory.mktemp("merge"), 3) as made:
        yield made


@pytest.mark.parametrize("row_first", [True, False], ids=["row first", "column first"])
@pytest.mark.parametrize("where", SCENES)
@pytest.mark.parametrize(("row", "column"), CELLS)
def test_two_deeds_at_once_end_as_the_table_says(
    library: Library, row: str, column: str, where: str, row_first: bool
) -> None:
    """Both devices, and a third that heard of it from one, end alike: as the table says."""
    scene = SCENES[where]
    if not (scene.can(row) and scene.can(column)):
        return
    one, other, third = library.forget()
    deeds = (Deed(scene, row, "one"), Deed(scene, column, "other", back=row == column))
    _prepare(one, scene, {row, column})
    hand(one, other, own_feed(one))
    (other if row_first else one).clock.ms += 60_000
    refs = [_done(deeds[0], one), _done(deeds[1], other)]
    meet(one, other)
    for _ in range(2):
        for feed in sorted(feeds(other)):
            hand(other, third, feed)
            hand(third, one, feed)
    _assert_agreed(one, other, third)
    lost = _lost(third)
    assert lost <= set(refs)
    known = agreed(third)
    fates = [
        "lost" if ref in lost else "stands" if deed.is_seen(known) else "hidden"
        for deed, ref in zip(deeds, refs, strict=True)
    ]
    assert tuple(fates) == _expected(CELLS[row, column], row_first)
    for deed, author, fate in zip(deeds, (one, other), fates, strict=True):
        assert deed.is_held(third, author) == (fate != "lost")
    if "hidden" in fates:
        _assert_comes_back(third, deeds[fates.index("stands")], deeds[fates.index("hidden")])


def _expected(word: str, row_first: bool) -> tuple[str, str]:
    if word in ("later", "earlier"):
        word = "col" if row_first == (word == "later") else "row"
    return FATES[word]


def _prepare(device: Replica, scene: Scene, names: set[str]) -> None:
    """Make what the deeds need, as both devices are to have seen it."""
    edit(device, Create(*scene.record, {**scene.made, scene.same: OLD}))
    if names <= {"create", "restore"}:
        edit(device, Delete(*scene.record))
    if scene.end is not None:
        edit(device, Create(*scene.end, {}))
    linked = names & {"unlink", "relink"} or ("end" in names and "link" not in names)
    if scene.link is not None and linked:
        edit(device, Create(*scene.link, scene.joins or {}))


def _done(deed: Deed, device: Replica) -> WriteRef:
    """Let a device do something; return the name of the change."""
    deed.do(device)
    own = own_feed(device)
    return max(item.ref for item in told(device) if item.ref.feed == own)


def _assert_agreed(*devices: Replica) -> None:
    """All devices hold the same, and what the oracle says."""
    first, *others = [agreed(device) for device in devices]
    for held in others:
        assert held == first
    outcomes = replay(told(devices[0]))
    assert first.tables == tables(outcomes)
    assert first.journal == {loss for item in outcomes.values() for loss in item.losses}


def _lost(device: Replica) -> set[WriteRef]:
    """Return the changes that a person is told about, and locks, of which he is not."""
    registry = device.store.registry
    listed = within(device, lambda conn: conflicts(conn, registry))
    locks = {loss.loser for loss in agreed(device).journal if loss.field == LOCK_FIELD}
    return {conflict.loser for conflict in listed} | locks


def _assert_comes_back(device: Replica, deletion: Deed, hidden: Deed) -> None:
    """What was hidden is seen again once the end that was deleted is restored."""
    deleted = deletion.edit()
    edit(device, Restore(deleted.model, deleted.record))
    assert hidden.is_seen(agreed(device))


def test_tags_merged_into_two_others_go_with_the_later(library: Library) -> None:
    """A tag merged into different tags at once resolves with the later one; the other is kept."""
    one, other, _ = library.forget()
    edit(one, *[Create("tag", tag, {"canonical_name": "tag"}) for tag in TAGS])
    hand(one, other, own_feed(one))
    other.clock.ms += 60_000
    edit(one, Update("tag", TAGS[2], {"merged_into": TAGS[0]}))
    edit(other, Update("tag", TAGS[2], {"merged_into": TAGS[1]}))
    meet(one, other)
    _assert_agreed(one, other)
    assert agreed(one).tables["tag"][TAGS[2]]["canonical"] == TAGS[1]
    assert [(loss.field, loss.value) for loss in agreed(one).journal] == [
        ("merged_into", msgpack.packb(TAGS[0]))
    ]


@pytest.mark.parametrize(
    ("earlier", "later", "cause"),
    [
        ("update", "update", OVERWRITTEN),
        ("update", "delete", DELETED),
        ("delete", "create", KEPT),
        ("create", "other", REMADE),
        ("lock", "update", LOCKED),
        ("lock", "other", LOCKED),
    ],
)
def test_a_person_is_told_why(library: Library, earlier: str, later: str, cause: str) -> None:
    """The one conflict of two deeds names what the loser lost to."""
    one, other, _ = library.forget()
    scene = SCENES["an album"]
    _prepare(one, scene, {"update"})
    hand(one, other, own_feed(one))
    other.clock.ms += 60_000
    _done(Deed(scene, earlier, "one"), one)
    _done(Deed(scene, later, "other"), other)
    meet(one, other)
    registry = one.store.registry
    (conflict,) = within(one, lambda conn: conflicts(conn, registry))
    assert conflict.cause == cause
