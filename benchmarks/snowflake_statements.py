"""What one daily run sends to Snowflake, stage by stage: statements, days scanned and rows written.

    python -m benchmarks.snowflake_statements --destinations 10 60

Runs against a fakesnow server with a few rows a day: the number of statements and the days that stand in them as
literals depend on sources, destinations and days, and not on how many rows a day has. Seconds would say nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks.fake_snowflake import fake_snowflake
from benchmarks.statements import Scan, Sent, recorded, scans_of_run
from dagster_project.core.contracts import Workspace
from dagster_project.core.load import load_workspace
from dagster_project.flow.context import RunContext
from dagster_project.flow.diagnosed import diagnose_window
from dagster_project.flow.exported import read_exports
from dagster_project.flow.gated import gate
from dagster_project.flow.judged import judge_window
from dagster_project.flow.matched import match
from dagster_project.flow.normalised import normalise
from dagster_project.flow.published import publish
from dagster_project.flow.sources import read_sources
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import Warehouse, open_warehouse
from dagster_project.settings import project_root

STAGES: Final = {
    "sources": read_sources,
    "exported": read_exports,
    "normalised": normalise,
    "matched": match,
    "diagnosed": diagnose_window,
    "judged": judge_window,
    "gated": gate,
    "published": publish,
}
LAST_DAY: Final = date(2026, 11, 20)
EVENTS: Final = tuple(f"Event {number:02d}" for number in range(10))
KEY_TABLES: Final = frozenset({"int_messages", "int_deliveries"})


@dataclass(frozen=True)
class Line:
    """One stage of a daily run, in numbers."""

    stage: str
    statements: int
    of_rows: int  # statements that read raw rows or the key tables
    unbounded: int  # of those, the ones without constant days on both sides
    raw_days: int  # the most days that one statement reads of a raw table, censuses left out
    census_days: int  # the days over which rows are counted to find what has changed
    key_days: int  # the most days that one statement reads of a key table
    rows: int


def write_workspace(folder: Path, destinations: int, sources: int) -> Workspace:
    """A contract of this size: ten events a source, every destination with message ids, half of them routed all."""
    names = [f"source_{number:02d}" for number in range(sources)]
    (folder / "destinations").mkdir(parents=True, exist_ok=True)
    (folder / "workspace.yml").write_text(
        json.dumps(
            {
                "name": "statements",
                "timezone": "UTC",
                "tracking_plan": "tracking_plan.json",
                "starts_on": (LAST_DAY - timedelta(days=90)).isoformat(),
                "sources": {name: {} for name in names},
            }
        ),
        "utf-8",
    )
    properties = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    schema = {"type": "object", "properties": {"properties": properties}}
    rules = [{"type": "TRACK", "key": name, "version": 1, "jsonSchema": schema} for name in EVENTS]
    (folder / "tracking_plan.json").write_text(json.dumps({"data": {"rules": rules}}), "utf-8")
    for number in range(destinations):
        name = f"tool_{number:02d}"
        contract = {
            "name": name,
            "timezone": "UTC",
            "grain": "event",
            "complete_after": "6h",
            "receives": {"sources": "all", "events": "all" if number % 2 else list(EVENTS[:5])},
            "export": {
                "table": f"export_{name}.events",
                "columns": {"event_name": "event", "event_time": "happened", "message_id": "id"},
            },
        }
        (folder / "destinations" / f"{name}.yml").write_text(json.dumps(contract), "utf-8")
    return load_workspace(folder)


def land(warehouse: Warehouse, workspace: Workspace, days: list[date], *, create: bool) -> None:
    """A message an event, source and day, with its deliveries; a hundredth of those is lost."""
    with warehouse.transaction() as session:
        for number, source in enumerate(workspace.sources):
            tables = {"tracks": ""} | {_slug(event): event for event in EVENTS}
            if create:
                session.execute(f"create schema if not exists {source.name}")
            for table, only in tables.items():
                columns = "id varchar, event_text varchar, event varchar, user_id varchar, received_at timestamp_ntz,"
                if create:
                    session.execute(
                        f"create table {source.name}.{table} ({columns} timestamp timestamp_ntz, total float)"
                    )
                rows = [
                    f"('{number}-{day}-{place}', '{event}', '{_slug(event)}', 'u{place}', '{day} 10:00:00',"
                    f" '{day} 09:59:58', 1.0)"
                    for day in days
                    for place, event in enumerate(EVENTS)
                    if only in ("", event)
                ]
                session.execute(f"insert into {source.name}.{table} values {', '.join(rows)}")
        for destination in workspace.destinations:
            schema = f"export_{destination.name}"
            if create:
                session.execute(f"create schema if not exists {schema}")
                session.execute(
                    f"create table {schema}.events (event varchar, happened timestamp_ntz, id varchar)"
                )
            routed = EVENTS if destination.events is None else [route.event for route in destination.events]
            rows = [
                f"('{event}', '{day} 09:59:58', '{number}-{day}-{place}')"
                for number in range(len(workspace.sources))
                for day in days
                for place, event in enumerate(EVENTS)
                if event in routed and (number + place + day.toordinal()) % 97
            ]
            session.execute(f"insert into {schema}.events values {', '.join(rows)}")


def _slug(event: str) -> str:
    return event.lower().replace(" ", "_")


def daily_run(folder: Path, destinations: int, sources: int, history: int) -> tuple[Workspace, list[Sent]]:
    """Reconcile `history` days, land one more, and record what its run sends."""
    workspace = write_workspace(folder / "expectations", destinations, sources)
    with fake_snowflake(folder / "server.log") as server:
        environment = server.environment()
        warehouse = open_warehouse("snowflake", folder / "unused", environment)
        earlier = [LAST_DAY - timedelta(days=back) for back in range(history, 0, -1)]
        land(warehouse, workspace, earlier, create=True)
        with recorded() as recorder:
            for run_id, day in (("first", earlier[-1]), ("daily", LAST_DAY)):
                if run_id == "daily":
                    land(warehouse, workspace, [LAST_DAY], create=False)
                    recorder.sent.clear()
                context = RunContext(
                    workspace=workspace,
                    warehouse=warehouse,
                    dbt=DbtProject(
                        project_root() / "dbt", folder / "dbt", {**environment, "RECON_RUN_ID": run_id}
                    ),
                    expectations_dir=folder / "expectations",
                    state_dir=folder,
                    run_id=run_id,
                    as_of=datetime(day.year, day.month, day.day, 23),
                )
                for stage, work in STAGES.items():
                    recorder.begin(stage)
                    warehouse.tag(run_id, stage)
                    work(context)
        warehouse.engine.dispose()
    return workspace, recorder.sent


def lines_of(workspace: Workspace, sent: list[Sent]) -> Iterator[Line]:
    """The numbers of each stage, and of the whole run at the end."""
    schemas = {source.schema_name for source in workspace.sources}
    exports = {str(each.export.table) for each in workspace.destinations}

    def raw(name: str) -> bool:
        schema, table = name.split(".")
        return (
            schema in schemas or name in exports or table.startswith(("stg_segment__", "stg_destination__"))
        )

    def watched(name: str) -> bool:
        return raw(name) or name.split(".")[1] in KEY_TABLES

    read = [(each, scans) for each, scans in scans_of_run(sent, watched)]
    for stage in [*STAGES, "all"]:
        own = [(each, scans) for each, scans in read if stage in ("all", each.stage)]
        models = [scan for each, scans in own if each.model for scan in scans]
        counts = [scan for each, scans in own if not each.model for scan in scans]
        yield Line(
            stage,
            statements=len(own),
            of_rows=sum(bool(scans) for _, scans in own),
            unbounded=sum(any(not scan.bounded for scan in scans) for _, scans in own),
            raw_days=_widest([scan for scan in models if raw(scan.table)]),
            census_days=_widest([scan for scan in counts if raw(scan.table)]),
            key_days=_widest([scan for scan in [*models, *counts] if not raw(scan.table)]),
            rows=sum(each.rows for each, _ in own),
        )


def _widest(scans: list[Scan]) -> int:
    return max((scan.days or 0 for scan in scans), default=0)


def markdown(title: str, lines: Iterator[Line]) -> str:
    """A table for the README."""
    rows = [
        f"| {title} | statements | of them reading rows | without constant days | days of raw rows |"
        " days counted | days of keys | rows written |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for line in lines:
        numbers = (
            line.statements, line.of_rows, line.unbounded, line.raw_days, line.census_days, line.key_days, line.rows
        )  # fmt: skip
        rows.append(f"| {line.stage} | " + " | ".join(f"{number:,}" for number in numbers) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="The statements of one daily run on Snowflake.")
    parser.add_argument("--destinations", type=int, nargs="+", default=[10, 60])
    parser.add_argument("--sources", type=int, default=5)
    parser.add_argument("--history", type=int, default=60, help="days that were reconciled before")
    wanted = parser.parse_args()
    for number in wanted.destinations:
        with tempfile.TemporaryDirectory(prefix="statements-") as folder:
            workspace, sent = daily_run(Path(folder), number, wanted.sources, wanted.history)
            title = f"{number} destinations, {wanted.sources} sources"
            sys.stdout.write(markdown(title, lines_of(workspace, sent)) + "\n\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
