"""Times the judging of a tracking plan on landed rows against a bare scan of the same tables, in one process."""

# ruff: noqa: T201 - a table on standard output is what this is for

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

CHECKOUT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from benchmarks import many  # noqa: E402

BATCH: Final = 100  # tables of a statement of the bare scan, as many as of one of ours
# Of each event: ten rules on its four properties, as many as a plan of 2,000 rules has for 200 events.
PROPERTIES: Final[dict[str, Any]] = {
    "total": {"type": "number", "minimum": 0, "maximum": 1000},
    "currency": {"type": "string", "enum": ["EUR", "USD"], "pattern": "^[A-Z]{3}$"},
    "items": {"type": "integer", "minimum": 0},
    "coupon": {"type": "string", "pattern": "^SPR"},
}
REQUIRED: Final = ("total", "currency")
RULES_OF_AN_EVENT: Final = 11


@dataclass
class Cost:
    """What a piece of work took, and the statements that it sent."""

    seconds: float = 0.0
    cpu: float = 0.0
    statements: list[str] = field(default_factory=list)

    @property
    def reading(self) -> list[str]:
        """Those that read event tables."""
        return [sql for sql in self.statements if '"app_0' in sql and " from " in sql]


@contextmanager
def measured() -> Iterator[Cost]:
    """Seconds and processor seconds of a block; DuckDB and dbt both work in this process."""
    cost = Cost()
    wall, cpu = time.perf_counter(), time.process_time()
    yield cost
    cost.seconds, cost.cpu = time.perf_counter() - wall, time.process_time() - cpu


def write_plans(expectations: Path, shape: many.Many) -> None:
    """Put ten rules on each event in the place of the few that the workspace of many parts has."""
    body = {"type": "object", "properties": PROPERTIES, "required": list(REQUIRED)}
    schema = {"type": "object", "properties": {"properties": body}}
    for source in range(shape.sources):
        rules = [
            {"type": "TRACK", "key": shape.event(source, number), "version": 1, "jsonSchema": schema}
            for number in range(shape.events)
        ]
        path = expectations / f"{shape.source(source)}_plan.json"
        path.write_text(json.dumps({"data": {"rules": rules}}), "utf-8")


def bare_scan(warehouse: Any, shape: many.Many) -> Cost:
    """Every value of the four properties and the times of every event table, read and counted, and no more."""
    tables = [
        f"{shape.source(source)}.{shape.event(source, number).lower().replace(' ', '_')}"
        for source in range(shape.sources)
        for number in range(shape.events)
    ]
    values = ", ".join(f"count({name}), max({name})" for name in PROPERTIES)
    first, last = many.FIRST_DAY.isoformat(), shape.as_of(shape.days).isoformat(sep=" ")
    with measured() as cost:
        for start in range(0, len(tables), BATCH):
            cost.statements.append(
                " union all ".join(
                    f"select count(*), max(id), max(timestamp), {values} from {table}"
                    f" where received_at >= cast('{first}' as timestamp) and received_at <= cast('{last}' as timestamp)"
                    for table in tables[start : start + BATCH]
                ).replace(":", "\\:")
            )
            warehouse.frame(cost.statements[-1])
    return cost


def judged(project: Any, models: list[str]) -> Cost:
    """dbt's run of these models, with what it sent."""
    from dbt.adapters.sql.connections import SQLConnectionManager

    send = SQLConnectionManager.add_query
    with measured() as cost:

        def add_query(self: Any, sql: str, *args: Any, **kwargs: Any) -> Any:
            cost.statements.append(sql)
            return send(self, sql, *args, **kwargs)

        SQLConnectionManager.add_query = add_query  # type: ignore[method-assign]
        try:
            project.run(models)
        finally:
            SQLConnectionManager.add_query = send  # type: ignore[method-assign]
    return cost


def main() -> None:
    """Make the workspace, read it once, and print what judging it costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=8)
    parser.add_argument("--events", type=int, default=50, help="of each source (default 50)")
    parser.add_argument("--messages", type=int, default=50_000, help="of a source on a day (default 50,000)")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="where to work; default: a folder that is removed at the end"
    )
    asked = parser.parse_args()
    shape = many.Many(asked.sources, asked.events, 1, 0, asked.messages, asked.days)
    with tempfile.TemporaryDirectory() as place:
        folder = asked.folder or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        _compare(folder, shape)


def _compare(folder: Path, shape: many.Many) -> None:
    from dagster_project.core.load import load_workspace
    from dagster_project.flow.context import RunContext
    from dagster_project.flow.exported import read_exports
    from dagster_project.flow.normalised import normalise
    from dagster_project.flow.sources import read_sources
    from dagster_project.resources.dbt import DbtProject
    from dagster_project.resources.warehouse import open_warehouse

    many.write_expectations(folder / "expectations", shape)
    write_plans(folder / "expectations", shape)
    many.land(folder, shape, 0, shape.days)
    database = folder / "warehouse.duckdb"
    with measured() as loading:
        workspace = load_workspace(folder / "expectations")
    environment = {"RECON_TARGET": "duckdb", "RECON_DUCKDB_PATH": str(database)}
    dbt = DbtProject(CHECKOUT / "dbt", folder / "dbt", environment)
    dbt.render(workspace)
    warehouse = open_warehouse("duckdb", database, {})
    context = RunContext(
        workspace=workspace,
        warehouse=warehouse,
        dbt=dbt,
        expectations_dir=folder / "expectations",
        state_dir=folder,
        run_id="benchmark",
        as_of=shape.as_of(shape.days),
    )
    for stage in (read_sources, read_exports, normalise):
        stage(context)
    rows = int(
        warehouse.frame("select sum(messages) as n from reconciliation.event_names_daily")["n"].iloc[0]
    )
    bare_scan(warehouse, shape)  # the file's pages are in memory for both
    bare = bare_scan(warehouse, shape)
    ours = judged(dbt, ["int_event_table_reads"])
    told = judged(dbt, ["int_violation_versions_daily", "plan_violations_daily"])
    warehouse.execute("delete from reconciliation_work.input_property_rules")
    counted = judged(dbt, ["int_event_table_reads"])
    tables, rules = shape.sources * shape.events, shape.sources * shape.events * RULES_OF_AN_EVENT
    print(f"{tables:,} event tables, {rows:,} rows, {rules:,} rules in plans of {shape.sources} sources")
    print(f"loading the plans: {loading.cpu:.1f} s of processor")
    print(f"{'':44}{'seconds':>9}{'cpu s':>9}{'of the scan':>13}{'statements':>12}{'longest KB':>12}")
    for name, cost in (
        ("bare scan of the same columns", bare),
        ("counts of properties, no rule", counted),
        ("counts and every rule, one pass", ours),
        ("broken rows counted by day and version", told),
    ):
        sent = cost.reading or cost.statements
        longest = max((len(sql) for sql in sent), default=0) / 1024
        print(
            f"{name:44}{cost.seconds:9.2f}{cost.cpu:9.2f}{cost.cpu / bare.cpu:13.1f}{len(sent):12,}{longest:12,.0f}"
        )


if __name__ == "__main__":
    main()
