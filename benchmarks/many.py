"""Times a workspace of many parts: by default 40 sources of 200 events each, 2,000 property rules and 60 destinations."""

# ruff: noqa: T201 - a table on standard output is what this is for

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

FIRST_DAY: Final = date(2026, 5, 4)
ZONES: Final = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles")
CHECKOUT: Final = Path(__file__).resolve().parents[1]
RECON: Final = (sys.executable, "-m", "dagster_project.cli.main")
FED_BY, NAMES_OF_EACH = 10, 20  # sources that feed a destination, and events that it takes of each
LOST: Final = 0.004
SLOWEST: Final = 12


@dataclass(frozen=True)
class Many:
    """How many parts, and how many messages a source sends on a day. The same numbers make the same rows."""

    sources: int
    events: int
    destinations: int
    rules: int
    messages: int
    days: int

    def as_of(self, days: int) -> datetime:
        """Noon after so many days of history, in UTC."""
        return datetime.combine(FIRST_DAY, datetime.min.time()) + timedelta(days=days, hours=12)

    def source(self, number: int) -> str:
        return f"app_{number:02}"

    def event(self, source: int, number: int) -> str:
        # The first fifty names are shared by all sources, as sign-ups and orders are; the others are their own.
        return f"Event {number:03} Done" if number < 50 else f"App {source:02} Event {number:03} Done"

    def fed_by(self, destination: int) -> list[int]:
        step = max(1, self.sources // FED_BY)
        return sorted({(destination + at * step) % self.sources for at in range(min(FED_BY, self.sources))})

    def takes(self, destination: int) -> list[int]:
        """Numbers of the events that a destination takes of each source that feeds it."""
        return sorted(
            {(destination * 7 + at * 9) % self.events for at in range(min(NAMES_OF_EACH, self.events))}
        )

    def by_id(self, destination: int) -> bool:
        return destination % 4 < 2

    def by_file(self, destination: int) -> bool:
        return destination % 2 == 1


# ------------------------------------------------------------------------------------------- the workspace


def write_expectations(folder: Path, shape: Many) -> None:
    """The contract: a plan for each source, and a file for each destination. JSON is YAML."""
    (folder / "destinations").mkdir(parents=True)
    planned = -(-shape.rules // (2 * shape.sources))  # events of a source with two rules each
    for source in range(shape.sources):
        rules = []
        for number in range(shape.events):
            properties: dict[str, Any] = {"total": {"type": "number"}} if number < planned else {}
            inner = {"type": "object", "properties": properties, "required": list(properties)}
            schema = {"type": "object", "properties": {"properties": inner}}
            rules.append(
                {"type": "TRACK", "key": shape.event(source, number), "version": 1, "jsonSchema": schema}
            )
        _write(folder / f"{shape.source(source)}_plan.json", {"data": {"rules": rules}})
    names = [shape.source(number) for number in range(shape.sources)]
    _write(
        folder / "workspace.yml",
        {
            "name": "many",
            "timezone": "UTC",
            # A day early: where it is still the day before, the first messages are on that one.
            "starts_on": (FIRST_DAY - timedelta(days=1)).isoformat(),
            "sources": {name: {"tracking_plan": f"{name}_plan.json"} for name in names},
        },
    )
    for number in range(shape.destinations):
        columns = {"event_name": "event_name", "event_time": "event_time", "user_id": "user_id"}
        if shape.by_id(number):
            columns["message_id"] = "message_id"
        export = {"files": f"../exports/tool_{number:02}/*.csv"}
        if not shape.by_file(number):
            export = {"table": f"exports.tool_{number:02}"}
        events = {shape.event(source, at) for source in shape.fed_by(number) for at in shape.takes(number)}
        _write(
            folder / "destinations" / f"tool_{number:02}.yml",
            {
                "name": f"tool_{number:02}",
                "owner": f"@team_{number % 8}",
                "timezone": ZONES[number % len(ZONES)],
                "grain": "event",
                "complete_after": "6h",
                "receives": {
                    "sources": [names[source] for source in shape.fed_by(number)],
                    "events": sorted(events),
                },
                "export": {**export, "columns": columns},
            },
        )


def land(folder: Path, shape: Many, first: int, last: int) -> None:
    """Land the rows of the days `first` up to `last` (the last one until noon) as a loader would, table by table."""
    import duckdb

    since = datetime.combine(FIRST_DAY, datetime.min.time()) + timedelta(days=first, hours=12 if first else 0)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as db:
        db.execute("set timezone = 'UTC'")
        db.execute("begin")
        fresh = not db.execute(
            "select 1 from information_schema.schemata where schema_name = 'exports'"
        ).fetchall()
        for name in ["exports", *(shape.source(number) for number in range(shape.sources))]:
            db.execute(f"create schema if not exists {name}")
        for source in range(shape.sources):
            db.execute(_messages(shape, source, since, shape.as_of(last)))
            _append(
                db,
                f"{shape.source(source)}.tracks",
                f"select {_STANDARD} from messages order by received_at",
                fresh,
            )
            _land_event_tables(db, shape, source, fresh)
            db.execute(f"create or replace temp table messages_{source} as select * from messages")
        for number in range(shape.destinations):
            _land_export(db, folder, shape, number, fresh, last)
        db.execute("commit")


_STANDARD: Final = (
    "id, event, event_text, user_id, anonymous_id, received_at, sent_at, original_timestamp, timestamp, "
    "context_app_version"
)


def _messages(shape: Many, source: int, since: datetime, until: datetime) -> str:
    # Zipf-like without a table of weights: exp of a uniform number is dense where the number is small.
    dice = "(hash({0}, number) % 1000003 / 1000003.0)"
    event = f"cast(floor(exp({dice.format(source)} * ln({shape.events + 1}))) - 1 as integer)"
    first_word = f"case when nth < 50 then 'Event ' else 'App {source:02} Event ' end"
    names = f"{first_word} || lpad(cast(nth as varchar), 3, '0') || ' Done'"
    step = 86_400_000_000 // shape.messages
    first = int((since - datetime.combine(FIRST_DAY, datetime.min.time())).total_seconds() * 1e6) // step
    until_at = int((until - datetime.combine(FIRST_DAY, datetime.min.time())).total_seconds() * 1e6) // step
    return f"""
        create or replace temp table messages as
        select
            md5('{source}:' || number) as id, lower(replace({names}, ' ', '_')) as event, {names} as event_text,
            'user_' || (number % 500) as user_id, 'a' || (number % 500) as anonymous_id,
            moment as received_at, moment as sent_at, moment as original_timestamp, moment as timestamp,
            '4.' || (number % 3) as context_app_version, number, nth
        from (
            select range as number, {event.replace("number", "range")} as nth,
                timestamp '{FIRST_DAY}' + to_microseconds(range * {step}) as moment
            from range({first}, {until_at})
        )
    """


def _land_event_tables(db: Any, shape: Many, source: int, fresh: bool) -> None:
    """A table an event, with four properties: one of them rarely absent where the plan asks for it."""
    properties = (
        "case when number % 500 <> 0 then number % 97 * 1.5 end as total, 'EUR' as currency, "
        "number % 7 as items, case when number % 3 = 0 then 'SPRING' end as coupon"
    )
    for at in range(shape.events):
        table = shape.event(source, at).lower().replace(" ", "_")
        rows = f"select {_STANDARD}, {properties} from messages where nth = {at}"
        _append(db, f"{shape.source(source)}.{table}", rows, fresh)


def _land_export(db: Any, folder: Path, shape: Many, number: int, fresh: bool, last: int) -> None:
    zone = ZONES[number % len(ZONES)]
    takes = ", ".join(map(str, shape.takes(number)))
    union = " union all ".join(f"select * from messages_{source}" for source in shape.fed_by(number))
    rows = f"""
        select event_text as event_name, timezone('{zone}', timezone('UTC', timestamp)) as event_time, user_id,
            id as message_id
        from ({union}) where nth in ({takes}) and hash(id, {number}) % 10000 >= {int(LOST * 10_000)}
        order by timestamp
    """
    if not shape.by_file(number):
        _append(db, f"exports.tool_{number:02}", rows, fresh)
        return
    target = folder / "exports" / f"tool_{number:02}"
    target.mkdir(parents=True, exist_ok=True)
    db.execute(f"copy ({rows}) to '{target}/{last:03}.csv' (header)")


def _append(db: Any, table: str, rows: str, fresh: bool) -> None:
    db.execute(f"create table {table} as {rows}" if fresh else f"insert into {table} {rows}")


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1), "utf-8")


# ----------------------------------------------------------------------------------- parts, each a process


def _part_make(folder: Path, shape: Many) -> dict[str, Any]:
    write_expectations(folder / "expectations", shape)
    land(folder, shape, 0, shape.days)
    return {}


def _part_next(folder: Path, shape: Many) -> dict[str, Any]:
    land(folder, shape, shape.days, shape.days + 1)
    return {}


def _part_definitions(folder: Path, shape: Many) -> dict[str, Any]:
    from dagster_project.definitions import defs

    job = defs.resolve_job_def("reconcile")
    graph = defs.resolve_asset_graph()
    return {
        "steps": len(job.graph.nodes),
        "assets": len(graph.get_all_asset_keys()),
        "checks": len(graph.asset_check_keys),
    }


def _part_parse(folder: Path, shape: Many) -> dict[str, Any]:
    """Rendering and dbt's parse, its import left out; partial when an earlier process has left its files."""
    import dbt.cli.main  # noqa: F401

    from dagster_project.core.load import load_workspace
    from dagster_project.resources.dbt import DbtProject

    started = time.perf_counter()
    workspace = load_workspace(folder / "expectations")
    loaded = time.perf_counter()
    project = DbtProject(CHECKOUT / "dbt", folder / "parse", {"RECON_DUCKDB_PATH": ":memory:"})
    project.render(workspace)
    rendered = time.perf_counter()
    project.manifest()
    return {
        "contract": loaded - started,
        "render": rendered - loaded,
        "parse": time.perf_counter() - rendered,
    }


def _part_run(folder: Path, shape: Many, *, days: int | None = None) -> dict[str, Any]:
    """The scheduled job as one Dagster run: seconds of each step and model, and the statements that dbt sent."""
    from dagster_project.run import run_job
    from dagster_project.settings import Settings

    statements = _watch_statements()
    models = _watch_models()
    steps: dict[str, float] = {}

    def progress(step: str, state: str, seconds: float) -> None:
        if state == "done":
            steps[step] = seconds

    started, used = time.perf_counter(), time.process_time()
    outcome = run_job(Settings.from_environment(), as_of=shape.as_of(days or shape.days), progress=progress)
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - used,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "steps": steps,
        "models": models,
        "statements": len(statements),
        "statement_kb": sum(statements) / 1024,
        "longest_kb": max(statements, default=0) / 1024,
        "broken": outcome.broken,
        "held": len(outcome.held_gates),
    }


def _part_day(folder: Path, shape: Many) -> dict[str, Any]:
    return _part_run(folder, shape, days=shape.days + 1)


def _watch_statements() -> list[int]:
    """The lengths of the statements that dbt will send from now on."""
    from dbt.adapters.sql.connections import SQLConnectionManager

    lengths: list[int] = []
    send = SQLConnectionManager.add_query

    def add_query(self: Any, sql: str, *args: Any, **kwargs: Any) -> Any:
        lengths.append(len(sql))
        return send(self, sql, *args, **kwargs)

    SQLConnectionManager.add_query = add_query  # type: ignore[method-assign]
    return lengths


def _watch_models() -> dict[str, float]:
    """The seconds of each model that will be run from now on."""
    from dagster_project.resources.dbt import DbtProject

    seconds: dict[str, float] = {}
    run = DbtProject.run

    def run_and_note(self: Any, *args: Any, **kwargs: Any) -> Any:
        done = run(self, *args, **kwargs)
        for model in done:
            kind = "stg_*" if model.name.startswith("stg_") else model.name
            seconds[kind] = seconds.get(kind, 0.0) + model.seconds
        return done

    DbtProject.run = run_and_note  # type: ignore[method-assign]
    return seconds


PARTS: Final[dict[str, Callable[[Path, Many], dict[str, Any]]]] = {
    "make": _part_make,
    "next": _part_next,
    "definitions": _part_definitions,
    "parse": _part_parse,
    "run": _part_run,
    "day": _part_day,
}


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RECON_", "SLACK_"))}
    kept.pop("DAGSTER_HOME", None)
    return kept | {
        "RECON_EXPECTATIONS_DIR": str(folder / "expectations"),
        "RECON_DUCKDB_PATH": str(folder / "warehouse.duckdb"),
        "RECON_STATE_DIR": str(folder / "state"),
    }


def _process(command: list[str], folder: Path, *, exits: tuple[int, ...] = (0,)) -> tuple[float, int, str]:
    """Seconds, peak memory in MB and standard output of one process."""
    said, answered = folder / "stderr.txt", folder / "stdout.txt"
    started = time.perf_counter()
    with said.open("w") as errors, answered.open("w") as answers:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=_environment(folder), stdout=answers, stderr=errors
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in exits:
        raise SystemExit(f"{' '.join(command)} broke; it said:\n{said.read_text('utf-8')[-3000:]}")
    return time.perf_counter() - started, used.ru_maxrss // 1024, answered.read_text("utf-8")


def _part(name: str, folder: Path, options: argparse.Namespace) -> tuple[float, int, dict[str, Any]]:
    command = [sys.executable, __file__, "--part", name, "--keep", str(folder)]
    for option in ("sources", "events", "destinations", "rules", "messages", "days"):
        command += [f"--{option}", str(getattr(options, option))]
    seconds, peak, said = _process(command, folder)
    answer: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return seconds, peak, answer


# ------------------------------------------------------------------------------------------------ the table


def main() -> None:
    options = _options()
    shape = Many(
        options.sources, options.events, options.destinations, options.rules, options.messages, options.days
    )
    if options.part:
        sys.path.insert(0, str(CHECKOUT))
        print(json.dumps(PARTS[options.part](Path(options.keep), shape)))
        return
    folder = Path(options.keep or tempfile.mkdtemp(prefix="recon_many_"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _measure(folder, shape, options)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sources", type=int, default=40)
    parser.add_argument("--events", type=int, default=200, help="of each source")
    parser.add_argument("--destinations", type=int, default=60)
    parser.add_argument(
        "--rules", type=int, default=2_000, help="of the plans on properties, over all sources"
    )
    parser.add_argument("--messages", type=int, default=2_000, help="of each source on each day")
    parser.add_argument("--days", type=int, default=7, help="of history")
    parser.add_argument(
        "--keep", metavar="FOLDER", help="make the workspace there, or use the one that is there"
    )
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not 1 <= options.destinations <= 62 or min(options.sources, options.events, options.days) < 1:
        parser.error("write 1 to 62 destinations, and at least one source, event and day")
    return options


def _measure(folder: Path, shape: Many, options: argparse.Namespace) -> None:
    fresh = not (folder / "warehouse.duckdb").exists()
    if fresh:
        seconds, _, _ = _part("make", folder, options)
        print(f"made in {seconds:.0f} s; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(
        f"{shape.sources} sources x {shape.events} events, {shape.destinations} destinations, {shape.rules:,} rules, "
        f"{shape.sources * shape.messages:,} messages a day, {shape.days} days\n"
    )
    print(f"{'a process of its own':<44}{'seconds':>9}{'peak MB':>9}")
    for title, command in (
        ("recon check", ["check"]),
        ("recon generate, from nothing", ["generate"]),
        ("recon generate --check", ["generate", "--check"]),
    ):
        seconds, peak, _ = _process([*RECON, *command], folder)
        _line(title, seconds, peak)
    seconds, peak, loaded = _part("definitions", folder, options)
    _line("load definitions and resolve the job", seconds, peak)
    print("  " + ", ".join(f"{count} {name}" for name, count in loaded.items()))
    shutil.rmtree(folder / "parse", ignore_errors=True)
    for title in ("dbt, from nothing", "dbt, nothing changed"):
        seconds, peak, parsed = _part("parse", folder, options)
        _line(title, seconds, peak)
        print("  " + ", ".join(f"{name} {each:.2f}" for name, each in parsed.items()))
    if fresh:
        _say_run("first run", *_part("run", folder, options))
        _part("next", folder, options)
        _say_run("the next day", *_part("day", folder, options))


def _say_run(title: str, wall: float, peak: int, done: dict[str, Any]) -> None:
    print(f"\n{title:<44}{'seconds':>9}{'peak MB':>9}")
    _line("the whole process", wall, peak)
    each_of = {"gated__gate_": [0, 0.0], "published__release_": [0, 0.0]}
    for step, seconds in done["steps"].items():
        group = next((name for name in each_of if step.startswith(name)), None)
        if group is None:
            _line(f"  {step}", seconds)
        else:
            each_of[group][0] += 1
            each_of[group][1] += seconds
    for name, (count, seconds) in each_of.items():
        _line(f"  {name}* ({count} steps)", seconds)
    _line("  outside of steps", done["seconds"] - sum(done["steps"].values()))
    print(
        f"  dbt sent {done['statements']:,} statements of {done['statement_kb']:,.0f} KB, the longest "
        f"{done['longest_kb']:,.0f} KB; {done['held']} gates held; broken: {done['broken'] or 'none'}"
    )
    for name, seconds in sorted(done["models"].items(), key=lambda each: -each[1])[:SLOWEST]:
        _line(f"    {name}", seconds)


def _line(title: str, seconds: float, peak: int | None = None) -> None:
    print(f"{title:<44}{seconds:>9.2f}{'' if peak is None else f'{peak:>9,}'}", flush=True)


if __name__ == "__main__":
    main()
