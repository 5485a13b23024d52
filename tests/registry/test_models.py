"""The declaration of models."""

from __future__ import annotations

from typing import Any

import pytest

from registry.changes import StateChange
from registry.errors import ModelError
from registry.models import Field, FieldKind, Link, Model, Ownership, Registry, WhenGone, needed
from registry.rows import Epochs, StateEffect, StateQuery


def _apply(_: Any, __: Epochs, ___: StateChange) -> StateEffect:
    return StateEffect()


def _query(*_: Any) -> StateQuery:
    return StateQuery((), ())


def _nothing(*_: Any) -> None:
    return None


def owned(name: str, *fields: Field, depends_on: tuple[str, ...] = ()) -> Model:
    """Return an owned model that does nothing."""
    return Model(
        name,
        1,
        Ownership.DEVICE,
        fields,
        depends_on=depends_on,
        apply_state_change=_apply,
        query_state=_query,
        query_rows=_query,
        sweep_state=_nothing,
    )


def shared(name: str, *fields: Field) -> Model:
    """Return a shared model that does nothing."""
    return Model(name, 2, Ownership.SHARED, fields, apply_shared_change=_nothing)


def _about(model: str, when_gone: WhenGone) -> Model:
    """Return a shared model of records that refer to one of another model."""
    field = Field("x", (bytes,), reference=model, when_gone=when_gone)
    functions: dict[str, Any] = {"apply_shared_change": _nothing}
    return Model("about", 1, Ownership.SHARED, (field,), depends_on=(model,), **functions)


def test_a_registry_lists_its_models_parents_first() -> None:
    """Models come in the order of the tuple, by ownership, with their versions."""
    registry = Registry((owned("a"), owned("b", depends_on=("a",)), shared("t")))
    assert [model.sync_name for model in registry] == ["a", "b", "t"]
    assert [model.sync_name for model in registry.owned()] == ["a", "b"]
    assert [model.sync_name for model in registry.shared()] == ["t"]
    assert registry.versions() == {"a": 1, "b": 1, "t": 2}
    assert registry.get("nobody") is None


@pytest.mark.parametrize(
    "models",
    [
        (shared("t"), shared("t")),
        (owned("b", depends_on=("a",)),),
        (owned("b", Field("x", reference="a")),),
        (owned("a"), _about("a", WhenGone.SET_NULL)),
    ],
)
def test_a_registry_that_cannot_work_is_refused(models: tuple[Model, ...]) -> None:
    """Two of one name, a child before its parent, a reference to nowhere or across ownerships."""
    with pytest.raises(ModelError):
        Registry(models)


def test_a_model_has_the_functions_of_its_ownership() -> None:
    """An owned model without state functions, and a shared one with them, are refused."""
    with pytest.raises(ModelError):
        Model("x", 1, Ownership.DEVICE, ())
    with pytest.raises(ModelError):
        Model("x", 1, Ownership.SHARED, (), apply_state_change=_apply)


def test_a_field_is_named_once() -> None:
    """A name that is both synced and local-only is refused."""
    with pytest.raises(ModelError):
        Model(
            "x",
            1,
            Ownership.SHARED,
            (Field("a"),),
            local_only=("a",),
            apply_shared_change=_nothing,
        )


def test_a_field_accepts_its_types_alone() -> None:
    """Types, null and the difference of true and 1 are kept apart."""
    assert Field("x").accepts("text")
    assert not Field("x").accepts(1)
    assert Field("x").accepts(None)
    assert not Field("x", nullable=False).accepts(None)
    assert Field("x", kind=FieldKind.SET, nullable=False).accepts(None)
    assert not Field("x", (int,)).accepts(value=True)
    assert Field("x", (bool,)).accepts(value=True)


def test_a_model_knows_its_fields_by_name() -> None:
    """A field of another version is None."""
    model = shared("t", Field("a"))
    assert model.field("a") == Field("a")
    assert model.field("b") is None


def test_a_missing_function_is_our_own_bug() -> None:
    """What ownership promises is there, or the error says so."""
    assert needed(_apply) is _apply
    with pytest.raises(ModelError):
        needed(None)


def test_what_is_no_number_is_not_accepted() -> None:
    """Neither "not a number" nor infinity stands in a field: JSON has no word for them."""
    field = Field("size", (int, float))
    assert [field.accepts(value) for value in (float("nan"), float("inf"), 1.5)] == [
        False,
        False,
        True,
    ]


def test_a_number_that_no_column_holds_is_not_accepted() -> None:
    """A field takes signed 64-bit numbers, and none beyond."""
    field = Field("size", (int,))
    assert [field.accepts(value) for value in (1 << 63, -(1 << 63), (1 << 63) - 1)] == [
        False,
        True,
        True,
    ]


def test_a_link_joins_fields_of_its_model() -> None:
    """Whoever names another one is told."""
    fields = (Field("item"), Field("group"))
    link = Link("item", "group")
    Model("x", 1, Ownership.SHARED, fields, link=link, apply_shared_change=_nothing)
    with pytest.raises(ModelError, match="joins two"):
        Model("x", 1, Ownership.SHARED, fields[:1], link=link, apply_shared_change=_nothing)


@pytest.mark.parametrize("reference", [None, "t"])
def test_a_record_is_hidden_with_one_of_another_model_alone(reference: str | None) -> None:
    """With nothing, or with one of its own model, it could hide itself."""
    with pytest.raises(ModelError, match="cascades"):
        shared("t", Field("x", (bytes,), reference=reference, when_gone=WhenGone.CASCADE))


@pytest.mark.parametrize(
    ("when_gone", "decides"),
    [(WhenGone.CASCADE, True), (WhenGone.SET_NULL, True), (WhenGone.KEEP, False)],
)
def test_what_a_model_refers_to_decides_what_is_shown(when_gone: WhenGone, decides: bool) -> None:
    """Unless nothing changes when it is gone."""
    model = _about("t", when_gone)
    assert bool(model.references()) is decides
    assert Registry((shared("t"), model)).referred() == ({"t"} if decides else set())


@pytest.mark.parametrize(("value", "fits"), [(0, True), (5, True), (-1, False), (5.5, False)])
def test_a_number_lies_within_the_bounds_of_its_field(value: float, fits: bool) -> None:
    """Both bounds are within."""
    assert Field("x", (int, float), least=0, most=5).accepts(value) is fits


@pytest.mark.parametrize(
    "field",
    [
        Field("x"),
        Field("x", nullable=False),
        Field("x", (bytes, str)),
        Field("x", (int,)),
        Field("x", (int,), nullable=False),
        Field("x", (bool,)),
        Field("x", (int, float), least=-1, most=5),
        Field("x", (int, str)),
        Field("x", (int, bool), most=5),
    ],
)
@pytest.mark.parametrize(
    "values",
    [
        (),
        ("a", "b"),
        ("a", None),
        ("a", b"b"),
        ("a", 1),
        (1, 2, None),
        (1, True),
        (True, False),
        (3, 7),
        (-2, 3),
        (1 << 63, 1),
        (1.5, 2),
        (float("nan"), 1),
        (None, None),
        (1 << 63, "a"),
        (6, True),
    ],
)
def test_a_column_is_accepted_if_each_of_its_values_is(
    field: Field, values: tuple[Any, ...]
) -> None:
    """Whatever is looked at all at once."""
    assert field.accepts_all(values) is all(map(field.accepts, values))


def test_an_identity_is_made_of_fields_of_its_model() -> None:
    """What tells two rows apart is something that they say."""
    functions: dict[str, Any] = {
        "apply_state_change": _apply,
        "query_state": _query,
        "query_rows": _query,
        "sweep_state": _nothing,
    }
    made = Model("x", 1, Ownership.DEVICE, (Field("a"),), identity=("a",), **functions)
    assert made.identity == ("a",)
    with pytest.raises(ModelError):
        Model("x", 1, Ownership.DEVICE, (Field("a"),), identity=("b",), **functions)


def test_rows_of_a_model_may_hang_below_one_another() -> None:
    """By the field that refers to the model itself."""
    below = Field("parent", (bytes,), reference="x")
    assert owned("x", Field("a"), below).above() is below
    assert owned("x", Field("a")).above() is None
