"""Three devices that do anything, hear of some of it, and agree once they have heard all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from leaderless.protocol.packing import unpack
from leaderless.protocol.transfer import cursor
from leaderless.store.command import LockedRecordError
from leaderless.store.rebuild import rebuild
from leaderless.store.record_source import read_records
from leaderless.store.staging import stage
from registry.changes import (
    UNSET,
    Create,
    Delete,
    Dismiss,
    Dot,
    Edit,
    FieldKey,
    Lock,
    Lose,
    Restore,
    Unlock,
    Update,
)
from registry.state import set_registers
from tests.merge import world
from tests.merge.devices import (
    Library,
    agreed,
    edit,
    feeds,
    hand,
    journal,
    key_in,
    meet,
    open_library,
    receive_all,
    state_of,
    take_state,
    told,
)
from tests.merge.oracle import Key, replay
from tests.replicas import Replica, query_file
from tests.store.passing import within

EXAMPLES = int(os.environ.get("LEADERLESS_MERGE_EXAMPLES", "200"))
STEPS = 12

RECORDS = world.records()
# What is written, by model; few values and few fields, so that devices get into each other's way.
WRITES: dict[str, list[world.Fields]] = {
    "tag": [
        {"color": "red"},
        {"color": "blue"},
        {"icon": "sun", "color": None},
        {"color": UNSET, ("aliases", "sea"): UNSET},
        {("aliases", "sea"): True},
        {("aliases", "sea"): None, ("attributes", "k"): 1},
        *({"merged_into": tag} for tag in world.TAGS),
        {"merged_into": None},
    ],
    "tag_relation": [{"relation": "parent_child"}, {"relation": "related"}, {"strength": 0.5}],
    "album": [{"name": "one"}, {"name": "two"}, {"description": "text", "cover": world.ITEMS[0]}],
    "album_entry": [{"position": "a"}, {"position": "b"}, {"caption": "x"}],
    "user_metadata": [
        {"note": "one"},
        {"note": "two", "rating": 3},
        {"favorite": True},
        {"favorite": UNSET, ("custom_data", "k"): UNSET},
        {("custom_data", "k"): 1, ("custom_data", "l"): "x"},
        {("custom_data", "k"): None},
    ],
    "user_metadata_tag": [{"variant": "one"}, {"confidence": 0.5}, {("attributes", "k"): True}],
}
WHATS = ("write", "write", "write", "end", "lock", "lose", "dismiss", "settle", "hear", "hear")
MANY = 1 << 30

Act = tuple[int, str, int, int]

keys = st.sampled_from(sorted(RECORDS))
devices = st.integers(0, 2)
numbers = st.integers(0, 8)
acts = st.tuples(devices, st.sampled_from(WHATS), numbers, numbers)


class Merging(RuleBasedStateMachine):
    """Devices of one library; `library` is set by the test."""

    library: Library

    @initialize(about=st.lists(keys, min_size=1, max_size=3, unique=True))
    def begin(self, about: list[Key]) -> None:
        """All start with nothing, and care about a few records and what those hang on."""
        self.devices = self.library.forget()
        self.keys = sorted({*about, *(end for key in about for end in world.ends(key))})

    @rule(script=st.lists(acts, min_size=5, max_size=15), heals=st.booleans())
    def live(self, script: list[Act], heals: bool) -> None:
        """Devices do one thing each, or hear of a few commits; sometimes all meet afterwards."""
        for who, what, which, number in script:
            device = self.devices[who]
            if what == "hear":
                self._hear(self.devices[(who + 1 + which % 2) % 3], device, number)
            else:
                self._commit(device, [(what, self._key(which), number)])
        if heals:
            self.heal()

    @rule(who=devices, script=st.lists(acts, min_size=2, max_size=4))
    def do_at_once(self, who: int, script: list[Act]) -> None:
        """A device does several things in one commit."""
        whats = [(what, self._key(which), number) for _, what, which, number in script]
        self._commit(self.devices[who], whats)

    @rule(who=devices, ms=st.sampled_from([-2_000, -3, 5, 5_000]))
    def turn_clock(self, who: int, ms: int) -> None:
        """Somebody's clock jumps."""
        self.devices[who].clock.ms += ms

    @rule(giver=devices, taker=devices)
    def hear_all(self, giver: int, taker: int) -> None:
        """A device gets all that another has, again what it has already."""
        for feed in feeds(self.devices[giver]) if giver != taker else ():
            hand(self.devices[giver], self.devices[taker], feed)

    @rule(giver=devices, taker=devices, script=st.lists(acts, max_size=5))
    def give_state(self, giver: int, taker: int, script: list[Act]) -> None:
        """A device is given the state of all records, while others go on, in place of the log."""
        if giver == taker:
            return
        source, target = self.devices[giver], self.devices[taker]
        after, done = b"", False
        while not done:
            batch = within(source, lambda conn, after=after: read_records(conn, after, 2))
            assert within(target, lambda conn, batch=batch: stage(conn, batch, bytes(16)))
            done = batch.done
            after = after if not batch.records else cursor(key_in(batch.records[-1]))
            for who, what, which, number in script[:2]:
                if who != taker:
                    self._commit(self.devices[who], [(what, self._key(which), number)])
            script = script[2:]
        receive_all(source, target)
        take_state(target)

    @rule()
    def heal(self) -> None:
        """Everybody hears everything: all are equal, and what the oracle says."""
        meet(*self.devices)
        first, *others = [agreed(device) for device in self.devices]
        for other in others:
            assert other == first
        outcomes = replay(told(self.devices[0]))
        assert first.journal == {loss for item in outcomes.values() for loss in item.losses}
        assert first.tables == world.tables(outcomes)
        recalled = {key: _recalled(self.devices[0], key) for key in outcomes}
        assert recalled == {key: outcome.recalled for key, outcome in outcomes.items()}

    def teardown(self) -> None:
        """Every example ends healed, and running the log again changes nothing."""
        if not hasattr(self, "devices"):
            return
        self.heal()
        device = self.devices[1]
        run = within(device, lambda conn: rebuild(conn, device.store.registry, 0))
        assert run.differences == ()
        assert query_file(device.store.path, "PRAGMA foreign_key_check") == []

    def _key(self, which: int) -> Key:
        return self.keys[which % len(self.keys)]

    def _hear(self, giver: Replica, taker: Replica, number: int) -> None:
        """Hand on some commits of one feed, anybody's; one of them again."""
        known = sorted(feeds(giver))
        if known:
            feed = known[number % len(known)]
            held = feeds(taker).get(feed, 0)
            hand(giver, taker, feed, max(0, held - 1), MANY if number % 2 else 3)

    def _commit(self, device: Replica, whats: list[tuple[str, Key, int]]) -> None:
        """Do what can be meant; of several edits of one record the first."""
        edits: dict[Key, Edit] = {}
        for what, key, number in whats:
            made = _edit(device, what, key, number)
            if made is not None:
                edits.setdefault((made.model, made.record), made)
        if not edits:
            return
        try:
            edit(device, *edits.values())
        except LockedRecordError:
            return
        for made in edits.values():
            if isinstance(made, Update):
                _assert_shown(device, made)


def _edit(device: Replica, what: str, key: Key, number: int) -> Edit | None:
    """Return what a device is to do to a record, None where there is nothing to do."""
    if what in ("dismiss", "settle"):
        return _settling(device, what, number)
    state = state_of(device, *key)
    if not state.alive:
        choices = WRITES[key[0]]
        fields = {**RECORDS[key], **choices[number % len(choices)]}
        return Restore(*key) if what == "end" else Create(*key, fields)
    match what:
        case "end":
            return Delete(*key)
        case "lock":
            return Lock(*key) if state.locked_by is None else Unlock(*key)
    choices = WRITES[key[0]]
    fields = choices[number % len(choices)]
    if what == "lose":
        dots = _dots_of_others(device, key)
        return Lose(*key, fields, tuple(dots)) if dots else None
    return Update(*key, fields)


def _dots_of_others(device: Replica, key: Key) -> set[Dot]:
    """Return the dots of all records but one, without those that are of that one, too."""
    query = "SELECT model, uuid FROM record"
    known = within(device, lambda conn: conn.exec_driver_sql(query).all())
    dots = {dot for at in known for dot in state_of(device, *at).dots}
    state = state_of(device, *key)
    return dots - state.dots - state.remembered.dots


def _settling(device: Replica, what: str, number: int) -> Edit | None:
    """Return an edit that dismisses something of the journal, or writes what had lost."""
    lost = sorted(journal(device))
    if not lost:
        return None
    loss = lost[number % len(lost)]
    alive = state_of(device, loss.model, loss.record).alive
    if what == "dismiss" or not alive or not loss.field or loss.field.startswith("@"):
        if not loss.field:
            return Dismiss(loss.model, loss.record, deletes=(loss.loser,))
        register = loss.field, loss.subkey
        return Dismiss(loss.model, loss.record, losers=((register, loss.loser),))
    key = loss.field if loss.subkey is None else (loss.field, loss.subkey)
    value = unpack(loss.value, unset=True)
    return Update(loss.model, loss.record, {key: value}, (loss.loser,))


def _recalled(device: Replica, key: Key) -> dict[FieldKey, Any]:
    """Return what a restore of a record would bring back, by register."""
    found = set_registers(state_of(device, *key).remembered)
    return {(at, None) if isinstance(at, str) else at: value for at, value in found.items()}


def _assert_shown(device: Replica, made: Update) -> None:
    """Whoever writes a value sees it, whatever clocks and locks there were."""
    shown = state_of(device, made.model, made.record).shown()
    for key, value in made.fields.items():
        register = (key, None) if isinstance(key, str) else key
        assert shown[register].value == value


def test_devices_that_heard_everything_agree_with_the_oracle(tmp_path: Path) -> None:
    """Whatever three devices do and hear in between, they end equal, and as a naive replay says."""
    with open_library(tmp_path, 3) as library:

        class Here(Merging):
            pass

        Here.library = library
        run_state_machine_as_test(
            Here,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
