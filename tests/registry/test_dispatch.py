"""Dispatch: the right function, the right owner, the right order, and a name for every failure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from registry.changes import DeviceId, Incarnation, RecordId, SharedRow, StateChange, WriteRef
from registry.dispatch import dispatch_shared, dispatch_state
from registry.errors import ApplyError, InvalidChangeError, NotOwnerError
from registry.hlc import Stamp
from registry.models import Field, FieldKind, Registry
from registry.rows import Epochs, StateEffect
from tests.registry.test_models import owned, shared

OWNER = DeviceId(b"o" * 16)
EPOCHS = Epochs(1, frozenset([1]))


def _change(model: str, **more: Any) -> StateChange:
    return StateChange(model, OWNER, Incarnation(1, bytes(8)), ("name",), **more)


class Seen:
    """Two owned models and a shared one that write down how they are called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []
        self.swept: list[str] = []
        self.shown: list[Any] = []
        models = [self._watched("parent", ()), self._watched("child", ("parent",))]
        tag = shared("tag", Field("name"), Field("set", (bool,), FieldKind.SET))
        tag = replace(tag, apply_shared_change=self._show)
        self.registry = Registry((*models, tag))

    def _watched(self, name: str, depends_on: tuple[str, ...]) -> Any:
        def apply(_: Any, __: Epochs, change: StateChange) -> StateEffect:
            self.calls.append((name, len(change.rows), len(change.removed)))
            return StateEffect()

        model = owned(name, Field("name"), depends_on=depends_on)
        return replace(
            model, apply_state_change=apply, sweep_state=lambda _: self.swept.append(name)
        )

    def _show(self, _: Any, rows: Any) -> None:
        self.shown.extend(rows)


def test_rows_go_parents_first_and_tombstones_children_first() -> None:
    """Whatever order a batch has, parents come before children and go after them."""
    seen = Seen()
    row, gone = (b"u" * 16, 1, "x"), (b"v" * 16, 2)
    changes = [
        _change("child", rows=[row], removed=[gone]),
        _change("parent", rows=[row], removed=[gone]),
    ]
    dispatch_state(seen.registry, None, EPOCHS, changes, OWNER)
    assert seen.calls == [("parent", 1, 0), ("child", 1, 0), ("child", 0, 1), ("parent", 0, 1)]
    assert seen.swept == ["child", "parent"]


def test_somebody_elses_rows_are_refused() -> None:
    """A change that names another owner than the one who spoke is refused by name."""
    with pytest.raises(NotOwnerError, match="parent"):
        dispatch_state(Seen().registry, None, EPOCHS, [_change("parent")], b"x" * 16)


def test_unknown_models_are_handed_back() -> None:
    """Rows of a model that nobody here knows are returned, not dropped."""
    unknown = _change("bookmark", rows=[(b"u" * 16, 1, "x")])
    assert dispatch_state(Seen().registry, None, EPOCHS, [unknown], OWNER).unknown == [unknown]


def test_a_shared_model_does_not_travel_as_state() -> None:
    """State for a shared model is refused."""
    with pytest.raises(InvalidChangeError):
        dispatch_state(Seen().registry, None, EPOCHS, [_change("tag")], OWNER)


@pytest.mark.parametrize("row", [(b"u" * 16, 1, 5), (b"u" * 16, 1)])
def test_values_that_cannot_stand_there_are_refused(row: tuple[Any, ...]) -> None:
    """A value of a wrong type and a row of a wrong width are refused before anything is applied."""
    seen = Seen()
    with pytest.raises(InvalidChangeError):
        dispatch_state(seen.registry, None, EPOCHS, [_change("parent", rows=[row])], OWNER)
    assert seen.calls == []


def test_unknown_columns_are_let_through() -> None:
    """A column of a newer version has no rule here."""
    change = replace(_change("parent", rows=[(b"u" * 16, 1, 7)]), columns=("color",))
    dispatch_state(Seen().registry, None, EPOCHS, [change], OWNER)


def test_a_failing_apply_is_named() -> None:
    """What a model's function raises comes out with the model's name and its cause."""

    def fail(*_: Any) -> StateEffect:
        raise ZeroDivisionError

    registry = Registry((replace(owned("parent", Field("name")), apply_state_change=fail),))
    change = _change("parent", rows=[(b"u" * 16, 1, "x")])
    with pytest.raises(ApplyError, match="parent") as caught:
        dispatch_state(registry, None, EPOCHS, [change], OWNER)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_error_of_the_contract_passes_unchanged() -> None:
    """An apply function's own NotOwnerError stays what it is."""

    def fail(*_: Any) -> StateEffect:
        raise NotOwnerError

    registry = Registry((replace(owned("parent", Field("name")), apply_state_change=fail),))
    change = _change("parent", rows=[(b"u" * 16, 1, "x")])
    with pytest.raises(NotOwnerError):
        dispatch_state(registry, None, EPOCHS, [change], OWNER)


def test_merged_records_reach_their_model_without_what_it_cannot_show() -> None:
    """Values of a wrong type stay in the registers; unknown fields and deletes go through."""
    seen = Seen()
    rows = [
        SharedRow(RecordId(b"r" * 16), {"name": 5, "set": {"a": True, "b": "x"}, "new": 1}),
        SharedRow(RecordId(b"s" * 16), None),
        SharedRow(RecordId(b"t" * 16), {"name": "x"}),
    ]
    unknown = dispatch_shared(seen.registry, None, {"tag": rows, "bookmark": rows})
    assert unknown == ("bookmark",)
    assert seen.shown[0].fields == {"set": {"a": True}, "new": 1}
    assert seen.shown[1].fields is None
    assert seen.shown[2].fields == {"name": "x"}


def test_merged_records_come_with_the_order_of_what_is_in_effect() -> None:
    """A model in which records compete can tell which of them was there first."""
    seen = Seen()
    order = WriteRef(Stamp(1, 2, 3), bytes(44), 4, 5)
    rows = [SharedRow(RecordId(b"r" * 16), {"name": "x"}, order)]
    dispatch_shared(seen.registry, None, {"tag": rows})
    assert seen.shown[0].order == order


def test_an_owned_model_named_in_a_commit_is_not_touched() -> None:
    """A commit that names an owned model shows nothing, and fails nothing."""
    seen = Seen()
    rows = [SharedRow(RecordId(b"r" * 16), {"name": "x"})]
    assert dispatch_shared(seen.registry, None, {"parent": rows}) == ("parent",)
    assert seen.calls == []


@pytest.mark.parametrize("fields", [{"name": {"k": "x"}}, {"set": True}, {"name": 1 << 63}])
def test_a_value_of_another_shape_than_its_field_is_not_shown(fields: dict[str, Any]) -> None:
    """Keys under a plain field, a plain value in a set, and a number no column holds stay away."""
    seen = Seen()
    dispatch_shared(seen.registry, None, {"tag": [SharedRow(RecordId(b"r" * 16), fields)]})
    assert seen.shown[0].fields == {}


@pytest.mark.parametrize("error", [ZeroDivisionError, InvalidChangeError])
def test_a_failing_shared_apply_is_named(error: type[Exception]) -> None:
    """What a shared model raises is an ApplyError, unless it is of the contract."""

    def fail(*_: Any) -> None:
        raise error

    registry = Registry((replace(shared("tag"), apply_shared_change=fail),))
    rows = {"tag": [SharedRow(RecordId(b"r" * 16), {})]}
    with pytest.raises(ApplyError if error is ZeroDivisionError else error):
        dispatch_shared(registry, None, rows)
