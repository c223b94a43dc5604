"""What reconciling costs: bare DuckDB beside our pipeline on the same rows, start-up, memory and daily runs.

    .venv/bin/python benchmarks/run.py [--messages 1000000] [--destinations 10] [--days 30] [--repeats 3]
    .venv/bin/python benchmarks/run.py --demo

Each part runs in a process of its own, so that its peak of memory is its own. Everything is made in a
temporary folder that is removed again. All destinations export message ids; there is a tracking plan of names
without property rules. Read ratios rather than seconds: they hold on other machines.
"""

# ruff: noqa: T201 - a table on standard output is what this is for

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from traffic import Shape, land, make_master, write_expectations

HISTORY: Final = 7  # days of the short history that a daily run is measured after, beside the whole one
SLOWEST: Final = 12  # models that are listed by name
_IMPORTS: Final = {
    "import dagster": "import dagster",
    "import dbt": "from dbt.cli.main import dbtRunner",
    "import great_expectations": "import dagster_project.resources.gx",
}


def main() -> None:
    options = _options()
    shape = Shape(options.messages, options.destinations, options.days)
    if options.part:
        print(json.dumps(PARTS[options.part](Path(options.folder), shape)))
        sys.stdout.flush()
        os._exit(0)  # DuckDB writes about its own leaks when Python is torn down after dbt
    folder = Path(tempfile.mkdtemp(prefix="recon_benchmark_"))
    try:
        if options.demo:
            _demo(folder)
        else:
            _compare(folder, shape, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000, help="in days + 1.5 days")
    parser.add_argument("--destinations", type=int, default=10)
    parser.add_argument("--days", type=int, default=30, help=f"of history, more than {HISTORY}")
    parser.add_argument(
        "--repeats", type=int, default=3, help="of the floor and of start-up; medians are shown"
    )
    parser.add_argument("--demo", action="store_true", help="time `recon demo` and its next day instead")
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.days <= HISTORY or not 1 <= options.destinations <= 62 or options.messages < options.days:
        parser.error(f"write more than {HISTORY} days, 1 to 62 destinations, and more messages than days")
    return options


# ----------------------------------------------------------------------------------- parts, each a process


def _part_make(folder: Path, shape: Shape) -> dict[str, Any]:
    """All rows, and two warehouses of them. Apart, for a child's peak of memory starts at its parent's size."""
    master = folder / "master.duckdb"
    make_master(master, shape)
    for name, days in (("history", shape.days), ("short_history", HISTORY)):
        write_expectations(folder / name / "expectations", shape)
        land(folder / name / "warehouse.duckdb", master, shape, None, shape.as_of(days))
    return {}


def _part_floor(folder: Path, shape: Shape) -> dict[str, Any]:
    import floor
    from pipeline import peak_mb

    return floor.measure(folder / "warehouse.duckdb", folder / "floor.duckdb", shape) | {"peak_mb": peak_mb()}


def _part_history(folder: Path, shape: Shape) -> dict[str, Any]:
    return _runs(folder, shape, [shape.days, shape.days + 1])


def _part_short_history(folder: Path, shape: Shape) -> dict[str, Any]:
    return _runs(folder, shape, [HISTORY, HISTORY + 1])


def _runs(folder: Path, shape: Shape, days: list[int]) -> dict[str, Any]:
    """The first run over a history, and the run of the day after it."""
    from pipeline import peak_mb, prepare, run

    prepared = prepare(folder)
    results: dict[str, Any] = {"before_mb": peak_mb()}
    for number, (name, day) in enumerate(zip(("first", "next"), days, strict=True)):
        as_of = shape.as_of(day)
        if number:
            land(
                folder / "warehouse.duckdb",
                folder.parent / "master.duckdb",
                shape,
                shape.as_of(days[0]),
                as_of,
            )
        results[name] = run(folder, prepared, as_of, f"benchmark_{number}")
    return results


def _part_parse(folder: Path, shape: Shape) -> dict[str, Any]:
    """dbt's parse alone, its import left out; partial when an earlier process has left its files."""
    import dbt.cli.main  # noqa: F401

    from dagster_project.core.load import load_workspace
    from dagster_project.resources.dbt import DbtProject
    from dagster_project.settings import project_root

    project = DbtProject(project_root() / "dbt", folder / "parse", {"RECON_DUCKDB_PATH": ":memory:"})
    project.render(load_workspace(folder / "expectations"))
    started = time.perf_counter()
    project.manifest()
    return {"seconds": time.perf_counter() - started}


PARTS: Final[dict[str, Callable[[Path, Shape], dict[str, Any]]]] = {
    "floor": _part_floor,
    "history": _part_history,
    "make": _part_make,
    "parse": _part_parse,
    "short_history": _part_short_history,
}


def _apart(part: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    for name in ("messages", "destinations", "days"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the part {part} broke; it said:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


# ------------------------------------------------------------------------------------------ the comparison


def _compare(folder: Path, shape: Shape, options: argparse.Namespace) -> None:
    load = os.getloadavg()[0]
    started = time.perf_counter()
    _apart("make", folder, options)
    print(
        f"{shape.messages:,} messages in {shape.days + 1.5} days, 10 sources, {shape.destinations} "
        f"destinations; made in {time.perf_counter() - started:.1f} s; {os.cpu_count()} cores, load {load:.1f}\n"
    )

    floors = [_apart("floor", folder / "history", options) for _ in range(options.repeats)]
    ours = _apart("history", folder / "history", options)
    short = _apart("short_history", folder / "short_history", options)
    keys, join, cpu = (statistics.median(each[name] for each in floors) for name in ("keys", "join", "cpu"))
    base = keys + join
    first = ours["first"]
    wall, used = _total(first["stages"])
    matching, matching_cpu = _total(first["stages"][:4])

    print(f"{'on the same rows':<38}{'seconds':>9}{'cpu s':>9}{'rows':>14}{'of the floor':>14}")
    _line("floor: keys of every row, made once", keys, rows=floors[0]["rows"])
    _line("floor: one join a day for all", join, rows=floors[0]["expected"])
    _line(f"floor, median of {options.repeats}", base, cpu, ratio=1.0)
    for name, seconds, stage_cpu, rows in first["stages"]:
        _line(f"ours: {name}", seconds, stage_cpu, rows, seconds / base)
    _line("ours, the first run over all days", wall, used, ratio=wall / base)
    _line("  of it the matching (first 4 stages)", matching, matching_cpu, ratio=matching / base)
    print(f"in cpu seconds {used / cpu:.2f}x the floor, the matching {matching_cpu / cpu:.2f}x")
    _say_books(floors[0], first["books"])

    print(f"\n{'slowest models of the first run':<38}{'seconds':>9}")
    for name, seconds in sorted(first["models"].items(), key=lambda each: -each[1])[:SLOWEST]:
        _line(name, seconds)
    in_models = sum(first["models"].values())
    _line(f"all {len(first['models'])} models", in_models)

    print(
        f"\n{'daily run, the next day after':<38}{'seconds':>9}{'cpu s':>9}{'rows':>14}{'of the first':>14}"
    )
    for history, part in ((HISTORY, short), (shape.days, ours)):
        spent, used = _total(part["next"]["stages"])
        rows = next(rows for name, _, _, rows in part["next"]["stages"] if name == "normalised")
        before, _ = _total(part["first"]["stages"])
        _line(f"{history} days of history", spent, used, rows, spent / before)
        for name, seconds, stage_cpu, _ in part["next"]["stages"]:
            _line(f"    {name}", seconds, stage_cpu)

    print(f"\n{'peak memory':<38}{'MB':>9}")
    _line("floor", max(each["peak_mb"] for each in floors), digits=0)
    _line("ours, before any row (imports, parse)", ours["before_mb"], digits=0)
    _line(f"ours, the first run over {HISTORY} days", short["first"]["peak_mb"], digits=0)
    _line(f"ours, the first run over {shape.days} days", first["peak_mb"], digits=0)

    print(f"\n{'start-up, each in a fresh process':<38}{'seconds':>9}")
    for name, code in _IMPORTS.items():
        _line(name, statistics.median(_timed(code) for _ in range(options.repeats)))
    for name in ("dbt parse, from nothing", "dbt parse, partial"):
        _line(name, _apart("parse", folder / "history", options)["seconds"])


def _timed(code: str) -> float:
    started = time.perf_counter()
    command = f"{code}\nimport os; os._exit(0)"
    subprocess.run([sys.executable, "-c", command], check=True, capture_output=True)
    return time.perf_counter() - started


def _total(stages: list[tuple[str, float, float, int]]) -> tuple[float, float]:
    return sum(each[1] for each in stages), sum(each[2] for each in stages)


def _line(
    title: str,
    number: float,
    cpu: float | None = None,
    rows: int | None = None,
    ratio: float | None = None,
    digits: int = 2,
) -> None:
    shown = f"{title:<38}{number:>9,.{digits}f}"
    shown += " " * 9 if cpu is None else f"{cpu:>9,.2f}"
    shown += " " * 14 if rows is None else f"{rows:>14,}"
    print((shown + ("" if ratio is None else f"{ratio:>13.2f}x")).rstrip())


def _say_books(floor: dict[str, Any], books: dict[str, int]) -> None:
    """Speed without the same answer is worth nothing: the sums are compared before any ratio is believed."""
    # The floor knows no maturity: what we call pending it calls missing.
    mine = books | {"missing": books["missing"] + books["pending"]}
    names = ("expected", "delivered", "missing", "duplicates", "unexpected")
    same = all(floor[name] == mine[name] for name in names)
    print(
        "\nboth find " + ", ".join(f"{mine[name]:,} {name}" for name in names)
        if same
        else "\nTHE ANSWERS DIFFER"
    )
    if not same:
        for name in names:
            print(f"  {name:<12} floor {floor[name]:>12,}   ours {mine[name]:>12,}")
        raise SystemExit(1)


# ------------------------------------------------------------------------------------------------ the demo


def _demo(folder: Path) -> None:
    """`recon demo` and `recon demo --next-day` as whole processes, in a checkout of their own.

    The demo keeps its exports in the checkout, and somebody may be looking at theirs.
    """
    checkout = folder / "checkout"
    ours = Path(__file__).resolve().parents[1]
    for name in ("dagster_project", "dbt", "expectations"):
        shutil.copytree(
            ours / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "target", "logs")
        )
    shutil.copy(ours / "workspace.yaml", checkout)
    recon = [sys.executable, "-m", "dagster_project.cli.main"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RECON_")}
    environment.pop("DAGSTER_HOME", None)
    print(f"{'command':<26}{'wall s':>9}{'cpu s':>9}{'peak MB':>9}{'exit':>6}")
    for arguments in (["demo"], ["demo", "--next-day"]):
        said = folder / "stderr.txt"
        started = time.perf_counter()
        with said.open("w") as errors:
            process = subprocess.Popen(
                [*recon, *arguments], cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=errors
            )
            # Not RUSAGE_CHILDREN: its peak is that of the largest child so far, and there are two.
            _, status, used = os.wait4(process.pid, 0)
        wall, process.returncode = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
        print(
            f"{'recon ' + ' '.join(arguments):<26}{wall:>9.1f}{used.ru_utime + used.ru_stime:>9.1f}"
            f"{used.ru_maxrss // 1024:>9,}{process.returncode:>6}"
        )
        told = said.read_text("utf-8")
        for line in told.splitlines():
            if line.endswith(" s"):
                print("  " + line.strip())
        if process.returncode not in (0, 1):
            raise SystemExit(f"recon {' '.join(arguments)} broke; it said:\n{told[-3000:]}")


if __name__ == "__main__":
    main()
