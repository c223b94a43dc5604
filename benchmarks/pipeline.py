"""Our own work on the same rows: every stage of a run, called one after the other and measured."""

from __future__ import annotations

import importlib
import time
import tracemalloc
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from meter import HELD, apart, measured, peak_mb
from traffic import Traffic

BOOKS: Final = ("expected", "delivered", "missing", "pending", "duplicates", "unexpected")
# Stage, its function, and which field of its answer says how many rows it was about.
STAGES: Final = (
    ("sources", "sources.read_sources", "rows"),
    ("exported", "exported.read_exports", "rows"),
    ("normalised", "normalised.normalise", "messages"),
    ("matched", "matched.match", "expected"),
    ("diagnosed", "diagnosed.diagnose_window", "open_incidents"),
    ("judged", "judged.judge_window", None),
    ("gated", "gated.gate", "decisions"),
    ("published", "published.publish", "rows"),
)


def environment(folder: Path, limits: dict[str, str], product: Path) -> dict[str, str]:
    """What points the product of this checkout at the warehouse, contract and state below the folder."""
    named = {
        "RECON_EXPECTATIONS_DIR": str(folder / "expectations"),
        "RECON_DUCKDB_PATH": str(folder / "warehouse.duckdb"),
        "RECON_STATE_DIR": str(folder / "state"),
        "RECON_TARGET": "duckdb",
        "PYTHONPATH": str(product),
    }
    known = {"memory_limit": "RECON_MEMORY_LIMIT", "threads": "RECON_THREADS"}
    return named | {known[name]: value for name, value in limits.items()}


def run_apart(
    folder: Path, traffic: Traffic, days: int, limits: dict[str, str], product: Path, *, traced: bool = False
) -> dict[str, Any]:
    """`run` in a process of its own, as of the noon after so many days; its books are in `books.parquet`."""
    answer: dict[str, Any] = apart(
        "pipeline",
        "run",
        {
            "as_of": traffic.as_of(days),
            "run_id": f"benchmark_{days}",
            "books": folder / "books.parquet",
            "traced": traced,
        },
        environment(folder, limits, product),
    )
    return answer


def run(as_of: str, run_id: str, books: str, traced: bool = False) -> dict[str, Any]:
    """One run as of then, in the workspace that the environment names, from a parsed project on.

    Start-up (imports and the parse of a project already known to dbt) is measured apart. The books go to the
    parquet file `books`. Answers seconds, processor seconds, megabytes written and rows of each stage, seconds
    of each model, peak memory before any row and at the end, and the size of the warehouse before and after.
    When `traced`, which costs time, also the most that Python and numpy held during the stages.
    """
    began = time.perf_counter()
    from dagster_project.session import context_of
    from dagster_project.settings import Settings

    stages = [
        (
            name,
            getattr(
                importlib.import_module(f"dagster_project.flow.{place.split('.')[0]}"), place.split(".")[1]
            ),
            rows,
        )
        for name, place, rows in STAGES
    ]
    import dagster_project.resources.gx  # noqa: F401  (and Great Expectations with it)

    imported = time.perf_counter()
    settings = Settings.from_environment()
    context = context_of(settings, run_id, as_of=datetime.fromisoformat(as_of))
    context.dbt.render(context.workspace)
    context.dbt.manifest()
    parsed = time.perf_counter()
    before_mb, held_before = peak_mb(), _held_mb(context.warehouse)
    if traced:
        tracemalloc.start()
    measures: list[dict[str, Any]] = []
    models: dict[str, float] = {}
    # As a run does: the file is opened once, and what is left to write is written as it is closed.
    with ExitStack() as held:
        held.enter_context(context.warehouse.held())
        for name, stage, rows in stages:
            with measured() as spent:
                done = stage(context)
            measures.append({"stage": name, "rows": _rows(done, rows), **spent.numbers()})
            for model in getattr(done, "models", []):
                models[model.name] = models.get(model.name, 0.0) + model.seconds
        with measured() as spent:
            held.close()
        measures.append({"stage": "closing the file", "rows": 0, **spent.numbers()})
    python_mb = tracemalloc.get_traced_memory()[1] / 1e6 if traced else None
    tracemalloc.stop()
    _write_books(context.warehouse, books)
    return {
        "python_mb": python_mb,
        "stages": measures,
        "models": models,
        "imports": imported - began,
        "parse": parsed - imported,
        "before_mb": before_mb,
        "peak_mb": peak_mb(),
        "grown_mb": _held_mb(context.warehouse) - held_before,
    }


def write_books(books: str) -> None:
    """The books that stand in the warehouse that the environment names, as a parquet file."""
    from dagster_project.session import warehouse_of
    from dagster_project.settings import Settings

    _write_books(warehouse_of(Settings.from_environment()), books)


def _write_books(warehouse: Any, path: str) -> None:
    frame = warehouse.frame(
        f"select day, destination, event, {', '.join(BOOKS)} from reconciliation_work.int_cells_daily"
    )
    frame.to_parquet(path)


def _held_mb(warehouse: Any) -> float:
    return float(warehouse.frame(HELD)["held"].sum()) / 1e6


def _rows(done: Any, field: str | None) -> int:
    if isinstance(done, list):
        return sum(getattr(each, field) for each in done) if field else len(done)
    found = getattr(done, field or "rows")
    return found if isinstance(found, int) else len(found)
