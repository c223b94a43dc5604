"""What makes dbt's models quick leaves out work and nothing else: names, matches, types and logs are dbt's own."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from dbt.adapters.duckdb.relation import DuckDBRelation
from dbt.adapters.exceptions import ApproximateMatchError
from dbt_common.clients import agate_helper
from dbt_common.events import base_types
from dbt_common.events.event_manager import EventManager
from dbt_common.events.functions import warn_or_error
from dbt_common.events.types import Note
from dbt_common.exceptions import EventCompilationError

from dagster_project.resources import dbt_models
from dagster_project.resources.dbt import DbtProject
from dagster_project.settings import project_root

pytestmark = pytest.mark.dbt

PROJECT = (
    "name: tiny\nversion: '1.0'\nprofile: segment_reconciliation\nmodels: {+schema: reconciliation_work}\n"
)
MODEL = "{{ config(materialized='table') }} select {{ once() }} as one, {{ dbt.concat([\"'a'\", \"'b'\"]) }} as ab"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    """A project of two models and a macro that has run once."""
    folder = tmp_path_factory.mktemp("quick")
    files = {
        "dbt_project.yml": PROJECT,
        "models/first.sql": MODEL,
        "models/second.sql": "{{ config(materialized='view') }} select * from {{ ref('first') }}",
        "macros/once.sql": "{% macro once() %}1{% endmacro %}",
    }
    for name, text in files.items():
        (folder / "dbt" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "dbt" / name).write_text(text)
    for name in ("profiles.yml", "macros/generate_schema_name.sql"):
        shutil.copy(project_root() / "dbt" / name, folder / "dbt" / name)
    environment = {"RECON_TARGET": "duckdb", "RECON_DUCKDB_PATH": str(folder / "warehouse.duckdb")}
    made = DbtProject(folder / "nowhere", folder / "dbt", environment)
    made.run(["first", "second"])
    return made


def pristine(name: str) -> ModuleType:
    """A module of dbt's as it is written, beside the one that is in use."""
    spec = importlib.util.find_spec(name)
    assert spec and spec.origin and spec.loader
    copied = importlib.util.spec_from_file_location(f"{name}_as_written", spec.origin)
    assert copied and copied.loader
    module = importlib.util.module_from_spec(copied)
    module.__package__ = name.rpartition(".")[0]
    copied.loader.exec_module(module)
    return module


@pytest.mark.parametrize("own", ["tiny", "dbt", "dbt_duckdb", "elsewhere"])
@pytest.mark.parametrize("root", ["tiny", "elsewhere"])
def test_every_macro_is_named_as_dbt_names_it(project: DbtProject, own: str, root: str) -> None:
    macros = project.manifest().get_macros_by_package()
    told = (root, own, object(), ["dbt", "dbt_duckdb"], object())
    context: dict[str, Any] = {}
    written = pristine("dbt.context.macros").MacroNamespaceBuilder(*told).build_namespace(macros, context)
    from dbt.context.macros import MacroNamespaceBuilder

    assert MacroNamespaceBuilder.build_namespace is dbt_models._named_at_once
    quick = MacroNamespaceBuilder(*told).build_namespace(macros, context)
    assert len(written) > 500
    places = ("global_namespace", "local_namespace", "global_project_namespace")
    for place in places:
        assert _shown(getattr(quick, place)) == _shown(getattr(written, place)), place
    assert quick.packages.keys() == written.packages.keys()
    for package, named in written.packages.items():
        assert _shown(quick.packages[package]) == _shown(named)


def _shown(named: dict[str, Any]) -> dict[str, Any]:
    """Of each macro its class and all that it holds, by identity."""
    return {
        name: (type(each).__name__, {key: id(value) for key, value in vars(each).items()})
        for name, each in named.items()
    }


def test_a_context_holds_the_macro_that_the_namespace_finds(
    project: DbtProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt.context.manifest import ManifestContext

    contexts: list[Any] = []
    laid_over = ManifestContext.to_dict
    monkeypatch.setattr(
        ManifestContext, "to_dict", lambda context: contexts.append(context) or laid_over(context)
    )
    project.run(["first"])
    assert laid_over is dbt_models._laid_over
    of_models = [each for each in contexts if {"config", "this", "adapter", "var"} <= each._ctx.keys()]
    assert len(of_models) >= 2  # one to compile it, one to make it
    for context in contexts:
        assert all(context._ctx[name] is context.namespace[name] for name in context.namespace)


def test_a_model_writes_no_event_that_nobody_reads(
    project: DbtProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt.deprecations import reset_deprecations

    reset_deprecations()  # another test of this process may have met one, which dbt tells whoever hears it
    written: list[str] = []
    parsed = base_types.ParseDict

    def parse(told: dict[str, Any], message: Any) -> Any:
        written.append(type(message).__name__)
        return parsed(told, message)

    monkeypatch.setattr(base_types, "ParseDict", parse)
    project.run(["first", "second"])
    assert written == []


def test_with_a_log_everything_is_in_it(project: DbtProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "debug")
    project.run(["first", "second"])
    log = (project.rendered / "logs" / "dbt.log").read_text("utf-8")
    for words in ("Began running node model.tiny.first", "1 as one", "reconciliation_work", "COMMIT"):
        assert words in log


def test_an_event_is_heard_by_whoever_asks_and_says_what_it_was_given() -> None:
    dbt_models.quicken_models()
    heard: list[Any] = []
    manager = EventManager()
    manager.fire_event(Note(msg="to nobody"))
    manager.add_callback(heard.append)
    manager.fire_event(Note(msg="to one"))
    assert [(each.info.name, each.data.msg) for each in heard] == [("Note", "to one")]
    note = Note(msg="before")
    note.msg = "after"
    assert (note.msg, note.message(), note.to_dict()) == ("after", "after", {"msg": "after"})
    with pytest.raises(AttributeError):
        _ = note.nothing


def test_a_warning_that_is_an_error_still_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    dbt_models.quicken_models()
    monkeypatch.setattr("dbt_common.events.functions.WARN_ERROR", True)
    with pytest.raises(EventCompilationError, match="look here"):
        warn_or_error(Note(msg="look here"))
    manager = EventManager()
    manager.require_warn_or_error_handling = True
    with pytest.raises(EventCompilationError, match="and here"):
        manager.fire_event(Note(msg="and here"), level=base_types.EventLevel.WARN)


@pytest.fixture
def matched(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[list[str], int]]:
    """Asks for a name among relations: what is found, and with how many it was compared part by part."""
    dbt_models.quicken_models()
    from dbt.adapters.base.impl import BaseAdapter
    from dbt.adapters.base.relation import BaseRelation

    assert BaseAdapter._make_match is dbt_models._matched_by_name
    relations = [
        DuckDBRelation.create("db", "main", name) for name in ("orders", "Paid", '"odd"', "more", None)
    ]
    compared: list[Any] = []
    matches = BaseRelation.matches
    monkeypatch.setattr(
        BaseRelation, "matches", lambda each, **told: compared.append(each) or matches(each, **told)
    )

    class Adapter:
        @staticmethod
        def _make_match_kwargs(database: str, schema: str, identifier: str) -> dict[str, str]:
            return {"database": database, "schema": schema, "identifier": identifier}

    def ask(name: str) -> tuple[list[str], int]:
        compared.clear()
        found = BaseAdapter._make_match(Adapter(), relations, "db", "main", name)  # type: ignore[arg-type]
        return [each.identifier for each in found], len(compared)

    return ask


def test_a_name_is_compared_with_those_that_may_be_it(
    matched: Callable[[str], tuple[list[str], int]],
) -> None:
    nameless = 1
    assert matched("orders") == (["orders"], 1 + nameless)
    assert matched("nobody") == ([], nameless)
    assert matched('"odd"') == (['"odd"'], 1 + nameless)


@pytest.mark.parametrize("name", ["Orders", '"paid"', "odd"])
def test_a_name_that_is_nearly_one_is_still_refused(
    name: str, matched: Callable[[str], tuple[list[str], int]]
) -> None:
    with pytest.raises(ApproximateMatchError):
        matched(name)


def test_types_are_told_as_dbt_tells_them_and_learnt_once() -> None:
    dbt_models.quicken_models()
    rows = [
        {"day": "2026-11-01", "n": 1, "share": 1.5, "text": "null", "nested": [1], "at": None},
        {"day": "2026-11-02", "n": 2, "share": 2.0, "text": "", "nested": [2], "at": None},
    ]
    written = pristine("dbt_common.clients.agate_helper")
    assert written.build_type_tester is not agate_helper.build_type_tester
    for columns in (["day", "n"], ["text", "nested", "at", "share"], list(rows[0])):
        quick, slow = (helper.table_from_data_flat(rows, columns) for helper in (agate_helper, written))
        assert [type(each).__name__ for each in quick.column_types] == [
            type(each).__name__ for each in slow.column_types
        ]
        assert [tuple(row) for row in quick.rows] == [tuple(row) for row in slow.rows]
    assert agate_helper.build_type_tester(["a", "b"]) is agate_helper.build_type_tester({"b", "a"})
    assert agate_helper.build_type_tester(["a"]) is not agate_helper.build_type_tester(["a"], ())
    empty, was = agate_helper.empty_table(), written.empty_table()
    assert (empty.column_names, empty.column_types, len(empty.rows)) == (
        was.column_names,
        was.column_types,
        0,
    )


def test_no_dates_are_learnt_for_a_model(project: DbtProject, monkeypatch: pytest.MonkeyPatch) -> None:
    import parsedatetime

    learnt: list[Any] = []
    learn = parsedatetime.Constants.__init__
    project.run(["first"])  # the texts among its columns are known from here on
    monkeypatch.setattr(
        parsedatetime.Constants, "__init__", lambda *told, **more: learnt.append(told) or learn(*told, **more)
    )
    project.run(["first"])
    assert learnt == []
