"""What landing export files costs: rows and megabytes a second by format, beside bare DuckDB on the same files.

    .venv/bin/python -m benchmarks.landing [--files 20] [--rows 100000] [--small 1000]

Each measurement runs in a process of its own, so that its peak of memory is its own. The floor is DuckDB's own
reader with every column as text and `union_by_name` into a table: it neither hashes the files, nor keeps a
ledger, nor says which line of which file is wrong. Read ratios rather than seconds.
"""

# ruff: noqa: T201 - a table on standard output is what this is for

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

FORMATS: Final = {
    "csv.gz": "(format csv, header, compression gzip)",
    "jsonl.zst": "(format json, compression zstd)",
    "parquet": "(format parquet)",
}
# What an export of 16 columns looks like; five of them are read.
_ROWS: Final = """
    select
        'Event ' || (i % 150)::varchar as event,
        strftime(timestamp '2026-11-01' + to_microseconds(i * 37), '%Y-%m-%dT%H:%M:%S.%fZ') as at,
        md5((i % 99991)::varchar) as "user",
        case when i % 3 = 0 then 'a-' || i::varchar end as anon,
        gen_random_uuid()::varchar as id,
        'https://shop.example/p/' || (i % 5000)::varchar || '?ref=mail,web' as url,
        i % 97 as amount,
        'ios' as platform,
        '4.2.' || (i % 9)::varchar as version,
        md5((i * 7)::varchar) as session
    from range({first}, {last}) as r(i)
"""
_FLOOR: Final = {
    "csv.gz": "read_csv('{glob}', all_varchar = true, union_by_name = true, filename = true)",
    "jsonl.zst": "read_json('{glob}', format = 'newline_delimited', union_by_name = true, filename = true)",
    "parquet": "read_parquet('{glob}', union_by_name = true, filename = true)",
}


def main() -> None:
    options = _options()
    if options.part:
        print(json.dumps(PARTS[options.part](Path(options.folder), options)))
        sys.stdout.flush()
        os._exit(0)
    folder = Path(tempfile.mkdtemp(prefix="recon_landing_", dir=options.tmp))
    try:
        _compare(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=20, help="of each format")
    parser.add_argument("--rows", type=int, default=100_000, help="in each file")
    parser.add_argument("--small", type=int, default=1_000, help="files of 100 rows, of which one grows")
    parser.add_argument("--tmp", help="where the files are made; the system's own folder unless said")
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--suffix", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    return parser.parse_args()


# ----------------------------------------------------------------------------------- parts, each a process


def _part_make(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The files of one format; small ones when the folder is theirs."""
    exports = folder / "expectations" / "exports"
    exports.mkdir(parents=True, exist_ok=True)
    small = folder.name == "small"
    files, rows = (options.small, 100) if small else (options.files, options.rows)
    database = duckdb.connect()
    for number in range(files):
        _write(database, exports / f"part-{number:05}.{options.suffix}", number * rows, rows, options.suffix)
    return {"megabytes": sum(each.stat().st_size for each in exports.iterdir()) / 1e6}


def _write(database: duckdb.DuckDBPyConnection, path: Path, first: int, rows: int, suffix: str) -> None:
    selected = _ROWS.format(first=first, last=first + rows)
    database.execute(f"copy ({selected}) to '{path}' {FORMATS[suffix]}")


def _part_floor(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    database = duckdb.connect(str(folder / "floor.duckdb"))
    database.execute(f"set threads = {options.threads}")
    source = _FLOOR[options.suffix].format(glob=folder / "expectations" / "exports" / "*")
    started, busy = time.perf_counter(), time.process_time()
    database.execute(
        'create table landed as select event::varchar as event, "at"::varchar as "at", "user"::varchar as "user", '
        f"anon::varchar as anon, id::varchar as id, filename from {source}"
    )
    rows = database.execute("select count(*) from landed").fetchone()
    assert rows is not None
    return _spent(started, busy) | {"rows": rows[0]}


def _part_land(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    from dagster_project.core.contracts import Columns, Destination, Export, Workspace
    from dagster_project.flow.landing import land_files
    from dagster_project.resources.warehouse import open_warehouse

    columns = Columns(
        event_name="event", event_time="at", user_id="user", anonymous_id="anon", message_id="id"
    )
    destination = Destination(name="bench", export=Export(files="exports/*", columns=columns))
    workspace = Workspace(name="bench", root=folder / "expectations", destinations=(destination,))
    warehouse = open_warehouse("duckdb", folder / f"ours_{options.threads}.duckdb", os.environ)
    before = _peak_mb()
    started, busy = time.perf_counter(), time.process_time()
    (landed,) = land_files(warehouse, workspace, datetime(2026, 11, 22, 12), "run")
    if landed.problems:
        raise SystemExit(f"the benchmark's own files do not land: {landed.problems[0]}")
    spent = _spent(started, busy)
    return spent | {"rows": landed.rows, "read": landed.files_new + landed.files_changed, "before_mb": before}


PARTS: Final[dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]]] = {
    "floor": _part_floor,
    "land": _part_land,
    "make": _part_make,
}


def _spent(started: float, busy: float) -> dict[str, Any]:
    return {
        "seconds": time.perf_counter() - started,
        "processor": time.process_time() - busy,
        "peak_mb": _peak_mb(),
    }


def _peak_mb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


# ----------------------------------------------------------------------------------- the tables


def _apart(
    part: str, folder: Path, options: argparse.Namespace, suffix: str, threads: int = 1
) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.landing", "--part", part, "--folder", str(folder)]
    for name in ("files", "rows", "small"):
        command += [f"--{name}", str(getattr(options, name))]
    command += ["--suffix", suffix, "--threads", str(threads)]
    environ = {**os.environ, "RECON_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    if done.returncode:
        raise SystemExit(f"part {part} of {suffix} broke:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _compare(folder: Path, options: argparse.Namespace) -> None:
    print(f"{options.files} files of {options.rows:,} rows a format, {os.cpu_count()} cores\n")
    print(
        "| format | threads | MB | floor s (processor) | ours s (processor) | rows/s | MB/s | of the floor | peak MB |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for suffix in FORMATS:
        at = folder / suffix
        megabytes = _apart("make", at, options, suffix)["megabytes"]
        for threads in (1, 2):
            floor = _apart("floor", at, options, suffix, threads)
            ours = _apart("land", at, options, suffix, threads)
            assert floor["rows"] == ours["rows"]
            print(
                f"| {suffix} | {threads} | {megabytes:,.0f} | {floor['seconds']:.1f} ({floor['processor']:.1f})"
                f" | {ours['seconds']:.1f} ({ours['processor']:.1f}) | {ours['rows'] / ours['seconds']:,.0f}"
                f" | {megabytes / ours['seconds']:,.0f} | {ours['seconds'] / floor['seconds']:.1f}"
                f" ({ours['processor'] / floor['processor']:.1f})"
                f" | {ours['peak_mb']:,}, {ours['before_mb']:,} of it before the first file |",
                flush=True,
            )
            (at / "floor.duckdb").unlink()
        shutil.rmtree(at)
    at = folder / "small"
    _apart("make", at, options, "csv.gz")
    print(f"\n{options.small:,} files of 100 rows (csv.gz), 2 threads\n")
    print("| run | seconds | files read | rows |\n|---|---:|---:|---:|")
    for name in ("first", "nothing changed", "one file grown"):
        if name == "one file grown":
            _write(duckdb.connect(), at / "expectations/exports/part-00000.csv.gz", 0, 120, "csv.gz")
        ours = _apart("land", at, options, "csv.gz", 2)
        print(f"| {name} | {ours['seconds']:.2f} | {ours['read']:,} | {ours['rows']:,} |", flush=True)


if __name__ == "__main__":
    main()
