"""The merge: any causal order gives the same records and the same journal."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from registry.authoring import change_for
from registry.changes import (
    Create,
    Delete,
    Dot,
    FieldWrite,
    Form,
    RecordId,
    Restore,
    SharedChange,
    Update,
    WriteRef,
)
from registry.hlc import Stamp
from registry.merge import (
    Cause,
    RecordState,
    Write,
    flat_fields,
    highest_overwritten,
    merge,
    visible_fields,
)

RECORD = bytes(16)
Step = tuple[int, str, str, int, int]


@dataclass(frozen=True)
class Sent:
    """A change as it travels: where it stands, and what its author had seen."""

    change: SharedChange
    dot: Dot
    stamp: Stamp
    seen: frozenset[Dot]


@dataclass
class Replica:
    """A device with its own state, journal and memory of what it has seen."""

    name: bytes
    state: RecordState = field(default_factory=RecordState)
    kept: dict = field(default_factory=dict)  # type: ignore[type-arg]
    lost: set[WriteRef] = field(default_factory=set)
    seen: set[Dot] = field(default_factory=set)
    seq: int = 0

    def take(self, sent: Sent) -> None:
        """Apply a change once, after all that its author had seen."""
        if sent.dot in self.seen:
            return
        assert sent.seen <= self.seen
        before = self.state
        merged = merge(before, sent.change, sent.dot, sent.stamp, 0)
        if before.alive and not merged.state.alive:
            self.kept = visible_fields(before)
        self.state = merged.state
        self.lost -= merged.settled
        self.lost |= {loss.write.ref for loss in merged.losses}
        self.seen.add(sent.dot)

    def write(self, what: str, key: str, value: int, clock: int) -> Sent | None:
        """Write a change, or nothing where it cannot be meant."""
        alive = self.state.alive
        edit: Create | Update | Delete | Restore
        if what == "update" and alive:
            edit = Update("tag", RECORD, {key: value, ("set", key): bool(value % 2) or None})
        elif what == "delete" and alive:
            edit = Delete("tag", RECORD)
        elif what == "create" and not alive:
            edit = Create("tag", RECORD, {key: value})
        elif what == "restore" and not alive and self.kept:
            edit = Restore("tag", RECORD)
        else:
            return None
        change = change_for(edit, self.state, self.kept)
        over = highest_overwritten([change])
        self.seq += 1
        stamp = Stamp(max(clock, over.ms + 1 if over else 0), 0, 0)
        sent = Sent(change, Dot(self.name, self.seq), stamp, frozenset(self.seen))
        self.take(sent)
        return sent


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["create", "update", "update", "delete", "restore", "meet"]),
        st.sampled_from(["name", "color"]),
        st.integers(0, 3),
        st.integers(1, 5),
    ),
    max_size=25,
)


def _play(replicas: list[Replica], log: list[Sent], script: list[Step]) -> None:
    """Let replicas write, and now and then hear what the others wrote."""
    for who, what, key, value, clock in script:
        if what == "meet":
            for sent in list(log):
                if sent.seen <= replicas[who].seen:
                    replicas[who].take(sent)
        elif (made := replicas[who].write(what, key, value, clock)) is not None:
            log.append(made)


def _deliver(replicas: list[Replica], log: list[Sent], chance: random.Random) -> None:
    """Let everybody hear everything, twice, in orders that only respect causality."""
    for replica in replicas:
        waiting = list(log)
        while waiting:
            chance.shuffle(waiting)
            ready = next(sent for sent in waiting if sent.seen <= replica.seen)
            waiting.remove(ready)
            replica.take(ready)
            replica.take(ready)


@given(steps, st.randoms(use_true_random=False))
def test_any_causal_order_gives_the_same(script: list[Step], chance: random.Random) -> None:
    """Three replicas that heard everything hold equal states; a fourth in any order, too."""
    replicas = [Replica(bytes([65 + at]) * 44) for at in range(3)]
    log: list[Sent] = []
    _play(replicas, log, script)
    replicas.append(Replica(b"Z" * 44))
    _deliver(replicas, log, chance)
    first = replicas[0]
    for other in replicas[1:]:
        assert other.state == first.state
        assert visible_fields(other.state) == visible_fields(first.state)


@given(steps, st.randoms(use_true_random=False))
def test_any_causal_order_gives_the_same_journal(script: list[Step], chance: random.Random) -> None:
    """For a record that was made once, the same writes are in everybody's journal."""
    replicas = [Replica(bytes([65 + at]) * 44) for at in range(3)]
    log: list[Sent] = []
    _play(replicas, log, [(0, "create", "name", 0, 1)])
    for replica in replicas:
        replica.take(log[0])
    _play(replicas, log, [step for step in script if step[1] not in ("create", "restore")])
    replicas.append(Replica(b"Z" * 44))
    _deliver(replicas, log, chance)
    for other in replicas[1:]:
        assert other.lost == replicas[0].lost


def _write(field_name: str, value: object, over: tuple[WriteRef, ...] = ()) -> FieldWrite:
    return FieldWrite(field_name, None, value, over)


def _change(form: Form, *writes: FieldWrite, dots: tuple[Dot, ...] = ()) -> SharedChange:
    return SharedChange(form, "tag", RecordId(RECORD), dots, writes)


BORN = Dot(b"a", 1)
START = merge(
    RecordState(), _change(Form.CREATE, _write("name", "x")), BORN, Stamp(1, 0, 0), 0
).state
BORN_REF = WriteRef(Stamp(1, 0, 0), b"a", 1, 0)


def test_edits_of_different_fields_both_stay() -> None:
    """Two updates that had not seen each other keep both fields, and nothing is lost."""
    one = _change(Form.UPDATE, _write("color", "red"), dots=(BORN,))
    two = _change(Form.UPDATE, _write("icon", "palm"), dots=(BORN,))
    merged = merge(START, one, Dot(b"a", 2), Stamp(2, 0, 0), 0)
    merged = merge(merged.state, two, Dot(b"b", 1), Stamp(2, 0, 0), 0)
    assert visible_fields(merged.state) == {"name": "x", "color": "red", "icon": "palm"}
    assert merged.losses == ()


def test_of_two_unseen_writes_the_earlier_is_lost_in_either_order() -> None:
    """The later stamp is shown, the earlier write is named as lost, whichever came first."""
    one = (_change(Form.UPDATE, _write("name", "p", (BORN_REF,)), dots=(BORN,)), Dot(b"a", 2))
    two = (_change(Form.UPDATE, _write("name", "q", (BORN_REF,)), dots=(BORN,)), Dot(b"b", 1))
    for order in ((one, two), (two, one)):
        state, losses = START, []
        for change, dot in order:
            merged = merge(state, change, dot, Stamp(2 if dot.feed == b"a" else 3, 0, 0), 0)
            state = merged.state
            losses += merged.losses
        assert visible_fields(state) == {"name": "q"}
        assert [(loss.write.value, loss.cause) for loss in losses] == [("p", Cause.OVERWRITTEN)]


def test_a_delete_wins_over_an_edit_it_had_not_seen_in_either_order() -> None:
    """Delete against edit ends deleted, and the edit is named as lost, whichever came first."""
    edit = _change(Form.UPDATE, _write("name", "y", (BORN_REF,)), dots=(BORN,))
    delete = SharedChange(Form.DELETE, "tag", RecordId(RECORD), (BORN,), (), (BORN_REF,))
    first = merge(START, edit, Dot(b"a", 2), Stamp(9, 0, 0), 0)
    first = merge(first.state, delete, Dot(b"b", 1), Stamp(2, 0, 0), 0)
    second = merge(START, delete, Dot(b"b", 1), Stamp(2, 0, 0), 0)
    assert second.losses == ()
    second = merge(second.state, edit, Dot(b"a", 2), Stamp(9, 0, 0), 0)
    for merged in (first, second):
        assert not merged.state.alive
        assert [(loss.write.value, loss.cause) for loss in merged.losses] == [("y", Cause.DELETED)]


def test_a_record_created_again_starts_empty() -> None:
    """After a delete, a create under the same id shows its own fields alone."""
    gone = merge(
        START,
        SharedChange(Form.DELETE, "tag", RecordId(RECORD), (BORN,), (), (BORN_REF,)),
        Dot(b"a", 2),
        Stamp(2, 0, 0),
        0,
    ).state
    again = merge(
        gone, _change(Form.CREATE, _write("icon", "sun")), Dot(b"b", 1), Stamp(3, 0, 0), 0
    )
    assert visible_fields(again.state) == {"icon": "sun"}


def test_a_delete_of_one_of_two_dots_leaves_the_other() -> None:
    """Of a record made on two devices, a delete that saw one dot leaves what hangs on the other."""
    both = merge(
        START, _change(Form.CREATE, _write("icon", "sun")), Dot(b"b", 1), Stamp(3, 0, 0), 0
    ).state
    named = _change(Form.UPDATE, _write("color", "red"), dots=(BORN, Dot(b"b", 1)))
    both = merge(both, named, Dot(b"b", 2), Stamp(4, 0, 0), 0).state
    delete = SharedChange(Form.DELETE, "tag", RecordId(RECORD), (BORN,), (), (BORN_REF,))
    left = merge(both, delete, Dot(b"c", 1), Stamp(5, 0, 0), 0).state
    assert visible_fields(left) == {"color": "red", "icon": "sun"}


def test_subkeys_are_registers_of_their_own() -> None:
    """Map entries merge one by one, and an entry set to None is not shown."""
    change = _change(
        Form.UPDATE, FieldWrite("map", "a", 1), FieldWrite("map", "b", None), dots=(BORN,)
    )
    state = merge(START, change, Dot(b"a", 2), Stamp(2, 0, 0), 0).state
    assert visible_fields(state) == {"map": {"a": 1}, "name": "x"}
    assert flat_fields(visible_fields(state)) == {("map", "a"): 1, ("name", None): "x"}


def test_a_field_written_whole_and_by_key_shows_the_keys() -> None:
    """Where somebody wrote a field whole and others its entries, the entries are shown."""
    change = _change(Form.UPDATE, FieldWrite("name", "a", 1), dots=(BORN,))
    state = merge(START, change, Dot(b"a", 2), Stamp(2, 0, 0), 0).state
    assert visible_fields(state) == {"name": {"a": 1}}


def test_of_two_living_writes_the_greater_is_shown_in_either_order() -> None:
    """The winner of a register does not depend on which write was kept first."""
    dot = Dot(b"f", 1)
    writes = [
        Write("name", None, value, WriteRef(Stamp(ms, 0, 0), b"f", ms, 0), frozenset([dot]))
        for ms, value in ((1, "old"), (2, "new"))
    ]
    for order in (writes, writes[::-1]):
        state = RecordState(frozenset([dot]), tuple(order))
        assert state.winners()["name", None].value == "new"
