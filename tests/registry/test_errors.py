"""The tree of errors."""

from __future__ import annotations

from registry.errors import (
    ApplyError,
    InvalidChangeError,
    InvalidStampError,
    LockedError,
    ModelError,
    NotOwnerError,
    RegistryError,
)


def test_every_error_has_the_one_root() -> None:
    """Whoever catches RegistryError misses none."""
    kinds = (InvalidChangeError, InvalidStampError, LockedError, NotOwnerError, ModelError)
    assert all(issubclass(kind, RegistryError) for kind in (*kinds, ApplyError))


def test_an_apply_error_names_its_model() -> None:
    """The model that failed is in the text and in a field."""
    error = ApplyError("tag", ValueError("why"))
    assert (error.model, str(error)) == ("tag", "applying tag failed: why")


def test_a_lock_names_the_record_and_who_holds_it() -> None:
    """In the text and in fields."""
    error = LockedError("tag", b"r" * 16, b"d" * 16)
    assert (error.model, error.record, error.by) == ("tag", b"r" * 16, b"d" * 16)
    assert str(error) == f"tag {'72' * 16} is locked by device {'64' * 16}"
