"""The device model's declaration."""

from __future__ import annotations

from entities.device import DEVICE, MODEL
from registry.models import Ownership


def test_the_device_is_owned_and_its_fields_are_columns() -> None:
    """Every synced field has a column, and the owner's word is final."""
    assert MODEL.ownership is Ownership.DEVICE
    assert {item.name for item in MODEL.fields} <= {column.name for column in DEVICE.columns}
