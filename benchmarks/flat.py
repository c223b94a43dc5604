"""Does a nightly run cost what the day costs, or what the history holds? The same day after ever longer histories."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import median
from typing import Any, Final

from daily import History, Night, nights
from table import Report
from traffic import Traffic

HISTORIES: Final = (7, 30, 90, 365)
_NIGHTS: Final = 3
_BASE: Final = 30  # days of the history that the others are divided by


def flat(
    report: Report,
    folder: Path,
    per_day: int,
    destinations: int,
    histories: list[int],
    limits: dict[str, str],
    product: Path,
) -> None:
    """Three consecutive nightly runs after each history, which the product has made by its own first run."""
    traffic = Traffic(per_day, destinations)
    found: dict[int, list[Night]] = {}
    report.say(f"Nightly runs of {per_day:,} messages, {destinations} destinations, medians of {_NIGHTS}")
    for days in histories:
        history = History(folder / f"after_{days}", traffic, days, limits, product)
        history.make(report)
        found[days] = nights(history.folder, traffic, days, limits, product, _NIGHTS, 1)
        shutil.rmtree(history.folder)
    heads = ["days of history", *(f"{days:,}" for days in histories)]
    rows: list[list[Any]] = [
        [f"ours: {each['stage']}", *(_median(found[days], _stage(at)) for days in histories)]
        for at, each in enumerate(found[histories[0]][0].ours["stages"])
    ]
    own = {days: median(night.own() for night in found[days]) for days in histories}
    cpu = {days: median(night.own("cpu") for night in found[days]) for days in histories}
    base = _BASE if _BASE in own else histories[0]
    rows += [
        ["OURS, all stages, seconds", *own.values()],
        ["OURS, processor seconds", *cpu.values()],
        [f"seconds, of those after {base} days", *(each / own[base] for each in own.values())],
        [f"processor seconds, of those after {base} days", *(each / cpu[base] for each in cpu.values())],
        [
            "floor, every day touched, seconds",
            *(median(night.floor("keys", "alone", "others") for night in found[days]) for days in histories),
        ],
        ["start-up (imports, parse), seconds", *(_median(found[days], _start_up) for days in histories)],
        [
            "peak memory, MB",
            *(_median(found[days], lambda night: night.ours["peak_mb"]) for days in histories),
        ],
        ["written to disk, MB", *(_median(found[days], lambda n: n.own("written_mb")) for days in histories)],
        ["new rows", *(found[days][-1].floors[0]["rows"] for days in histories)],
    ]
    report.table(heads, rows)
    sums = found[histories[-1]][-1].books
    report.say(
        f"After {histories[-1]} days both find, cell by cell, "
        + ", ".join(f"{number:,} {name}" for name, number in sums.items())
        + ".\n"
    )


def _stage(at: int) -> Any:
    return lambda night: night.ours["stages"][at]["seconds"]


def _start_up(night: Night) -> float:
    return float(night.ours["imports"] + night.ours["parse"])


def _median(found: list[Night], of: Any) -> float:
    return float(median(of(night) for night in found))
