"""The tree of errors."""

from __future__ import annotations

from registry.errors import (
    ApplyError,
    InvalidChangeError,
    InvalidStampError,
    ModelError,
    NotOwnerError,
    RegistryError,
)


def test_every_error_has_the_one_root() -> None:
    """Whoever catches RegistryError misses none."""
    for kind in (InvalidChangeError, InvalidStampError, NotOwnerError, ModelError, ApplyError):
        assert issubclass(kind, RegistryError)


def test_an_apply_error_names_its_model() -> None:
    """The model that failed is in the text and in a field."""
    error = ApplyError("tag", ValueError("why"))
    assert (error.model, str(error)) == ("tag", "applying tag failed: why")
