"""One run of the whole flow on an engine, stage by stage, as the job would do it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

from portability import shop
from portability.conftest import Engine

from dagster_project.flow.context import RunContext
from dagster_project.flow.diagnosed import diagnose_window
from dagster_project.flow.exported import read_exports
from dagster_project.flow.gated import gate
from dagster_project.flow.judged import judge_window
from dagster_project.flow.matched import match
from dagster_project.flow.normalised import normalise
from dagster_project.flow.published import publish
from dagster_project.flow.sources import read_sources

STAGES: Final[dict[str, Callable[[RunContext], Any]]] = {
    "sources": read_sources,
    "exported": read_exports,
    "normalised": normalise,
    "matched": match,
    "diagnosed": diagnose_window,
    "judged": judge_window,
    "gated": gate,
    "published": publish,
}


def run_flow(
    engine: Engine,
    run_id: str,
    as_of: datetime,
    from_day: date | None = None,
    begin: Callable[[str], None] = lambda stage: None,
) -> None:
    """Reconcile the shop as of a time; `begin` is told each stage before it starts."""
    expectations = engine.folder / "expectations"
    context = RunContext(
        workspace=shop.write_workspace(expectations),
        warehouse=engine.warehouse,
        dbt=engine.dbt(run_id),
        expectations_dir=expectations,
        state_dir=engine.folder,
        run_id=run_id,
        as_of=as_of,
        from_day=from_day,
    )
    for stage, work in STAGES.items():
        engine.warehouse.tag(run_id, stage)
        begin(stage)
        work(context)
