"""What happens between the scheduled runs: a landed export, an outbox that is not empty, a run that broke."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from dagster_project.assets import deliver_outbox
from dagster_project.core.contracts import Workspace
from dagster_project.flow.notified import tell_run_failed
from dagster_project.jobs import reconcile
from dagster_project.resources.run_lock import is_locked
from dagster_project.resources.slack import sender_from
from dagster_project.resources.warehouse import WarehouseBusy
from dagster_project.session import DEFAULT_UI_URL, warehouse_of
from dagster_project.settings import Settings


def all_sensors(workspace: Workspace) -> list[dg.SensorDefinition]:
    return [export_landed(workspace), outbox(workspace), run_broke(workspace)]


def export_landed(workspace: Workspace) -> dg.SensorDefinition:
    """Reconcile when an export file is new or changed, not only in the morning."""

    @dg.sensor(
        name="export_landed",
        job=reconcile,
        minimum_interval_seconds=60,
        description="Reconciles when a destination's file lands or changes.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        state = landed_state(workspace)
        if state is None:
            return dg.SkipReason("no export file is there yet")
        if context.cursor == state:
            return dg.SkipReason("no export file has changed")
        yesterday = (datetime.now(ZoneInfo(workspace.timezone)) - timedelta(days=1)).date().isoformat()
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=f"export-{state}", partition_key=yesterday)], cursor=state
        )

    return sensor


def landed_state(workspace: Workspace) -> str | None:
    """A digest of names, sizes, times and versions of all export files; null when there is none.

    A file or a store that cannot be looked at counts as one that is not there: the run is what tells of it.
    """
    # Here, for they bring pyarrow along, which loading the definitions need not wait for.
    from dagster_project.resources.export_columns import ExportFileError
    from dagster_project.resources.export_files import find_files

    seen = []
    for destination in workspace.destinations:
        if destination.export.files is None:
            continue
        with suppress(ExportFileError):
            files, _ = find_files(destination.export.files, workspace.root)
            for file in files:
                with suppress(ExportFileError):
                    here = file.look()
                    seen.append(
                        f"{destination.name}\x1f{file.name}\x1f{here.size}\x1f{here.mtime}\x1f{here.etag}"
                    )
    return hashlib.sha256("\x1e".join(seen).encode("utf-8")).hexdigest() if seen else None


def outbox(workspace: Workspace) -> dg.SensorDefinition:
    """Deliver what is still in the outbox: Slack was away, or throttled, or set up only now."""

    @dg.sensor(
        name="outbox",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Delivers notices that have not been accepted yet; no run of its own.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        settings = Settings.from_environment()
        if settings.target == "duckdb" and not settings.duckdb_path.exists():
            return dg.SkipReason("nothing has been reconciled yet")
        if is_locked(settings.state_dir):
            return dg.SkipReason("a run is at work and will deliver its notices itself")
        try:
            warehouse = warehouse_of(settings)
            if not warehouse.exists("reconciliation.alerts"):
                return dg.SkipReason("nothing has been told yet")
            report = deliver_outbox(warehouse, workspace.slack_channel)
        except WarehouseBusy as busy:
            return dg.SkipReason(str(busy))
        if report.problem:
            context.log.warning(report.problem)
        return dg.SkipReason(f"{report.sent} sent, {report.waiting} waiting, {report.failed} given up")

    return sensor


def run_broke(workspace: Workspace) -> dg.SensorDefinition:
    """Tell that a run itself broke. A gate that holds data back also ends its run red, and is no such thing."""

    @dg.run_failure_sensor(
        name="run_broke",
        monitored_jobs=[reconcile],
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells Slack that a run broke; a held gate is told by its incident instead.",
    )
    def sensor(context: dg.RunFailureSensorContext) -> Iterator[dg.SkipReason]:
        broken = broken_steps(context)
        if not broken:
            yield dg.SkipReason("the run ended red because data is held back, which its incidents tell")
            return
        stage, error = broken[0]
        tell_run_failed(
            sender_from(os.environ, workspace.slack_channel),
            context.dagster_run.run_id,
            stage,
            error,
            base_url=os.environ.get("RECON_UI_URL") or DEFAULT_UI_URL,
        )

    return sensor


def broken_steps(context: dg.RunFailureSensorContext) -> list[tuple[str | None, str]]:
    """Steps that broke with their errors: not those that only a blocking check ended."""
    found: list[tuple[str | None, str]] = []
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        if error is not None and error.cls_name == "DagsterAssetCheckFailedError":
            continue
        found.append((event.step_key, (error.message if error else event.message or "").strip()))
    if not found and not context.get_step_failure_events():
        found.append((None, context.failure_event.message or "the run's process ended"))
    return found
