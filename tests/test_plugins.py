"""Models that packages bring: found, tried, and left out where something is wrong with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from entities import MODELS
from entities.custom import owned_model, shared_model
from entities.entry import MODEL as ENTRY
from leaderless.plugins import GROUP, Loaded, check_model, load_models
from leaderless.store.adoption import TABLES
from registry.errors import ModelError
from registry.models import Field, Model, Registry
from tests import bookmark

HEAD = "from entities.custom import shared_model\nfrom registry.models import *\n"
NOTE = 'NOTE = shared_model("{0}", 1, (Field("text"),))\n'


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder whose modules can be imported; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(tmp_path / f"{name}.py"):
            del sys.modules[name]


def _load(folder: Path, **texts: str) -> Loaded:
    """Load modules as packages of their name, each with its `NOTE`."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(HEAD + text)
    found = [EntryPoint("note", f"{name}:NOTE", GROUP) for name in texts]
    return load_models(MODELS, TABLES, found)


def test_without_packages_there_are_the_built_in_models() -> None:
    """An environment without any package of that kind changes nothing."""
    assert load_models(MODELS, TABLES, []) == (MODELS, {}, ())


def test_models_of_packages_stand_behind_the_built_in_ones(modules: Path) -> None:
    """An entry point is a model or a tuple of them; of each it is known who brought it."""
    both = NOTE.format("two") + 'NOTE = (NOTE, shared_model("three", 1, ()))'
    loaded = _load(modules, one=NOTE.format("one"), more=both)
    names = [model.sync_name for model in loaded.models[len(MODELS) :]]
    assert names == ["two", "three", "one"]
    assert loaded.packages == {"one": "one", "two": "more", "three": "more"}
    assert loaded.left_out == ()


def test_a_package_may_refer_to_another_whatever_their_order(modules: Path) -> None:
    """Parents come first in the registry, also where their package's name does not."""
    child = 'NOTE = shared_model("child", 1, (Field("of", (bytes,), reference="parent"),))'
    loaded = _load(modules, a_child=child, z_parent=NOTE.format("parent"))
    assert [model.sync_name for model in loaded.models[len(MODELS) :]] == ["parent", "child"]
    Registry(loaded.models)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_module_anywhere", "no_such_module_anywhere"),
        ("raise SystemExit('not today')", "not today"),
        ("NOTE = 3", "neither a Model nor a tuple"),
        ("", "NOTE"),
        (NOTE.format("tag"), "two models are called tag"),
        (NOTE.format("commit_log"), "a table that leaderless has itself"),
        (NOTE.format("Note"), "is no name"),
        (NOTE.format("order"), "order"),
        ('NOTE = shared_model("note", 0, ())', "a number from 1"),
        ('NOTE = shared_model("note", 1, (Field("uuid"),))', "a column of that name"),
        ('NOTE = shared_model("note", 1, (Field("a"), Field("a")))', "named twice"),
        ('NOTE = shared_model("note", 1, (Field("of", reference="nobody"),))', "nobody"),
        ('NOTE = shared_model("note", 1, (Field("of", reference="entry"),))', "across ownerships"),
        ('NOTE = shared_model("note", 1, (Field("a", (bytes,), FieldKind.MAP),))', "no bytes"),
    ],
)
def test_a_package_that_is_wrong_is_left_out_alone(modules: Path, text: str, why: str) -> None:
    """It is named with the reason; what other packages bring is used."""
    loaded = _load(modules, bad=text, good=NOTE.format("good"))
    assert loaded.packages == {"good": "good"}
    ((package, reason),) = loaded.left_out
    assert package == "bad"
    assert why in reason


def test_one_wrong_model_takes_its_package_along(modules: Path) -> None:
    """Half a package is not what its author tried."""
    text = NOTE.format("fine") + 'NOTE = (NOTE, shared_model("tag", 1, ()))'
    loaded = _load(modules, half=text)
    assert loaded.models == MODELS
    assert [item.package for item in loaded.left_out] == ["half"]


def test_the_second_of_two_packages_with_one_name_is_left_out(modules: Path) -> None:
    """By the names of the packages, so that it is the same one at every start."""
    loaded = _load(modules, b=NOTE.format("note"), a=NOTE.format("note"))
    assert loaded.packages == {"note": "a"}
    assert [item.package for item in loaded.left_out] == ["b"]


def test_what_failed_in_the_library_is_left_out_by_its_package(modules: Path) -> None:
    """A model that the store could not use is said of the package that brought it."""
    loaded = _load(modules, one=NOTE.format("note"))
    assert loaded.without({"note": "broken"}) == (("one", "broken"),)


def _check(model: Model) -> None:
    check_model(model, MODELS, MODELS, TABLES)


FINE = shared_model("note", 1, (Field("text"),))
JOB = owned_model("job", 1, (Field("state"), Field("parent", (bytes,), reference="job")))
TABLE = "CREATE TABLE IF NOT EXISTS note (uuid BLOB PRIMARY KEY, {}) STRICT"
ALL = (Field("text"), Field("count", (int, float), least=0.5), Field("done", (bool,)))


@pytest.mark.parametrize("model", [FINE, JOB, shared_model("note", 1, ALL), *bookmark.models()])
def test_a_sound_model_passes(model: Model) -> None:
    """Shared or owned, with whatever its fields hold; those of docs/models.md, too."""
    check_model(model, (*MODELS, *bookmark.models()), MODELS, TABLES)


def _forgetful(connection: object, rows: object) -> None:
    """Show nothing."""


def _failing(connection: object, rows: object) -> None:
    raise RuntimeError("no")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (replace(FINE, schema=()), "no schema"),
        (replace(FINE, schema=("CREATE TABLE nonsense",)), "was tried, and failed"),
        (
            replace(FINE, schema=(TABLE.format("text TEXT, extra BLOB").replace(" STRICT", ""),)),
            "STRICT",
        ),
        (
            replace(FINE, schema=(TABLE.format("text TEXT").replace("IF NOT EXISTS ", ""),)),
            "exists",
        ),
        (replace(FINE, schema=(TABLE.format("text TEXT"),)), "extra"),
        (replace(FINE, schema=(TABLE.format("text INTEGER, extra BLOB"),)), "failed"),
        (replace(FINE, schema=(TABLE.format("text TEXT NOT NULL, extra BLOB"),)), "NOT NULL"),
        (replace(FINE, schema=("CREATE TABLE IF NOT EXISTS other (a) STRICT",)), "failed"),
        (
            replace(FINE, schema=("CREATE TABLE IF NOT EXISTS other (a TEXT) STRICT",)),
            "makes a table other",
        ),
        (
            replace(FINE, schema=(*FINE.schema, "CREATE INDEX IF NOT EXISTS tag_x ON note (text)")),
            "tag_x",
        ),
        (
            replace(FINE, schema=(*FINE.schema, "CREATE VIEW IF NOT EXISTS note_v AS SELECT 1")),
            "makes a view",
        ),
        (replace(FINE, apply_shared_change=_forgetful), "is not shown"),
        (replace(FINE, apply_shared_change=_failing), "was tried, and failed: no"),
        (replace(JOB, query_state=ENTRY.query_state), "was tried, and failed"),
        (replace(ENTRY, sync_name="job", schema=JOB.schema), "built-in owned model"),
        (
            replace(
                ENTRY,
                sync_name="job",
                schema=JOB.schema,
                fields=(Field("name"),),
                identity=(),
                body=(),
            ),
            "failed",
        ),
        (replace(JOB, sync_name="entry_job", schema=JOB.schema), "makes a table job"),
    ],
)
def test_a_model_that_does_not_do_what_it_says_is_found_out(model: Model, why: str) -> None:
    """It is tried on a database in memory; the library has no part in it."""
    with pytest.raises(ModelError, match=why):
        check_model(model, MODELS, MODELS, TABLES)
