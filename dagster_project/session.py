"""Opens what the environment names: the contract, the warehouse, dbt and the as-of time, for any command."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from typing import Final

import pandas as pd

from dagster_project.core.load import load_workspace
from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import WORK
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import Warehouse, open_warehouse
from dagster_project.settings import Settings, project_root

DEFAULT_UI_URL: Final = "http://127.0.0.1:3000"


class RunInThePast(ValueError):
    """A run was asked for as of a time before the last run's; the text names both, and what to do instead."""


def warehouse_of(settings: Settings) -> Warehouse:
    """The warehouse that the environment names; every missing variable is named at once."""
    settings.require_warehouse()
    return open_warehouse(settings.target, settings.duckdb_path, os.environ)


def context_of(
    settings: Settings,
    run_id: str,
    *,
    as_of: datetime | None = None,
    from_day: date | None = None,
    to_day: date | None = None,
) -> RunContext:
    """A run's context from the environment. The clock is read here, once, when no `as_of` is given."""
    workspace = load_workspace(settings.expectations_dir)
    environment = {
        "RECON_TARGET": settings.target,
        "RECON_DUCKDB_PATH": str(settings.duckdb_path.absolute()),
        "RECON_RUN_ID": run_id,
    }
    warehouse = warehouse_of(settings)
    warehouse.tag(run_id=run_id)
    return RunContext(
        workspace=workspace,
        warehouse=warehouse,
        dbt=DbtProject(project_root() / "dbt", settings.state_dir.absolute() / "dbt", environment),
        expectations_dir=settings.expectations_dir,
        state_dir=settings.state_dir,
        run_id=run_id,
        as_of=as_of or datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        from_day=from_day,
        to_day=to_day,
        step_rows=settings.step_rows,
        grown_from=settings.grown_from,
        ui_url=os.environ.get("RECON_UI_URL") or DEFAULT_UI_URL,
    )


def refuse_the_past(warehouse: Warehouse, as_of: datetime) -> None:
    """Raises :class:`RunInThePast` when the last run was as of a later time. `as_of` is naive UTC.

    To a run that looks back, what began since is over: it would tell incidents as resolved and withdraw days that
    are published. A run as of now is not asked: where it looks back, the run before it was as of a time that had
    not come, and it mends that slip.
    """
    if not warehouse.exists(f"{WORK}.input_run"):
        return
    last = pd.to_datetime(warehouse.frame(f"select max(as_of) as as_of from {WORK}.input_run")["as_of"]).iloc[
        0
    ]
    if pd.isna(last) or as_of >= last:
        return
    raise RunInThePast(
        f"the last run was as of {last.isoformat(sep=' ')} UTC, and as of {as_of.isoformat(sep=' ')} UTC none of what"
        " began since would be seen: it would be told as over, and published days withdrawn; run without an as-of"
        " time, and read past days again with --from and --to"
    )


def parse_as_of(text: str) -> datetime:
    """An as-of time as naive UTC: ISO 8601, with an offset or Z; without one it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
