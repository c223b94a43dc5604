"""Our own work on the same rows: every stage of a run, called one after the other and timed."""

from __future__ import annotations

import os
import resource
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

BOOKS: Final = ("expected", "delivered", "missing", "pending", "duplicates", "unexpected")


def peak_mb() -> int:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def prepare(folder: Path) -> Any:
    """Everything imported and dbt's project parsed, so that what is timed later is work on rows."""
    os.environ.setdefault("DBT_WRITE_JSON", "0")
    import dagster_project.resources.gx  # noqa: F401
    from dagster_project.core.load import load_workspace
    from dagster_project.resources.dbt import DbtProject
    from dagster_project.settings import project_root

    workspace = load_workspace(folder / "expectations")
    environment = {"RECON_TARGET": "duckdb", "RECON_DUCKDB_PATH": str(folder / "warehouse.duckdb")}
    dbt = DbtProject(project_root() / "dbt", folder / "state" / "dbt", environment)
    dbt.render(workspace)
    dbt.manifest()
    return workspace, dbt


def run(folder: Path, prepared: Any, as_of: datetime, run_id: str) -> dict[str, Any]:
    """One run: seconds, processor seconds and rows of each stage, seconds of each model, the books, and memory."""
    from dagster_project.flow import (
        diagnosed,
        exported,
        gated,
        judged,
        matched,
        normalised,
        published,
        sources,
    )
    from dagster_project.flow.context import RunContext
    from dagster_project.resources.warehouse import open_warehouse

    workspace, dbt = prepared
    warehouse = open_warehouse("duckdb", folder / "warehouse.duckdb", {})
    context = RunContext(
        workspace, warehouse, dbt, folder / "expectations", folder / "state", run_id, as_of=as_of
    )
    stages: dict[str, Any] = {
        "sources": sources.read_sources,
        "exported": exported.read_exports,
        "normalised": normalised.normalise,
        "matched": matched.match,
        "diagnosed": diagnosed.diagnose_window,
        "judged": judged.judge_window,
        "gated": gated.gate,
        "published": published.publish,
    }
    measured: list[tuple[str, float, float, int]] = []
    models: dict[str, float] = {}
    for name, stage in stages.items():
        started, used = time.perf_counter(), time.process_time()
        done = stage(context)
        wall, cpu = time.perf_counter() - started, time.process_time() - used
        measured.append((name, wall, cpu, _rows(name, done)))
        for model in getattr(done, "models", []):
            models[model.name] = models.get(model.name, 0.0) + model.seconds
    sums = warehouse.frame(
        f"select {', '.join(f'cast(sum({name}) as bigint) as {name}' for name in BOOKS)} "
        "from reconciliation_work.int_cells_daily"
    ).iloc[0]
    return {
        "stages": measured,
        "models": models,
        "books": {name: int(sums[name]) for name in BOOKS},
        "peak_mb": peak_mb(),
    }


def _rows(stage: str, done: Any) -> int:
    if stage in ("sources", "exported"):
        return sum(each.rows for each in done)
    if stage == "normalised":
        return int(done.messages)
    if stage == "matched":
        return int(done.expected)
    if stage == "diagnosed":
        return int(done.open_incidents)
    if stage == "judged":
        return len(done)
    if stage == "gated":
        return len(done.decisions)
    return int(done.rows)
