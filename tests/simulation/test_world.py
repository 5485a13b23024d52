"""What ends a run, or has to."""

from __future__ import annotations

from pathlib import Path
from typing import Never

import pytest

from leaderless.store.bare import Kept
from leaderless.store.engine import reader_engine
from leaderless.sync.apply import Applier
from scripts.simulation import models
from scripts.simulation.plan import plan_of
from scripts.simulation.promises import Promises, rows_of
from scripts.simulation.world import simulate
from tests.replicas import make_replicas


def _fail(*_: object) -> Never:
    raise ZeroDivisionError("nobody foresaw it")


@pytest.mark.parametrize("part", [(Promises, "wrote"), (Applier, "_state")])
def test_an_error_that_nobody_foresaw_is_a_violation(
    part: tuple[type, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Be it an oracle's own, or one of the product that ends a link: a link is called anew."""
    monkeypatch.setattr(*part, _fail)
    violation = simulate(plan_of(3, 40, 3, 3)).violation
    assert violation is not None
    assert "nobody foresaw it" in violation
    capfd.readouterr()


def test_a_file_of_before_has_no_table_of_a_new_model(tmp_path: Path) -> None:
    """Its device has not started since it was put back: its other rows are asked for all the same."""
    (replica,) = make_replicas(tmp_path, 1)
    reader = Kept(reader_engine(replica.store.path))
    with reader.begin() as connection:
        held = rows_of(connection, models.todays(), replica.store.own_epoch)
    assert list(held) == [replica.identity.device]
    reader.dispose()
    replica.store.close()
