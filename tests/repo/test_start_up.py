"""What makes dbt start quickly is safe: it parses again whenever anything has changed, and shares the run's file."""

from __future__ import annotations

import pkgutil
import shutil
from pathlib import Path
from typing import Any

import pytest
from dbt.compilation import Linker
from dbt.plugins.manager import PluginManager
from dbt_common.clients.jinja import MacroFuzzEnvironment, get_template
from jinja2 import Environment

from dagster_project.resources.dbt import DbtFailed, DbtProject
from dagster_project.resources.warehouse import open_warehouse
from dagster_project.settings import project_root

pytestmark = pytest.mark.dbt

PROJECT = """
name: tiny
version: "1.0"
profile: segment_reconciliation
models: {+materialized: table, +schema: reconciliation_work}
"""
LIMITS_SEEN = "select current_setting('memory_limit') as memory, current_setting('threads') as threads"


class Recorded(DbtProject):
    """A project that notes which commands it gives to dbt."""

    def _invoke(self, arguments: list[str], *, with_manifest: bool) -> Any:
        self.__dict__.setdefault("commands", []).append(arguments[0])
        return super()._invoke(arguments, with_manifest=with_manifest)


def tiny(folder: Path, **environment: str) -> Recorded:
    """The project of a process that begins now, on a folder that others may have parsed before."""
    told = {"RECON_TARGET": "duckdb", "RECON_DUCKDB_PATH": str(folder / "warehouse.duckdb")}
    return Recorded(folder / "nowhere", folder / "dbt", told | environment)


def commands(project: DbtProject) -> list[str]:
    project.manifest()
    return list(project.__dict__.get("commands", []))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of one model that an earlier process has parsed."""
    rendered = tmp_path / "dbt"
    for name, text in (("dbt_project.yml", PROJECT), ("models/limits.sql", LIMITS_SEEN)):
        (rendered / name).parent.mkdir(parents=True, exist_ok=True)
        (rendered / name).write_text(text)
    (rendered / "macros").mkdir()
    for name in ("profiles.yml", "macros/generate_schema_name.sql"):
        shutil.copy(project_root() / "dbt" / name, rendered / name)
    assert commands(tiny(tmp_path)) == ["parse"]
    return tmp_path


def test_what_has_not_changed_is_not_parsed_again_and_still_runs(folder: Path) -> None:
    project = tiny(folder)
    assert [each.name for each in project.run(["limits"])] == ["limits"]
    assert commands(project) == ["run"]


def test_site_packages_are_searched_for_plugins_once_a_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = []
    found = pkgutil.iter_modules
    monkeypatch.setattr(pkgutil, "iter_modules", lambda *told: searches.append(told) or found(*told))
    project = tiny(folder)
    project.run(["limits"])
    searches.clear()
    project.run(["limits"])
    assert searches == []
    assert set(PluginManager.get_prefixed_modules()) >= {"dbt_common"}


def test_no_template_is_compiled_and_no_graph_linked_twice_in_a_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, linked = [], []
    generated, summed_up = Environment._generate, Linker.get_graph_summary

    def generate(environment: Environment, *told: Any, **more: Any) -> str:
        compiled.append(told)
        return generated(environment, *told, **more)

    def sum_up(linker: Linker, manifest: Any) -> Any:
        linked.append(manifest)
        return summed_up(linker, manifest)

    monkeypatch.setattr(Environment, "_generate", generate)
    monkeypatch.setattr(Linker, "get_graph_summary", sum_up)
    project = tiny(folder)
    for _ in range(2):  # the second finds what the first has made
        project.run(["limits"])
    assert len(linked) == 1
    compiled.clear()
    project.run(["limits"])
    assert (compiled, len(linked)) == ([], 1)


def test_a_macro_is_parsed_once_a_process_and_calls_what_it_called(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    parse = MacroFuzzEnvironment._parse

    def counted(environment: MacroFuzzEnvironment, source: str, *told: Any) -> Any:
        parsed.append(source)
        return parse(environment, source, *told)

    def macros() -> dict[str, tuple[str, list[str]]]:
        shutil.rmtree(folder / "dbt" / "target")
        project = tiny(folder)
        assert commands(project) == ["parse"]
        return {
            name: (macro.macro_sql, macro.depends_on.macros)
            for name, macro in project.manifest().macros.items()
        }

    monkeypatch.setattr("dagster_project.resources.dbt_start._trees", {})
    monkeypatch.setattr(MacroFuzzEnvironment, "_parse", counted)
    first = macros()
    twice = {each for each in parsed if parsed.count(each) > 1}
    assert len(parsed) > 500
    assert len(twice) < 20  # those that are compiled for the parse as well
    parsed.clear()
    assert macros() == first
    assert parsed == []
    assert sum(len(calls) for _, calls in first.values()) > 500


def test_a_cycle_is_found_though_an_earlier_graph_had_none(folder: Path) -> None:
    tiny(folder).run(["limits"])
    (folder / "dbt" / "models" / "limits.sql").write_text("select * from {{ ref('more') }}")
    (folder / "dbt" / "models" / "more.sql").write_text("select * from {{ ref('limits') }}")
    with pytest.raises(DbtFailed, match="Found a cycle"):
        tiny(folder).run(["limits"])


def test_text_is_compiled_for_its_kind_of_environment(folder: Path) -> None:
    """dbt renders a name of a schema as text, and what a hook says as a value of Python."""
    tiny(folder).run(["limits"])
    for _ in range(2):
        rendered = [
            get_template("{{ '2' | as_number }}", {}, native=native).render({}) for native in (False, True)
        ]
        assert rendered == ["2", 2]


def test_a_run_of_another_id_or_with_a_new_password_is_no_change(folder: Path) -> None:
    assert commands(tiny(folder, RECON_RUN_ID="another", SNOWFLAKE_PASSWORD="new")) == []


def test_a_changed_file_is_parsed_and_what_it_says_is_what_runs(folder: Path) -> None:
    (folder / "dbt" / "models" / "limits.sql").write_text("select 1 as one")
    project = tiny(folder)
    project.run(["limits"])
    assert commands(project) == ["parse", "run"]
    warehouse = open_warehouse("duckdb", folder / "warehouse.duckdb", {})
    assert list(warehouse.frame("select * from reconciliation_work.limits").columns) == ["one"]


def test_a_file_more_or_less_is_a_change(folder: Path) -> None:
    more = folder / "dbt" / "models" / "more.sql"
    more.write_text("select 1 as one")
    assert commands(tiny(folder)) == ["parse"]
    more.unlink()
    project = tiny(folder)
    assert commands(project) == ["parse"]
    assert [node.name for node in project.manifest().nodes.values()] == ["limits"]


def test_another_database_is_a_change(folder: Path) -> None:
    project = tiny(folder, RECON_DUCKDB_PATH=str(folder / "other.duckdb"))
    assert commands(project) == ["parse"]
    assert {node.database for node in project.manifest().nodes.values()} == {"other"}


def test_another_release_of_dbt_is_a_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagster_project.resources.dbt.version", lambda package: f"{package} of tomorrow")
    assert commands(tiny(folder)) == ["parse"]


@pytest.mark.parametrize("name", ["partial_parse.msgpack", "parsed_from.json"])
@pytest.mark.parametrize("content", [b"", b"\x93no manifest", None], ids=["empty", "garbage", "gone"])
def test_what_is_kept_and_cannot_be_read_is_made_anew(folder: Path, name: str, content: bytes | None) -> None:
    kept = folder / "dbt" / "target" / name
    kept.unlink()
    if content is not None:
        kept.write_bytes(content)
    project = tiny(folder)
    assert commands(project) == ["parse"]
    assert [node.name for node in project.manifest().nodes.values()] == ["limits"]


def test_dbt_works_in_the_file_that_the_run_holds_and_within_its_limits(folder: Path) -> None:
    limits = {"RECON_MEMORY_LIMIT": "300MB", "RECON_THREADS": "1"}
    warehouse = open_warehouse("duckdb", folder / "warehouse.duckdb", limits)
    with warehouse.held():
        tiny(folder).run(["limits"])
        seen = warehouse.frame("select * from reconciliation_work.limits")
    assert seen.to_dict("records") == [{"memory": "286.1 MiB", "threads": 1}]


def test_dbt_alone_keeps_to_the_limits_of_the_environment_too(folder: Path) -> None:
    tiny(folder, RECON_MEMORY_LIMIT="300MB", RECON_THREADS="1").run(["limits"])
    seen = open_warehouse("duckdb", folder / "warehouse.duckdb", {}).frame(
        "select * from reconciliation_work.limits"
    )
    assert seen.to_dict("records") == [{"memory": "286.1 MiB", "threads": 1}]
