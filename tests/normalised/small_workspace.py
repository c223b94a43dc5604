"""A workspace of a few lines on a DuckDB file of its own, with the real dbt project rendered over it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from dagster_project.core.contracts import Workspace
from dagster_project.core.load import load_workspace
from dagster_project.flow.context import RunContext
from dagster_project.flow.exported import read_exports
from dagster_project.flow.inputs import TABLES, WORK
from dagster_project.flow.matched import match
from dagster_project.flow.normalised import normalise
from dagster_project.flow.sources import read_sources
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import Warehouse, open_warehouse

DBT = Path(__file__).parents[2] / "dbt"
DAY = date(2026, 11, 1)
AS_OF = datetime(2026, 11, 5)


@dataclass(frozen=True)
class Project:
    """The warehouse, the rendered dbt project and the contract of one small workspace."""

    folder: Path
    workspace: Workspace
    warehouse: Warehouse
    dbt: DbtProject

    def context(self, as_of: datetime = AS_OF) -> RunContext:
        return RunContext(
            workspace=self.workspace,
            warehouse=self.warehouse,
            dbt=self.dbt,
            expectations_dir=self.folder / "expectations",
            state_dir=self.folder,
            run_id="run",
            as_of=as_of,
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query as tuples, with None for every kind of null."""
        frame = self.warehouse.frame(sql).astype(object)
        return [
            tuple(None if pd.isna(cell) else cell for cell in row)
            for row in frame.itertuples(index=False, name=None)
        ]

    def land(self, table: str, columns: str, rows: Sequence[str]) -> None:
        """Make a table of these columns and SQL rows, whatever was there."""
        schema = table.split(".", 1)[0]
        self.warehouse.execute(f"create schema if not exists {schema}")
        self.warehouse.execute(f"create or replace table {table} ({columns})")
        if rows:
            # A colon in a text is not a bind of ours.
            values = ", ".join(f"({row})" for row in rows).replace(":", "\\:")
            self.warehouse.execute(f"insert into {table} values {values}")

    def put(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make these the rows of one of the tables that Python hands to SQL."""
        frame = pd.DataFrame(list(rows), columns=list(TABLES[table])).astype(object)
        self.warehouse.replace(f"{WORK}.{table}", frame.where(frame.notna(), None), TABLES[table])

    def with_own_rows(self, folder: Path) -> Project:
        """The same project, parsed already, over a copy of the warehouse whose rows may be spoilt."""
        folder.mkdir(parents=True)
        shutil.copy(self.folder / "warehouse.duckdb", folder)
        copy = _project(folder, self.workspace)
        dbt = DbtProject(DBT, self.dbt.rendered, copy.dbt.environment, self.dbt.manifest())
        return Project(folder, self.workspace, copy.warehouse, dbt)

    def copy(self, folder: Path) -> Project:
        """The same project and rows in another folder, parsed files included: models may be spoilt too."""
        shutil.copytree(self.folder, folder)
        return _project(folder, self.workspace)


def make(
    folder: Path,
    sources: Mapping[str, Any],
    destinations: Mapping[str, Any],
    rules: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> Project:
    """Write the contract into the folder, load it and render dbt over it; nothing has run yet."""
    expectations = folder / "expectations"
    (expectations / "destinations").mkdir(parents=True)
    contract: dict[str, Any] = {"name": "small", "timezone": "UTC", "sources": sources, **more}
    if rules:
        contract["tracking_plan"] = "plan.json"
        (expectations / "plan.json").write_text(json.dumps({"data": {"rules": list(rules)}}), "utf-8")
    # JSON is YAML, and needs no second way of quoting hostile names.
    (expectations / "workspace.yml").write_text(json.dumps(contract), "utf-8")
    for name, content in destinations.items():
        path = expectations / "destinations" / f"{name}.yml"
        path.write_text(json.dumps({"name": name, **content}), "utf-8")
    project = _project(folder, load_workspace(expectations))
    project.dbt.render(project.workspace)
    return project


def planned(event: str, properties: Mapping[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    """One rule of a tracking plan, as Segment's Public API answers it."""
    body = {"type": "object", "properties": dict(properties), "required": list(required)}
    return {
        "type": "TRACK",
        "key": event,
        "version": 1,
        "jsonSchema": {"type": "object", "properties": {"properties": body}},
    }


TRACKS = (
    "id varchar, event varchar, event_text varchar, user_id varchar, anonymous_id varchar, "
    "received_at timestamptz, sent_at timestamptz, original_timestamp timestamptz, timestamp timestamptz"
)
# What the tables of identify, group, page and screen calls have in common.
CALL = "id varchar, anonymous_id varchar, user_id varchar, received_at timestamptz, timestamp timestamptz"
# A destination for tests that look at sources only: a contract needs one.
EXPORT: dict[str, Any] = {
    "timezone": "UTC",
    "grain": "event",
    "receives": {"sources": "all", "events": "all"},
    "export": {
        "table": "exports.ads",
        "columns": {"event_name": "name", "event_time": "happened", "message_id": "mid"},
    },
}
DELIVERIES = "name varchar, happened timestamp, mid varchar"


def track(message: str, event: str, at: str, *, user: str = "u", received: str | None = None) -> str:
    """One row of a tracks table, in SQL; times are UTC."""
    came = received or at
    slug = event.lower().replace(" ", "_")
    return f"'{message}', '{slug}', '{event}', '{user}', 'a', '{came}+00', '{at}+00', '{at}+00', '{at}+00'"


@cache
def reconciled(folder: Path) -> Project:
    """A workspace of the three matchings, all stages built over a few real rows; a copy may be spoilt."""
    routes = [{"Order Completed": "Purchase"}, "Signed Up"]
    project = make(
        folder,
        {"app": {}, "web": {}},
        {
            "ads": {
                "timezone": "Asia/Kolkata",
                "grain": "event",
                "receives": {"sources": "all", "events": routes},
                "export": {
                    "table": "export_ads.events",
                    "columns": {"event_name": "name", "event_time": "happened", "message_id": "mid"},
                },
            },
            "crm": {
                "timezone": "America/New_York",
                "grain": "event",
                "receives": {"sources": ["app"], "events": ["Signed Up"]},
                "export": {
                    "table": "export_crm.events",
                    "columns": {"event_name": "name", "event_time": "happened", "user_id": "uid"},
                },
            },
            "tally": {
                "timezone": "UTC",
                "grain": "daily_counts",
                "receives": {"sources": "all", "events": routes},
                "export": {
                    "table": "export_tally.daily",
                    "columns": {"event_name": "name", "day": "day", "count": "n"},
                },
            },
        },
        [planned("Order Completed", {"total": {"type": "number"}}, ["total"]), planned("Signed Up", {})],
    )
    with (
        project.warehouse.held()
    ):  # as a run holds it; to open and close the file for each piece of work took a fifth
        _reconcile(project)
    return project


def _reconcile(project: Project) -> None:
    hours = range(6, 18)
    for source in ("app", "web"):
        project.land(
            f"{source}.tracks",
            TRACKS,
            [
                track(f"{source}-s{hour}", "Signed Up", f"2026-11-01 {hour:02}:00:00", user=f"u{hour}")
                for hour in hours
            ]
            + [track(f"{source}-o{hour}", "Order Completed", f"2026-11-02 {hour:02}:00:00") for hour in hours]
            + [track(f"{source}-x", "Order Complete", "2026-11-02 10:00:00")],
        )
    ids = [f"{source}-s{hour}" for source in ("app", "web") for hour in hours]
    project.land(
        "export_ads.events",
        "name varchar, happened varchar, mid varchar",
        # One is lost, one is there twice, one nobody sent, and one has a name of no contract.
        [f"'Signed Up', '2026-11-01T10:00:00Z', '{each}'" for each in [*ids[1:], ids[1], "stray"]]
        + ["'Sign-up', '2026-11-01T10:00:00Z', 'other'"]
        + [f"'Purchase', '2026-11-02T10:00:00Z', '{each.replace('-s', '-o')}'" for each in ids],
    )
    project.land(
        "export_crm.events",
        "name varchar, happened varchar, uid varchar",
        [f"'Signed Up', '2026-11-01T{hour:02}:00:00Z', 'u{hour}'" for hour in hours],
    )
    project.land(
        "export_tally.daily",
        "name varchar, day date, n bigint",
        ["'Signed Up', date '2026-11-01', 30", "'Purchase', date '2026-11-02', 20"],
    )
    for stage in (read_sources, read_exports, normalise, match):
        # Every day is one of many rows, so that what days are carried on by is made as well.
        stage(replace(project.context(), grown_from=1))
    project.put(
        "diagnosis_limits",
        [
            {
                "destination": "ads",
                "day": DAY,
                "event": "Signed Up",
                "allowed_missing": 0,
                "allowed_duplicates": 0,
                "allowed_unexpected": 0,
            }
        ],
    )
    project.put(
        "incident_links",
        [
            {"incident_id": "inc-1", "link_rank": 1, "destination": "ads", "day": DAY},
            {
                "incident_id": "inc-2",
                "link_rank": 2,
                "destination": "ads",
                "day": DAY,
                "difference": "missing",
            },
        ],
    )
    project.put(
        "gate_current",
        [
            {"destination": "ads", "day": DAY, "verdict": "held", "reasons": "1 message is missing"},
            {"destination": "ads", "day": date(2026, 11, 2), "verdict": "open"},
            {"destination": "tally", "day": DAY, "verdict": "open"},
        ],
    )
    project.dbt.run(
        [
            *("reconciliation_daily", "message_differences", "int_quarantined_daily"),
            *("event_counts_daily", "quarantined_daily", "window_status"),
        ]
    )


def _project(folder: Path, workspace: Workspace) -> Project:
    database = folder / "warehouse.duckdb"
    environment = {"RECON_TARGET": "duckdb", "RECON_DUCKDB_PATH": str(database)}
    return Project(
        folder,
        workspace,
        open_warehouse("duckdb", database, {}),
        DbtProject(DBT, folder / "dbt", environment),
    )
