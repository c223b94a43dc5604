"""`recon run`: the scheduled Dagster job as one Dagster run in this process, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from dagster_project.core.contracts import Workspace
from dagster_project.flow.census import as_day
from dagster_project.resources.dagster_home import prepare_home, quicken_sqlite
from dagster_project.session import warehouse_of
from dagster_project.settings import Settings

Progress = Callable[[str, str, float], None]

NOTIFIED = "notified__outbox"
STEP_TITLES = {
    "read_sources": "sources      what Segment landed",
    "read_exports": "exported     what the destinations hold",
    "normalise": "normalised   one row per message",
    "match": "matched      one outcome per message and destination",
    "diagnose": "diagnosed    differences to causes",
    "judge": "judged       expectations",
    "gated__verdicts": "gated        verdict per destination and day",
    "publish": "published    open days only",
    NOTIFIED: "notified     what has changed",
}


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: broken steps with their errors, and the steps that only held data back."""

    run_id: str
    broken: list[tuple[str, str]]
    held_gates: list[str]
    checks_broken: int
    alerts_given_up: int = 0  # notices that this run's delivery will not try again


def run_job(
    settings: Settings,
    *,
    as_of: datetime,
    from_day: date | None = None,
    to_day: date | None = None,
    progress: Progress = lambda step, state, seconds: None,
) -> RunOutcome:
    """Run `reconcile` once, recorded in the Dagster instance of the state folder. `as_of` is naive UTC.

    Whether it may lie before the last run's is the caller's to ask; see :func:`~dagster_project.session.refuse_the_past`.

    `progress` is told each step as it starts and as it ends, with its seconds. Nothing is raised for a step
    that breaks: it is in the outcome.
    """
    prepare_home(settings.home)
    quicken_sqlite()
    import dagster as dg
    from dagster._core.events import DagsterEventType

    from dagster_project.resources.console import listen

    listen(progress)
    from dagster_project.definitions import defs, workspace

    first, last = _partitions(from_day, to_day, as_of, workspace, settings)
    config: dict[str, Any] = {"as_of": as_of.isoformat(), "look_back": True}
    if from_day:
        config["from_day"] = from_day.isoformat()
    if to_day:
        config["to_day"] = to_day.isoformat()
    broken: list[tuple[str, str]] = []
    held: list[str] = []
    with dg.DagsterInstance.get() as instance:
        result = defs.resolve_job_def("reconcile").execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={
                "resources": {"reconciliation": {"config": config}},
                "loggers": {"terminal": {}},
            },
            tags={
                "dagster/asset_partition_range_start": first.isoformat(),
                "dagster/asset_partition_range_end": last.isoformat(),
            },
        )
        checks_broken = given_up = 0
        for event in result.all_events:
            if event.event_type == DagsterEventType.STEP_FAILURE:
                error = event.step_failure_data.error
                if error is not None and error.cls_name == "DagsterAssetCheckFailedError":
                    held.append(str(event.step_key))
                else:
                    broken.append((str(event.step_key), _told(event)))
            elif event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
                verdict = event.asset_check_evaluation_data.metadata.get("verdict")
                checks_broken += bool(verdict and str(verdict.value).startswith("ERROR"))
            elif event.step_key == NOTIFIED and event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
                failed = event.step_materialization_data.materialization.metadata.get("failed")
                given_up += int(str(failed.value)) if failed else 0
            elif event.event_type == DagsterEventType.RUN_FAILURE and not broken and not held:
                data = event.job_failure_data
                broken.append(("", (data.error.message if data.error else event.message) or "the run failed"))
        return RunOutcome(result.run_id, broken, held, checks_broken, given_up)


def _told(event: Any) -> str:
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    return str(data.error.message if data.error else event.message).strip()


def _partitions(
    from_day: date | None, to_day: date | None, as_of: datetime, workspace: Workspace, settings: Settings
) -> tuple[date, date]:
    """The days the Dagster run is recorded for: those asked for, else from the last recorded one to today."""
    today = as_of.replace(tzinfo=UTC).astimezone(ZoneInfo(workspace.timezone)).date()
    last = max(min(to_day or today, today), workspace.starts_on)
    first = from_day or _last_judged_day(settings) or today - timedelta(days=workspace.lookback_days)
    return max(min(first, last), workspace.starts_on), last


def _last_judged_day(settings: Settings) -> date | None:
    """The last day that has a verdict; null before the first run."""
    warehouse = warehouse_of(settings)
    if not warehouse.exists("reconciliation_work.gate_current"):
        return None
    day = warehouse.frame("select max(day) as day from reconciliation_work.gate_current")["day"].iloc[0]
    return None if pd.isna(day) else as_day(day)
