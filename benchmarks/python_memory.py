"""Does Python hold more memory where there are more messages? The same nightly run over days that are ever fuller."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from contract import write_expectations
from daily import land
from pipeline import run_apart
from table import Report
from traffic import Traffic

PER_DAY: Final = (20_000, 200_000, 2_000_000)
_HISTORY: Final = 3


def python_memory(
    report: Report,
    folder: Path,
    per_day: list[int],
    destinations: int,
    limits: dict[str, str],
    product: Path,
) -> None:
    """The most that Python and numpy allocate in a first run and in the night after it, beside the process's peak."""
    rows: list[list[Any]] = []
    for count in per_day:
        traffic = Traffic(count, destinations)
        here = folder / f"of_{count}"
        here.mkdir(parents=True)
        land(here, traffic, 0, _HISTORY)
        write_expectations(here / "expectations", traffic)
        first = run_apart(here, traffic, _HISTORY, limits, product, traced=True)
        land(here, traffic, _HISTORY, _HISTORY + 1)
        night = run_apart(here, traffic, _HISTORY + 1, limits, product, traced=True)
        rows.append(
            [f"{count:,}", first["python_mb"], night["python_mb"], first["peak_mb"], night["peak_mb"]]
        )
        shutil.rmtree(here)
    report.say(
        f"Memory by messages a day, MB: {_HISTORY} days at once, then a night; {destinations} destinations"
    )
    report.table(
        [
            "messages a day",
            "Python, first run",
            "Python, a night",
            "whole process, first run",
            "whole process, a night",
        ],
        rows,
    )
