"""What a run of the demo is made of: imports, dbt's parse and invocations, and the stages of four runs in a row.

    .venv/bin/python benchmarks/parts.py [--repeats 3] [--markdown]

The runs are `recon demo`, its next day, one hour later with nothing new, and the very same run again. Everything is
made in a checkout of its own in a temporary folder that is removed again. Processor seconds bear other work on the
machine better than wall seconds do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, Final

from meter import apart, clean_environment, measured, whole_process
from table import Cell, Report

PRODUCT: Final = Path(__file__).resolve().parents[1]
_LEAN: Final = "from dagster_project.resources.lean_import import import_great_expectations as lean; lean()"
_IMPORTS: Final = {
    "python itself": "pass",
    "pandas, sqlalchemy, duckdb": "import pandas, sqlalchemy, duckdb",
    "dagster": "import dagster",
    "dbt": "from dbt.cli.main import dbtRunner",
    "great_expectations, plain": "import great_expectations",
    "great_expectations, as a run does": _LEAN,
    "the code location of the demo": "import dagster_project.definitions",
}
_RUNS: Final = {
    "first": ["demo"],
    "next day": ["demo", "--next-day"],
    "an hour later": ["run", "--as-of", "2026-11-10T13:00:00Z"],
    "again": ["run", "--as-of", "2026-11-10T13:00:00Z"],
}


def main() -> None:
    options = _options()
    report = Report(options.markdown)
    folder = Path(tempfile.mkdtemp(prefix="recon_parts_"))
    try:
        checkout = _checkout(folder)
        _imports(report, checkout, options.repeats)
        _runs(report, checkout)
        _dbt(report, checkout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="of each import; medians are shown")
    parser.add_argument("--markdown", action="store_true", help="tables for a README")
    return parser.parse_args()


def _checkout(folder: Path) -> Path:
    """A copy of what the product needs: the demo keeps its exports in the checkout."""
    checkout = folder / "checkout"
    for name in ("dagster_project", "dbt", "expectations"):
        ignored = shutil.ignore_patterns("__pycache__", "target", "logs")
        shutil.copytree(PRODUCT / name, checkout / name, ignore=ignored)
    shutil.copy(PRODUCT / "workspace.yaml", checkout)
    return checkout


def _imports(report: Report, checkout: Path, repeats: int) -> None:
    rows: list[list[Cell]] = []
    for name, code in _IMPORTS.items():
        command = [sys.executable, "-P", "-c", f"{code}\nimport os; os._exit(0)"]
        ended = [whole_process(command, {"PYTHONPATH": str(checkout)}, checkout) for _ in range(repeats)]
        if any(each.status for each in ended):
            raise SystemExit(f"{name} cannot be imported:\n{ended[0].errors[-2000:]}")
        rows.append([name, median(each.seconds for each in ended), median(each.cpu for each in ended)])
    report.say("Imports, each in a fresh process")
    report.table(["import", "seconds", "cpu s"], rows)


def _runs(report: Report, checkout: Path) -> None:
    """The four runs as whole processes; a stage's seconds are those that the command itself tells."""
    stages: dict[str, dict[str, float]] = {}
    for name, arguments in _RUNS.items():
        command = [sys.executable, "-P", "-m", "dagster_project.cli.main", *arguments]
        ended = whole_process(command, {"PYTHONPATH": str(checkout)}, checkout)
        if ended.status not in (0, 1):
            raise SystemExit(f"recon {' '.join(arguments)} broke; it said:\n{ended.errors[-3000:]}")
        for line in ended.errors.splitlines():
            words = line.split()
            if line.startswith("  ") and words[-1:] == ["s"]:
                stages.setdefault(words[0], {})[name] = float(words[-2])
        for title, value in (
            ("whole command", ended.seconds),
            ("  of the processor", ended.cpu),
            ("  peak MB", ended.peak_mb),
        ):
            stages.setdefault(title, {})[name] = value
    report.say("Runs of the demo, seconds")
    last = [title for title in stages if title.startswith(("whole", " "))]
    titles = [title for title in stages if title not in last] + last
    report.table(["stage", *_RUNS], [[title, *map(stages[title].get, _RUNS)] for title in titles])


def _dbt(report: Report, checkout: Path) -> None:
    rows: list[list[Cell]] = []
    environment = {
        "PYTHONPATH": str(checkout),
        "RECON_STATE_DIR": str(checkout / ".recon"),
        "RECON_DUCKDB_PATH": str(checkout / ".recon" / "warehouse.duckdb"),
        "RECON_EXPECTATIONS_DIR": str(checkout / "expectations"),
    }
    for anew in (False, True):
        answer = apart("parts", "dbt_parts", {"anew": anew}, clean_environment(environment))
        rows += [[name, spent["seconds"], spent["cpu"]] for name, spent in answer.items()]
    report.say("dbt on the demo, after its import")
    report.table(["part", "seconds", "cpu s"], rows)


def dbt_parts(anew: bool) -> dict[str, Any]:
    """Parse the demo's project, from nothing or as the last run left it, and run one view three times."""
    from dbt.cli.main import dbtRunner  # noqa: F401 - its import is measured elsewhere

    from dagster_project.session import context_of
    from dagster_project.settings import Settings

    context = context_of(Settings.from_environment(), "parts")
    context.dbt.render(context.workspace)
    if anew:
        shutil.rmtree(context.dbt.rendered / "target", ignore_errors=True)
    view = f"stg_segment__{context.workspace.sources[0].name}"
    answer = {}
    with context.warehouse.held():
        with measured() as parse:
            context.dbt.manifest()
        if anew:
            return {"parse, nothing kept": parse.numbers()}
        answer["parse, nothing changed"] = parse.numbers()
        for name in ("first invocation, one view", "second", "a later invocation, one view"):
            with measured() as spent:
                context.dbt.run([view])
            answer[name] = spent.numbers()
    del answer["second"]
    return answer


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
