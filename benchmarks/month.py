"""The first run over a whole history, a back-fill: beside the floor, and as the command that people give."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from contract import write_expectations
from daily import SLOWEST, compare_books, land
from meter import Ended, apart, whole_process
from pipeline import environment, run_apart
from table import Report
from traffic import Traffic

MATCHING: Final = 4  # stages that do what the floor does: sources, exported, normalised, matched


def land_month(report: Report, folder: Path, traffic: Traffic, days: int) -> None:
    """The raw rows and the contract of so many days."""
    folder.mkdir(parents=True, exist_ok=True)
    land(folder, traffic, 0, days)
    write_expectations(folder / "expectations", traffic)
    report.say(f"landed {_held(folder):,.0f} MB of rows")


def floors_of(
    folder: Path, traffic: Traffic, days: int, limits: dict[str, str], repeats: int
) -> list[dict[str, Any]]:
    """The floor over all days, so many times, each in a process of its own; the last leaves its file behind."""
    return [
        apart(
            "floor",
            "first_run",
            {
                "warehouse": folder / "warehouse.duckdb",
                "scratch": folder / "floor.duckdb",
                "traffic": asdict(traffic),
                "limits": limits,
                "days": days,
            },
        )
        for _ in range(repeats)
    ]


def month(
    report: Report,
    folder: Path,
    traffic: Traffic,
    days: int,
    limits: dict[str, str],
    repeats: int,
    product: Path,
) -> None:
    """The first run over all days and the next night, stage by stage."""
    land_month(report, folder, traffic, days)
    floors = floors_of(folder, traffic, days, limits, repeats)
    ours = run_apart(folder, traffic, days, limits, product)
    sums = compare_books(folder, traffic)

    base = [_floor(floors, "keys", "join", what=what) for what in ("seconds", "cpu")]
    rows: list[list[Any]] = [
        ["floor: keys of every row", *_pair(floors, "keys"), None, None, None, None, floors[0]["rows"]],
        ["floor: one join a day for all tools", *_pair(floors, "join"), None, None, None, None, None],
        [
            f"FLOOR, median of {repeats}",
            *base,
            1.0,
            1.0,
            max(each["peak_mb"] for each in floors),
            _floor(floors, "keys", "join", what="written_mb"),
            None,
        ],
    ]
    for each in ours["stages"]:
        rows.append(
            [
                f"ours: {each['stage']}",
                each["seconds"],
                each["cpu"],
                each["seconds"] / base[0],
                each["cpu"] / base[1],
                None,
                each["written_mb"],
                each["rows"],
            ]
        )
    for title, stages in (("OURS, sources to matched", MATCHING), ("OURS, all stages", None)):
        spent = [
            sum(each[what] for each in ours["stages"][:stages]) for what in ("seconds", "cpu", "written_mb")
        ]
        rows.append(
            [
                title,
                spent[0],
                spent[1],
                spent[0] / base[0],
                spent[1] / base[1],
                None if stages else ours["peak_mb"],
                spent[2],
                None,
            ]
        )
    report.say(f"The first run over {days} days")
    report.table(
        ["", "seconds", "cpu s", "of the floor", "in cpu", "peak MB", "written MB", "rows"],
        [row if len(row) == 8 else [*row, None] for row in rows],
    )
    report.say(_equal(sums))
    report.say(
        f"Files: the floor's {floors[0]['held_mb']:,.0f} MB, ours grew the warehouse by {ours['grown_mb']:,.0f} MB.\n"
    )
    models = ours["models"]
    report.table(
        ["slowest models of the first run", "seconds"],
        [
            *([name, models[name]] for name in sorted(models, key=lambda name: -models[name])[:SLOWEST]),
            [f"all {len(models)} models", sum(models.values())],
        ],
    )


def backfill(
    report: Report, folder: Path, traffic: Traffic, days: int, limits: dict[str, str], product: Path
) -> None:
    """`recon run` over a month that has never been reconciled, as one process, and the floor under the same limits."""
    land_month(report, folder, traffic, days)
    floors = floors_of(folder, traffic, days, limits, 1)
    before = _held(folder)
    ended = recon_run(folder, traffic, days, limits, product)
    apart(
        "pipeline", "write_books", {"books": folder / "books.parquet"}, environment(folder, limits, product)
    )
    sums = compare_books(folder, traffic)
    base = _floor(floors, "keys", "join", what="seconds"), _floor(floors, "keys", "join", what="cpu")
    report.say(
        f"Back-fill of {days} days in one `recon run`, "
        + ", ".join(f"{name} {value}" for name, value in limits.items())
    )
    report.table(
        ["", "seconds", "cpu s", "of the floor", "in cpu", "peak MB", "written MB"],
        [
            [
                "floor",
                *base,
                1.0,
                1.0,
                floors[0]["peak_mb"],
                _floor(floors, "keys", "join", what="written_mb"),
            ],
            [
                "recon run, the whole process",
                ended.seconds,
                ended.cpu,
                ended.seconds / base[0],
                ended.cpu / base[1],
                ended.peak_mb,
                ended.written_mb,
            ],
        ],
    )
    for line in ended.errors.splitlines():
        report.say("  " + line.strip())
    grown = _held(folder) - before
    report.say(f"\n{_equal(sums)}\nexit status {ended.status}; the warehouse grew by {grown:,.0f} MB.\n")


def recon_run(folder: Path, traffic: Traffic, days: int, limits: dict[str, str], product: Path) -> Ended:
    """`recon run` as of the noon after so many days; ends the benchmark when the run broke."""
    as_of = traffic.as_of(days).isoformat()
    ended = whole_process(
        [sys.executable, "-P", "-m", "dagster_project.cli.main", "run", "--as-of", as_of],
        environment(folder, limits, product),
        product,
    )
    if ended.status not in (0, 1):
        raise SystemExit(f"recon run broke with status {ended.status}; it said:\n{ended.errors[-3000:]}")
    return ended


def _pair(floors: list[dict[str, Any]], part: str) -> tuple[float, float]:
    return _floor(floors, part, what="seconds"), _floor(floors, part, what="cpu")


def _floor(floors: list[dict[str, Any]], *parts: str, what: str) -> float:
    return float(median(sum(each[part][what] for part in parts) for each in floors))


def _held(folder: Path) -> float:
    return float(apart("meter", "held_mb", {"warehouse": folder / "warehouse.duckdb"}))


def _equal(sums: dict[str, int]) -> str:
    return (
        "Both find, cell by cell, " + ", ".join(f"{number:,} {name}" for name, number in sums.items()) + "."
    )
