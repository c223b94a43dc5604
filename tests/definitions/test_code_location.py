"""The code location: loads from the contract alone, shows every source and destination, blocks where the gate is."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from dagster_project.core.load import load_workspace
from dagster_project.resources.retries import attempt
from dagster_project.resources.warehouse import WarehouseBusy
from dagster_project.sensors import broken_steps, landed_state
from dagster_project.stages import STAGES

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    from dagster_project.definitions import defs

    return defs


@pytest.fixture(scope="module")
def specs(definitions):
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_it_loads_without_secrets_a_warehouse_or_a_state_folder(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "RECON_TARGET": "snowflake",  # and not one SNOWFLAKE_ variable
        "RECON_DUCKDB_PATH": str(tmp_path / "absent" / "warehouse.duckdb"),
        "RECON_STATE_DIR": str(tmp_path / "absent"),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from dagster_project.definitions import defs; print('loaded')"],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "loaded" in done.stdout, done.stderr
    assert not (tmp_path / "absent").exists()


def test_a_wrong_contract_is_named_when_it_loads(tmp_path):
    (tmp_path / "workspace.yml").write_text("name: x\nsorces: {}\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import dagster_project.definitions"],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "RECON_EXPECTATIONS_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert "workspace.yml:2:1" in done.stderr
    assert "sources" in done.stderr


def test_the_groups_are_the_stages(specs):
    assert {spec.group_name for spec in specs.values()} == set(STAGES)


def test_every_source_and_destination_is_an_asset_of_its_own(specs):
    workspace = load_workspace(CHECKOUT / "expectations")
    for source in workspace.sources:
        assert f"sources/{source.name}" in specs
        assert f"judged/source_{source.name}" in specs
    for destination in workspace.destinations:
        for key in ("exported/{}", "judged/{}", "gated/gate_{}", "published/release_{}"):
            assert key.format(destination.name) in specs


def test_the_assets_of_a_destination_are_found_by_its_tag_and_owner(specs):
    workspace = load_workspace(CHECKOUT / "expectations")
    for destination in workspace.destinations:
        tagged = {key for key, spec in specs.items() if spec.tags.get("destination") == destination.name}
        name = destination.name
        assert tagged == {
            f"exported/{name}",
            f"judged/{name}",
            f"gated/gate_{name}",
            f"published/release_{name}",
        }
        owners = {tuple(specs[key].owners) for key in tagged}
        assert owners == {
            (f"team:{destination.owner.lstrip('@').replace('-', '_')}",) if destination.owner else ()
        }
    assert {specs[f"sources/{source.name}"].tags["source"] for source in workspace.sources} == {
        source.name for source in workspace.sources
    }


def test_the_assets_say_what_they_are(specs):
    assert [key for key, spec in specs.items() if not spec.description] == []


def test_every_destination_has_a_check_a_family_and_every_gate_a_blocking_one(definitions):
    workspace = load_workspace(CHECKOUT / "expectations")
    checks = {
        (spec.asset_key.to_user_string(), spec.name): spec
        for asset in definitions.resolve_asset_graph().assets_defs
        for spec in asset.check_specs
    }
    for destination in workspace.destinations:
        for family in ("names", "counts", "freshness", "identifiers", "properties"):
            assert (f"judged/{destination.name}", family) in checks
        assert checks[f"gated/gate_{destination.name}", "open"].blocking
        assert f"gated/gate_{destination.name}" in {
            key.to_user_string()
            for key in definitions.resolve_asset_graph()
            .get(dg.AssetKey(["published", f"release_{destination.name}"]))
            .parent_keys
        }


def test_it_has_the_job_the_schedule_and_the_sensors(definitions):
    assert "reconcile" in {job.name for job in definitions.resolve_all_job_defs()}
    assert [each.name for each in definitions.schedules] == ["reconcile_daily"]
    assert {each.name for each in definitions.sensors} == {"export_landed", "outbox", "run_broke"}


def test_the_job_runs_in_one_process_by_days_of_the_workspace(definitions):
    job = definitions.resolve_job_def("reconcile")
    assert job.executor_def.name == "in_process"
    partitions = job.partitions_def
    assert isinstance(partitions, dg.DailyPartitionsDefinition)
    assert partitions.timezone == load_workspace(CHECKOUT / "expectations").timezone


def test_the_schedule_asks_for_the_day_that_ended(definitions):
    from datetime import UTC, datetime

    schedule = definitions.resolve_schedule_def("reconcile_daily")
    context = dg.build_schedule_context(
        repository_def=definitions.get_repository_def(),
        scheduled_execution_time=datetime(2026, 11, 9, 6, 30, tzinfo=UTC),
    )
    requests = schedule.evaluate_tick(context).run_requests
    assert [request.partition_key for request in requests] == ["2026-11-08"]


@pytest.mark.parametrize("error", [WarehouseBusy("held"), OperationalError("x", None, Exception("gone"))])
def test_an_engine_that_is_away_for_a_moment_is_tried_again(error):
    def work():
        raise error

    with pytest.raises(dg.RetryRequested):
        attempt(work)


@pytest.mark.parametrize(
    "error", [ValueError("wrong contract"), RuntimeError("dbt run failed in int_messages")]
)
def test_what_trying_again_cannot_mend_is_not_tried_again(error):
    def work():
        raise error

    with pytest.raises(dg.Failure) as raised:
        attempt(work)
    assert raised.value.allow_retries is False
    assert str(error) in str(raised.value.description)


def _failure(step: str, cls_name: str, message: str):
    error = SimpleNamespace(cls_name=cls_name, message=message)
    return SimpleNamespace(step_key=step, step_failure_data=SimpleNamespace(error=error), message="")


def test_a_run_that_only_holds_data_back_is_not_told_as_broken():
    held = _failure("gated__gate_ads", "DagsterAssetCheckFailedError", "1 blocking asset check failed")
    broke = _failure("match", "Failure", "dbt run failed")
    context = SimpleNamespace(get_step_failure_events=lambda: [held])
    assert broken_steps(context) == []
    context = SimpleNamespace(get_step_failure_events=lambda: [held, broke])
    assert broken_steps(context) == [("match", "dbt run failed")]


def test_a_run_whose_process_died_is_told_as_broken():
    context = SimpleNamespace(
        get_step_failure_events=list, failure_event=SimpleNamespace(message="process 12 ended")
    )
    assert broken_steps(context) == [(None, "process 12 ended")]


def test_a_landed_or_changed_file_changes_the_state_of_the_exports(tmp_path):
    destination = SimpleNamespace(name="d", export=SimpleNamespace(files="*.csv"))
    workspace = SimpleNamespace(destinations=[destination], root=tmp_path)
    assert landed_state(workspace) is None
    (tmp_path / "a.csv").write_text("x\n")
    first = landed_state(workspace)
    assert first == landed_state(workspace)
    (tmp_path / "a.csv").write_text("x\ny\n")
    assert landed_state(workspace) != first


def test_the_event_log_keeps_one_connection_a_file_and_says_the_same(tmp_path):
    from dagster._core.storage.event_log import SqliteEventLogStorage

    from dagster_project.resources.dagster_home import quicken_sqlite

    @dg.asset
    def thing():
        return dg.MaterializeResult(metadata={"rows": 3})

    def history() -> list[object]:
        with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
            dg.materialize([thing], instance=instance)
            return [
                event.asset_materialization.metadata["rows"].value
                for event in instance.fetch_materializations(dg.AssetKey("thing"), limit=9).records
            ]

    before = SqliteEventLogStorage._connect
    assert history() == [3]
    quicken_sqlite()
    try:
        assert SqliteEventLogStorage._connect is not before
        assert history() == [3, 3]
    finally:
        SqliteEventLogStorage._connect = before
    assert history() == [3, 3, 3]


def test_great_expectations_is_imported_without_what_the_suites_never_reach():
    code = (
        "import sys; from dagster_project.resources.lean_import import import_great_expectations as lean; lean();"
        "found = {'scipy.stats._stats_py', 'snowflake.sqlalchemy', 'altair', 'boto3', 'botocore'} & set(sys.modules);"
        "import scipy.stats, snowflake.sqlalchemy, boto3;"
        "from great_expectations.expectations.core import expect_column_kl_divergence_to_be_less_than as plots;"
        "print(sorted(found), 'altair' in sys.modules);"
        "print(round(scipy.stats.entropy([1, 1]), 3), snowflake.sqlalchemy.URL is not None, plots.alt.Chart.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split("\n")[:2] == ["[] False", "0.693 True Chart"]
