"""Opens what the environment names: the contract, the warehouse, dbt and the as-of time, for any command."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from typing import Final

from dagster_project.core.load import load_workspace
from dagster_project.flow.context import RunContext
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import Warehouse, open_warehouse
from dagster_project.settings import Settings, project_root

DEFAULT_UI_URL: Final = "http://127.0.0.1:3000"


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


def parse_as_of(text: str) -> datetime:
    """An as-of time as naive UTC: ISO 8601, with an offset or Z; without one it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
