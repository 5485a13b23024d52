"""How owned rows are stored: on an in-memory database, with no event loop."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from entities import MODELS
from entities._schema import BOOKKEEPING, METADATA
from registry.changes import Incarnation, StateChange
from registry.dispatch import dispatch_state
from registry.errors import ApplyError, InvalidChangeError, NotOwnerError
from registry.models import Registry, needed
from registry.rows import Epochs, StateRow
from tests.entities.conftest import OTHER, OWNER
from tests.replicas import ENTRY_COLUMNS, LOCATION_COLUMNS, VOLUME_COLUMNS

LIFE = Incarnation(1, bytes(8))
EPOCHS = Epochs(1, frozenset([1]))
REGISTRY = Registry(MODELS)


def uid(name: str) -> bytes:
    """Return an id that a test can recognise."""
    return name.encode().ljust(16, b".")


def volume(rev: int = 1) -> StateChange:
    """Return a volume."""
    row = (uid("volume"), rev, "uuid:1", "disk", *[None] * 8)
    return StateChange("volume", OWNER, LIFE, VOLUME_COLUMNS[1:], [row])


def location(rev: int = 2) -> StateChange:
    """Return a location on that volume."""
    row = (uid("place"), rev, uid("volume"), "docs", b"/docs", "shallow", *[None] * 3)
    return StateChange("location", OWNER, LIFE, LOCATION_COLUMNS[1:], [row])


def entry(known_as: str, rev: int, parent: str | None = None, **more: Any) -> tuple[Any, ...]:
    """Return the row of an entry."""
    fields = dict.fromkeys(ENTRY_COLUMNS[1:]) | {
        "location": uid("place"),
        "parent": None if parent is None else uid(parent),
        "name": known_as.encode(),
        "kind": "file",
    }
    return (uid(known_as), rev, *(fields | more).values())


def entries(*rows: tuple[Any, ...], **more: Any) -> StateChange:
    """Return a change of entries."""
    return StateChange("entry", OWNER, LIFE, ENTRY_COLUMNS[1:], list(rows), **more)


def apply(connection: Connection, *changes: StateChange) -> Any:
    """Dispatch changes in one transaction."""
    try:
        outcome = dispatch_state(REGISTRY, connection, EPOCHS, changes, OWNER)
        connection.commit()
    except BaseException:
        # A commit that failed leaves SQLite's transaction open.
        connection.rollback()
        connection.connection.rollback()
        raise
    return outcome


def shown(connection: Connection) -> list[tuple[Any, ...]]:
    """Return the living entries."""
    rows = connection.exec_driver_sql("SELECT name, rev FROM entry WHERE dead = 0 ORDER BY name")
    return [tuple(row) for row in rows]


def dead(connection: Connection) -> list[bytes]:
    """Return the names of dead entries."""
    return list(connection.exec_driver_sql("SELECT name FROM entry WHERE dead = 1").scalars())


def test_every_owned_model_applies(connection: Connection) -> None:
    """Device, volume, location and entry arrive in one batch, whatever its order."""
    device = StateChange("device", OWNER, LIFE, ("name",), [(OWNER, 9, "laptop")])
    outcome = apply(connection, entries(entry("root", 3)), location(), volume(), device)
    assert {name for name, effect in outcome.effects if effect.after} == {
        "device",
        "volume",
        "location",
        "entry",
    }
    assert shown(connection) == [(b"root", 3)]


def test_twice_is_once(connection: Connection) -> None:
    """The same batch again changes nothing and counts nothing."""
    batch = (volume(), location(), entries(entry("root", 3)))
    apply(connection, *batch)
    again = apply(connection, *batch)
    assert not any(effect.before or effect.after for _, effect in again.effects)


def test_an_older_row_does_not_overwrite(connection: Connection) -> None:
    """A row that comes late, through somebody else, loses against the newer one."""
    apply(connection, volume(), location(), entries(entry("root", 9)))
    apply(connection, entries(entry("root", 3, name=b"old")))
    assert shown(connection) == [(b"root", 9)]


def test_a_newer_row_replaces_and_reports_both(connection: Connection) -> None:
    """The effect of an update names the row that went and the one that came."""
    apply(connection, volume(), location(), entries(entry("root", 3)))
    outcome = apply(connection, entries(entry("root", 4, size_bytes=7)))
    ((_, effect), _) = outcome.effects
    assert [row.rev for row in effect.before] == [3]
    assert effect.after[0] == StateRow(
        uid("root"),
        4,
        {"location": uid("place"), "name": b"root", "kind": "file", "size_bytes": 7},
    )


def test_a_tombstone_wins_over_a_late_row(connection: Connection) -> None:
    """A deleted row does not come back, however new the late copy claims to be."""
    apply(connection, volume(), location(), entries(entry("root", 3)))
    apply(connection, entries(removed=[(uid("root"), 4)]))
    apply(connection, entries(entry("root", 3)))
    assert shown(connection) == []
    assert dead(connection) == []


def test_a_deleted_parent_stays_dead_until_its_last_child_moved(connection: Connection) -> None:
    """Nothing cascades: the parent is hidden, and goes when nothing refers to it any more."""
    apply(
        connection,
        volume(),
        location(),
        entries(entry("root", 3), entry("a", 4, "root"), entry("f", 5, "a")),
    )
    apply(connection, entries(removed=[(uid("a"), 6)]))
    assert (shown(connection), dead(connection)) == ([(b"f", 5), (b"root", 3)], [b"a"])
    apply(connection, entries(entry("f", 7, "root")))
    assert (shown(connection), dead(connection)) == ([(b"f", 7), (b"root", 3)], [])


def test_a_dead_ancestor_comes_with_its_child(connection: Connection) -> None:
    """A row whose parent is deleted at the owner is stored, with the parent dead."""
    apply(
        connection,
        volume(),
        location(),
        entries(entry("a", 3), removed=[(uid("a"), 9)], dead=frozenset([uid("a")])),
        entries(entry("f", 5, "a")),
    )
    assert (shown(connection), dead(connection)) == ([(b"f", 5)], [b"a"])


def test_a_reference_to_nothing_undoes_the_batch(connection: Connection) -> None:
    """A child without its parent breaks the foreign key, and nothing of the batch stays."""
    apply(connection, volume(), location())
    with pytest.raises(IntegrityError):
        apply(connection, entries(entry("good", 3), entry("f", 5, "nowhere")))
    assert shown(connection) == []


def test_a_foreign_row_cannot_be_taken_over(connection: Connection) -> None:
    """A uuid that belongs to another device is refused by name."""
    apply(connection, volume())
    stolen = StateChange("volume", OTHER, LIFE, ("fingerprint",), [(uid("volume"), 99, "x")])
    with pytest.raises(NotOwnerError):
        dispatch_state(REGISTRY, connection, Epochs(2, frozenset([2])), [stolen], OTHER)
    connection.rollback()


def test_a_new_life_of_the_owner_replaces_rows_of_the_old(connection: Connection) -> None:
    """Rows of a later incarnation win, whatever their rev."""
    apply(connection, volume(9))
    connection.exec_driver_sql(
        "INSERT INTO incarnation (id, device, generation, nonce, set_hash) VALUES (3, ?, 2, ?, ?)",
        (OWNER, bytes(8), bytes(256)),
    )
    newer = Epochs(3, frozenset([1, 3]))
    dispatch_state(REGISTRY, connection, newer, [volume(1)], OWNER)
    connection.commit()
    assert connection.exec_driver_sql("SELECT epoch, rev FROM volume").one() == (3, 1)


def test_what_was_deleted_in_an_earlier_life_of_the_owner_can_be_back(
    connection: Connection,
) -> None:
    """Who was restored does not remember that; it can delete it again."""
    apply(connection, volume(), location(), entries(entry("root", 3), entry("a", 4, "root")))
    apply(connection, entries(removed=[(uid("a"), 5)]))
    connection.exec_driver_sql(
        "INSERT INTO incarnation (id, device, generation, nonce, set_hash) VALUES (3, ?, 2, ?, ?)",
        (OWNER, bytes(8), bytes(256)),
    )
    second = Epochs(3, frozenset([1, 3]))

    def again(change: StateChange) -> None:
        dispatch_state(REGISTRY, connection, second, [change], OWNER)

    for change in (volume(), location(), entries(entry("root", 3), entry("a", 4, "root"))):
        again(change)
    assert shown(connection) == [(b"a", 4), (b"root", 3)]
    assert connection.exec_driver_sql("SELECT count(*) FROM tombstone").scalar() == 0
    again(entries(removed=[(uid("a"), 5)]))
    again(entries(entry("a", 4, "root")))
    assert shown(connection) == [(b"root", 3)]


def test_unknown_fields_are_kept_and_handed_on(connection: Connection) -> None:
    """A column of a newer version is stored, read back, and part of the row's fields."""
    change = StateChange(
        "volume", OWNER, LIFE, ("fingerprint", "colour"), [(uid("v"), 1, "x", "red")]
    )
    outcome = apply(connection, change)
    assert outcome.effects[0][1].after[0].fields == {"fingerprint": "x", "colour": "red"}
    model = REGISTRY.get("volume")
    assert model is not None
    assert model.query_state is not None
    found = model.query_state(connection, 1, 0, 9, 10)
    assert found.columns[-1] == "colour"
    assert found.rows[0][-1] == "red"


def test_a_field_kept_beside_its_column_is_read_as_that_column(connection: Connection) -> None:
    """What came before a version had the column and does not fit there travels in its place."""
    apply(connection, StateChange("volume", OWNER, LIFE, ("fingerprint",), [(uid("v"), 1, "x")]))
    kept = msgpack.packb({"display_name": 7, "colour": "red"})
    connection.exec_driver_sql("UPDATE volume SET extra = ?", (kept,))
    model = needed(REGISTRY.get("volume"))
    found = needed(model.query_state)(connection, 1, 0, 9, 10)
    assert len(set(found.columns)) == len(found.columns)
    assert (found.rows[0][2:], found.columns[-1]) == (
        ("x", 7, *[None] * (len(VOLUME_COLUMNS) - 3), "red"),
        "colour",
    )


def test_a_column_named_twice_is_refused(connection: Connection) -> None:
    """A batch with an ambiguous column changes nothing."""
    change = StateChange("volume", OWNER, LIFE, ("fingerprint",) * 2, [(uid("v"), 1, "x", "y")])
    with pytest.raises(InvalidChangeError):
        apply(connection, change)


def test_a_row_that_breaks_the_schema_is_named(connection: Connection) -> None:
    """What SQLite refuses comes out with the model's name."""
    change = StateChange("volume", OWNER, LIFE, ("display_name",), [(uid("v"), 1, "x")])
    with pytest.raises(ApplyError, match="volume"):
        apply(connection, change)


def test_rows_come_in_rev_order_with_what_they_need(connection: Connection) -> None:
    """A row whose parent changed later names the parent as late, and the parent can be read."""
    apply(
        connection,
        volume(),
        location(),
        entries(entry("root", 3), entry("a", 4, "root"), entry("f", 5, "a")),
    )
    apply(connection, entries(entry("a", 8, "root", name=b"renamed")))
    model = REGISTRY.get("entry")
    assert model is not None
    assert model.query_state is not None
    assert model.query_rows is not None
    found = model.query_state(connection, 1, 3, 7, 10)
    assert [row[1] for row in found.rows] == [5]
    ((name, key),) = found.late
    assert name == "entry"
    above = model.query_rows(connection, 1, 3, [key])
    assert above.rows[0][1] == 8
    assert above.dead == {}


def test_tables_are_what_the_migration_makes(connection: Connection) -> None:
    """Every column of a model's table is in the schema, and the other way round."""
    for table in METADATA.sorted_tables:
        found = connection.exec_driver_sql(f"PRAGMA table_info({table.name})").all()
        assert {row[1] for row in found} == {column.name for column in table.columns}
    for model in REGISTRY.owned():
        table = METADATA.tables[model.sync_name]
        synced = {item.name for item in model.fields}
        assert {c.name for c in table.columns} == {*synced, *model.local_only, *BOOKKEEPING}
    for model in REGISTRY.shared():
        table = METADATA.tables[model.sync_name]
        synced = {item.name for item in model.fields}
        assert {c.name for c in table.columns} == {*synced, *model.local_only, "uuid", "extra"}


def test_local_only_columns_start_fresh_and_are_left_alone(connection: Connection) -> None:
    """A location that arrives is pending; a later arrival does not touch its scan state."""
    apply(connection, volume(), location())
    query = "SELECT scan_state FROM location"
    assert connection.exec_driver_sql(query).scalar() == "pending"
    connection.exec_driver_sql("UPDATE location SET scan_state = 'idle'")
    apply(connection, location(rev=9))
    assert connection.exec_driver_sql(query).scalar() == "idle"


def test_many_rows_are_looked_up_in_chunks(connection: Connection) -> None:
    """More rows than one lookup holds are compared with what is here, all of them."""
    apply(connection, volume(), location(), entries(entry("root", 3)))
    rows = [entry(f"f{at}", 4 + at, "root") for at in range(1_200)]
    apply(connection, entries(*rows))
    again = apply(connection, entries(*rows))
    assert not any(effect.after for _, effect in again.effects)
    assert len(shown(connection)) == 1_201


def test_rows_of_neighbouring_new_ids_are_looked_for_together(connection: Connection) -> None:
    """Where nothing is between the first and the last id, no row is looked for by itself."""
    apply(connection, volume(), location(), entries(entry("a", 3)))
    asked: list[str] = []
    connection.connection.driver_connection.set_trace_callback(asked.append)  # type: ignore[union-attr]
    apply(connection, entries(*[entry(f"n{at:03}", at + 4) for at in range(900)]))
    connection.connection.driver_connection.set_trace_callback(None)  # type: ignore[union-attr]
    assert sum("IN (" in item and item.startswith("SELECT") for item in asked) == 0
    assert len(shown(connection)) == 901


@pytest.mark.parametrize("known", ["n000", "n010", "n019"])
def test_among_new_rows_one_that_is_known_is_replaced(connection: Connection, known: str) -> None:
    """A row that is here is told as gone, wherever in the batch its new state comes."""
    apply(connection, volume(), location(), entries(entry(known, 3)))
    outcome = apply(connection, entries(*[entry(f"n{at:03}", at + 4) for at in range(20)]))
    effect = outcome.effects[0][1]
    assert [row.uuid for row in effect.before] == [uid(known)]
    assert len(effect.after) == 20


def test_among_new_rows_one_that_was_deleted_stays_so(connection: Connection) -> None:
    """A tombstone in the middle of a batch of new rows is obeyed."""
    apply(connection, volume(), location(), entries(entry("n010", 3)))
    apply(connection, entries(removed=[(uid("n010"), 40)]))
    apply(connection, entries(*[entry(f"n{at:03}", at + 4) for at in range(20)]))
    assert len(shown(connection)) == 19


def test_a_stranger_has_no_live_effect_when_it_is_dead(connection: Connection) -> None:
    """A row that is dead at its owner counts in no hash, also when it comes again."""
    apply(connection, volume(), location(), entries(entry("a", 3), entry("f", 4, "a")))
    apply(connection, entries(removed=[(uid("a"), 9)]))
    outcome = apply(connection, entries(entry("a", 3), dead=frozenset([uid("a")])))
    assert not any(effect.before or effect.after for _, effect in outcome.effects)


def test_a_batch_that_names_a_column_twice_is_refused(connection: Connection) -> None:
    """Which of two values of one column is meant cannot be told, so nothing is stored."""
    columns = ("display_name", "display_name")
    change = StateChange("volume", OWNER, LIFE, columns, rows=[(uid("v"), 1, "a", "b")])
    with pytest.raises(InvalidChangeError, match="twice"):
        dispatch_state(REGISTRY, connection, EPOCHS, [change], OWNER)
    assert connection.exec_driver_sql("SELECT count(*) FROM volume").scalar() == 0


def test_what_a_replica_reads_another_stores(connection: Connection) -> None:
    """The rows of a catch-up query are the rows of a change, without a conversion between."""
    apply(connection, volume())
    model = needed(REGISTRY.get("volume"))
    read = needed(model.query_state)(connection, 1, 0, 99, 10)
    later = [(row[0], 7, *row[2:]) for row in read.rows]
    apply(connection, StateChange("volume", OWNER, LIFE, read.columns, later))
    assert needed(model.query_state)(connection, 1, 0, 99, 10).rows == later


def test_another_owners_tombstone_is_neither_taken_over_nor_obeyed(connection: Connection) -> None:
    """Who does not own a deleted row cannot move its tombstone; what it buries ahead stays free."""
    apply(connection, volume(), location(), entries(entry("a", 3)))
    apply(connection, entries(removed=[(uid("a"), 4)]))
    other = Epochs(2, frozenset([2]))
    stolen = StateChange("entry", OTHER, LIFE, (), (), [(uid("a"), 99)])
    with pytest.raises(NotOwnerError):
        dispatch_state(REGISTRY, connection, other, [stolen], OTHER)
    ahead = StateChange("entry", OTHER, LIFE, (), (), [(uid("b"), 5)])
    dispatch_state(REGISTRY, connection, other, [ahead], OTHER)
    apply(connection, entries(entry("b", 6)))
    assert shown(connection) == [(b"b", 6)]


def test_a_tombstone_twice_is_as_once(connection: Connection) -> None:
    """A delete that comes again changes nothing."""
    apply(connection, volume(), location(), entries(entry("a", 3)))
    for _ in range(2):
        apply(connection, entries(removed=[(uid("a"), 4)]))
    assert shown(connection) == []


def test_of_a_row_that_comes_twice_in_a_batch_the_newest_counts(connection: Connection) -> None:
    """In whatever order: what goes into the set hash is the row that is stored."""
    rows = [entry("root", rev, mode=mode) for rev, mode in ((5, 1), (6, 2), (6, 3), (4, 4))]
    outcome = apply(connection, volume(), location(), entries(*rows))
    effects = [effect for model, effect in outcome.effects if model == "entry"]
    (counted,) = [row for effect in effects for row in effect.after]
    stored = connection.exec_driver_sql("SELECT rev, mode FROM entry").all()
    assert [(counted.rev, counted.fields["mode"])] == stored == [(6, 2)]
