"""What starting costs: each import in a fresh process, dbt's parse, and whole commands on a small workspace."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from typing import Final

from contract import write_expectations
from daily import land
from meter import whole_process
from month import recon_run
from table import Report
from traffic import Traffic

_IMPORTS: Final = {
    "python itself": "pass",
    "import dagster": "import dagster",
    "import dbt": "from dbt.cli.main import dbtRunner",
    "import great_expectations, as we do": "import dagster_project.resources.gx",
    "the code location": "import dagster_project.definitions",
}
_SMALL: Final = Traffic(500, 3)  # an hourly run of it has some twenty new messages


def start_up(report: Report, folder: Path, limits: dict[str, str], repeats: int, product: Path) -> None:
    """Medians of the imports; then a first run, a run with an hour's news, and one with none."""
    folder.mkdir(parents=True)
    environment = {"PYTHONPATH": str(product)}
    rows: list[list[str | float | int | None]] = []
    for name, code in _IMPORTS.items():
        ended = [
            whole_process(
                [sys.executable, "-P", "-c", f"{code}\nimport os; os._exit(0)"], environment, product
            )
            for _ in range(repeats)
        ]
        rows.append(
            [
                name,
                median(each.seconds for each in ended),
                median(each.cpu for each in ended),
                max(each.peak_mb for each in ended),
            ]
        )
    land(folder, _SMALL, 0, 3)
    write_expectations(folder / "expectations", _SMALL)
    for title, days in (
        ("recon run, the first", 3),
        ("recon run, one day later", 4),
        ("recon run, nothing new", 4),
    ):
        if title.endswith("later"):
            land(folder, _SMALL, 3, 4)
        done = recon_run(folder, _SMALL, days, limits, product)
        rows.append([title, done.seconds, done.cpu, done.peak_mb])
    report.say(
        f"Start-up: fresh processes, and a workspace of {_SMALL.per_day:,} messages a day, "
        f"{_SMALL.destinations} destinations"
    )
    report.table(["", "seconds", "cpu s", "peak MB"], rows)
