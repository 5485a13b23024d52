"""Devices of one library, as the store's own tests have them."""

from tests.store.conftest import replicas

__all__ = ["replicas"]
