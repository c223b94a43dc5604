"""The daily run: days of history first, then one night after the other, beside the floor of the same nights."""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from contract import write_expectations
from meter import HERE, apart
from pipeline import run_apart
from table import Report
from traffic import Traffic

SLOWEST: Final = 14  # models that are listed by name


@dataclass(frozen=True)
class Night:
    """What one nightly run took: the floor's repeats, and ours."""

    floors: list[dict[str, Any]]
    ours: dict[str, Any]
    books: dict[str, Any]

    def floor(self, *parts: str, what: str = "seconds") -> float:
        """The median over the repeats of the sum of these parts."""
        return float(statistics.median(sum(each[part][what] for part in parts) for each in self.floors))

    def own(self, what: str = "seconds", stages: int | None = None) -> float:
        """Our own work, of the first so many stages."""
        return float(sum(each[what] for each in self.ours["stages"][:stages]))


class History:
    """A workspace in `folder` after so many days, kept there so that it can be used again.

    The raw rows stay as long as the traffic is the same; our tables are made anew when our SQL or flow has
    changed, the floor's when the floor has.
    """

    def __init__(
        self, folder: Path, traffic: Traffic, days: int, limits: dict[str, str], product: Path
    ) -> None:
        self.folder, self.traffic, self.days, self.limits = folder, traffic, days, limits
        self.product = product
        self._stamps = folder / "made_of.json"

    def make(self, report: Report) -> None:
        """Land the history, match it by the floor, and run the product over it: what is not there yet."""
        made = json.loads(self._stamps.read_text("utf-8")) if self._stamps.exists() else {}
        wanted = {
            "rows": f"{asdict(self.traffic)} {self.days} {_digest([HERE / 'traffic.py'])}",
            "floor": _digest([HERE / "floor.py"]),
            "ours": str(self.product)
            + _digest(
                [
                    *(self.product / "dbt").rglob("*.sql"),
                    *(self.product / "dagster_project" / "flow").rglob("*.py"),
                    HERE / "contract.py",
                ]
            ),
        }
        if made.get("rows") != wanted["rows"]:
            shutil.rmtree(self.folder, ignore_errors=True)
            made = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        for part, make in (("rows", self._land), ("floor", self._floor), ("ours", self._ours)):
            if made.get(part) == wanted[part]:
                continue
            began = time.perf_counter()
            said = make()
            report.say(f"history, {part}: {said}{time.perf_counter() - began:.1f} s")
            made[part] = wanted[part]
            self._stamps.write_text(json.dumps(made), "utf-8")

    def _land(self) -> str:
        land(self.folder, self.traffic, 0, self.days)
        return ""

    def _floor(self) -> str:
        apart(
            "floor",
            "first_run",
            {
                "warehouse": self.folder / "warehouse.duckdb",
                "scratch": self.folder / "floor.duckdb",
                "traffic": asdict(self.traffic),
                "limits": self.limits,
                "days": self.days,
            },
        )
        return ""

    def _ours(self) -> str:
        write_expectations(self.folder / "expectations", self.traffic)
        forget_us(self.folder)
        done = run_apart(self.folder, self.traffic, self.days, self.limits, self.product)
        return f"{sum(each['seconds'] for each in done['stages']):.1f} s of own work, peak {done['peak_mb']:,} MB; "

    def copy(self, target: Path) -> None:
        """A copy to work on, so that the history can be used again."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.folder, target)


def nights(
    folder: Path,
    traffic: Traffic,
    history: int,
    limits: dict[str, str],
    product: Path,
    count: int,
    repeats: int,
) -> list[Night]:
    """So many nightly runs in `folder`, after so many days; each lands a day, runs the floor and then the product."""
    found = []
    for days in range(history + 1, history + 1 + count):
        land(folder, traffic, days - 1, days)
        given = {
            "warehouse": folder / "warehouse.duckdb",
            "before": folder / "floor.duckdb",
            "scratch": folder / "floor_next.duckdb",
            "traffic": asdict(traffic),
            "limits": limits,
            "days": days,
        }
        floors = [apart("floor", "next_run", given) for _ in range(repeats)]
        (folder / "floor_next.duckdb").replace(folder / "floor.duckdb")
        ours = run_apart(folder, traffic, days, limits, product)
        found.append(Night(floors, ours, compare_books(folder, traffic)))
    return found


def compare_books(folder: Path, traffic: Traffic) -> dict[str, Any]:
    """Speed without the same answer is worth nothing: ends the benchmark where one cell of the books differs."""
    books = apart(
        "floor",
        "differing_books",
        {
            "scratch": folder / "floor.duckdb",
            "books": folder / "books.parquet",
            "traffic": asdict(traffic),
        },
    )
    if books["cells_that_differ"]:
        worst = "\n  ".join(books["worst"])
        raise SystemExit(
            f"THE ANSWERS DIFFER in {books['cells_that_differ']:,} cells (floor minus ours); the first are\n  {worst}"
        )
    return dict(books["sums"])


def land(folder: Path, traffic: Traffic, since: int, through: int) -> None:
    """Land what comes from the noon after `since` days (0: from the beginning) to the one after `through` days."""
    apart(
        "daily",
        "_land",
        {
            "warehouse": folder / "warehouse.duckdb",
            "traffic": asdict(traffic),
            "since": since,
            "through": through,
        },
    )


def _land(warehouse: str, traffic: dict[str, int], since: int, through: int) -> None:
    import traffic as rows

    shape = rows.Traffic(**traffic)
    rows.land(Path(warehouse), shape, shape.as_of(since) if since else None, shape.as_of(through))


def forget_us(folder: Path) -> None:
    """Take everything of ours out of the warehouse, so that the next run is the first."""
    shutil.rmtree(folder / "state", ignore_errors=True)
    apart("daily", "_forget", {"warehouse": folder / "warehouse.duckdb"})


def _forget(warehouse: str) -> None:
    import duckdb

    with duckdb.connect(warehouse) as db:
        for (schema,) in db.execute(
            "select distinct schema_name from duckdb_schemas() "
            "where database_name = current_database() and schema_name like 'reconciliation%'"
        ).fetchall():
            db.execute(f'drop schema "{schema}" cascade')


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def report_nights(report: Report, found: list[Night]) -> None:
    """Floor and ours side by side for each night, stages, models, memory and bytes."""
    heads = ["", *(f"night {number}" for number in range(1, len(found) + 1))]
    alone = [night.floor("keys", "alone") for night in found]
    touched = [night.floor("keys", "alone", "others") for night in found]
    own = [night.own() for night in found]
    matching = [night.own(stages=4) for night in found]

    report.say("The daily run, seconds")
    rows: list[list[Any]] = [
        ["new rows", *(night.floors[0]["rows"] for night in found)],
        ["floor: keys of the new rows", *(night.floor("keys") for night in found)],
        ["floor: join of yesterday", *(night.floor("alone") for night in found)],
        ["floor: joins of the other days touched", *(night.floor("others") for night in found)],
        ["days (UTC) touched", *(night.floors[0]["touched"] for night in found)],
        ["FLOOR, the day alone", *alone],
        ["FLOOR, every day touched", *touched],
    ]
    for at, stage in enumerate(found[0].ours["stages"]):
        rows.append([f"ours: {stage['stage']}", *(night.ours["stages"][at]["seconds"] for night in found)])
    rows += [
        ["OURS, sources to matched", *matching],
        ["OURS, all stages", *own],
        ["sources to matched / the day alone", *(a / b for a, b in zip(matching, alone, strict=True))],
        ["sources to matched / every day touched", *(a / b for a, b in zip(matching, touched, strict=True))],
        ["all stages / the day alone", *(a / b for a, b in zip(own, alone, strict=True))],
        ["all stages / every day touched", *(a / b for a, b in zip(own, touched, strict=True))],
    ]
    report.table(heads, rows)

    report.say("The same, processor seconds")
    floor_cpu = [night.floor("keys", "alone", "others", what="cpu") for night in found]
    own_cpu = [night.own("cpu") for night in found]
    report.table(
        heads,
        [
            ["FLOOR, the day alone", *(night.floor("keys", "alone", what="cpu") for night in found)],
            ["FLOOR, every day touched", *floor_cpu],
            ["OURS, sources to matched", *(night.own("cpu", 4) for night in found)],
            ["OURS, all stages", *own_cpu],
            ["all stages / every day touched", *(a / b for a, b in zip(own_cpu, floor_cpu, strict=True))],
        ],
    )

    report.say("Start-up (s), peak memory and bytes (MB)")
    report.table(
        heads,
        [
            ["start-up: imports", *(night.ours["imports"] for night in found)],
            ["start-up: dbt parse", *(night.ours["parse"] for night in found)],
            ["peak memory: floor", *(max(each["peak_mb"] for each in night.floors) for night in found)],
            ["peak memory: ours, before any row", *(night.ours["before_mb"] for night in found)],
            ["peak memory: ours", *(night.ours["peak_mb"] for night in found)],
            [
                "written to disk: floor",
                *(night.floor("keys", "alone", "others", what="written_mb") for night in found),
            ],
            ["written to disk: ours", *(night.own("written_mb") for night in found)],
            ["growth of the warehouse: ours", *(night.ours["grown_mb"] for night in found)],
        ],
    )

    last = found[-1].ours["models"]
    report.say("Slowest models (s)")
    names = sorted(last, key=lambda name: -last[name])[:SLOWEST]
    report.table(
        heads,
        [
            *([name, *(night.ours["models"].get(name, 0.0) for night in found)] for name in names),
            [f"all {len(last)} models", *(sum(night.ours["models"].values()) for night in found)],
        ],
    )
    sums = found[-1].books
    report.say(
        "Both find, cell by cell, " + ", ".join(f"{number:,} {name}" for name, number in sums.items()) + ".\n"
    )
