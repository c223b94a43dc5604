"""`recon run --plan` says the days and the models of a run, and opens no warehouse but a DuckDB file to read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from commands.conftest import AS_OF, CHECKOUT, Desk

from dagster_project.cli.dry_run import WINDOWS
from dagster_project.core.contracts import Destination, Source, Workspace
from dagster_project.core.foresight import Span, State, days_of_run

NOON = datetime(2026, 11, 15, 12)
TODAY = date(2026, 11, 15)


def workspace(**more: Any) -> Workspace:
    return Workspace(
        name="shop",
        starts_on=date(2026, 1, 1),
        lookback_days=35,
        sources=(Source(name="web"), Source(name="app")),
        destinations=(Destination(name="mail", timezone="Asia/Kolkata"), Destination(name="crm")),
        **more,
    )


def test_without_a_state_every_day_within_lookback_is_new() -> None:
    days = days_of_run(workspace(), NOON, None)

    assert not days.known
    assert days.looked_at == Span(date(2026, 10, 11), TODAY)
    assert days.sources["web"] == days.exports["crm"] == Span(date(2026, 10, 11), TODAY)


def test_nothing_before_the_workspace_starts_is_looked_at() -> None:
    told = workspace().model_copy(update={"starts_on": date(2026, 11, 10)})

    assert days_of_run(told, NOON, None).looked_at == Span(date(2026, 11, 10), TODAY)


def test_with_a_state_what_came_since_is_read_and_the_last_known_day_again() -> None:
    state = State({"web": date(2026, 11, 14), "app": date(2026, 11, 12)}, {"mail": date(2026, 11, 14)})
    days = days_of_run(workspace(), NOON, state)

    assert days.known
    assert days.sources == {"web": Span(date(2026, 11, 14), TODAY), "app": Span(date(2026, 11, 12), TODAY)}
    # A destination that the state does not know is new.
    assert days.exports["mail"].first == date(2026, 11, 14)
    assert days.exports["crm"].first == date(2026, 10, 11)


def test_a_day_that_was_left_open_is_done_again() -> None:
    known = dict.fromkeys(("web", "app"), date(2026, 11, 14))
    state = State(known, dict.fromkeys(("mail", "crm"), date(2026, 11, 14)), {"crm": (date(2026, 11, 3),)})
    days = days_of_run(workspace(), NOON, state)

    assert days.reconciled["crm"].first == date(2026, 11, 3)
    assert days.reconciled["mail"].first == date(2026, 11, 14)


def test_days_that_are_asked_for_are_the_days_that_are_done() -> None:
    days = days_of_run(workspace(), NOON, None, from_day=date(2026, 9, 1), to_day=date(2026, 9, 30))

    assert set(days.reconciled.values()) == {Span(date(2026, 9, 1), date(2026, 9, 30))}
    # What is landed is looked at from a day before: its messages may belong to the first.
    assert days.looked_at.first == date(2026, 8, 31)


def test_a_destinations_today_is_its_own() -> None:
    late = datetime(2026, 11, 15, 20)  # past midnight in Kolkata
    days = days_of_run(workspace(), late, None)

    assert days.reconciled["mail"].last == TODAY + timedelta(days=1)
    assert days.reconciled["crm"].last == TODAY


def test_limits_that_leave_no_day_are_told_as_none() -> None:
    days = days_of_run(workspace(), NOON, None, from_day=date(2027, 1, 1))

    assert days.reconciled["crm"].days == 0


def test_days_that_are_asked_for_are_read_again(empty_desk: Desk) -> None:
    done = empty_desk.recon("run", "--plan", "--from", "2026-11-02", "--to", "2026-11-03")
    assert "and again 2026-11-02 to 2026-11-03 (2 days), which was asked for" in done.out, done.err
    assert done.err == ""  # the locks of the manifest that it parsed are not left behind
    assert "which was asked for" not in empty_desk.recon("run", "--plan", "--from", "2026-11-02").out


def test_a_plan_needs_no_connection_for_snowflake(empty_desk: Desk, tmp_path: Path) -> None:
    environment = empty_desk.environment | {"RECON_TARGET": "snowflake"}
    assert not [name for name in environment if name.startswith("SNOWFLAKE_")]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("recon")), "run", "--plan", "--format", "json"],
        cwd=CHECKOUT,
        env=environment | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["target"] == "snowflake" and not plan["state"]["known"]
    stages = {each["stage"]: each for each in plan["stages"]}
    assert list(stages)[:4] == ["sources", "exported", "normalised", "matched"]
    models = [model for stage in stages.values() for model in stage["models"]]
    names = [model["name"] for model in models]
    assert names.index("stg_segment__web") < names.index("int_messages") < names.index("int_cells_daily")
    windows = {model["name"]: model["window"] for model in models}
    assert windows["int_messages"].endswith("received_days")
    assert windows["int_deliveries"].endswith("export_days")
    assert set(windows.values()) - {None} <= set(WINDOWS), "each window has words"
    assert all(stages[name]["statements"] >= len(stages[name]["models"]) for name in stages)


def _with_state(desk: Desk) -> None:
    with duckdb.connect(str(desk.folder / "warehouse.duckdb")) as db:
        db.execute("create schema if not exists reconciliation_work")
        db.execute(
            "create or replace table reconciliation_work.state_census as select * from (values"
            " ('source', 'web', date '2026-11-14', 100::bigint, 'x'), ('source', 'web', date '2026-11-13', 90, 'x'),"
            " ('source', 'app', date '2026-11-13', 7, 'x'), ('destination', 'mail', date '2026-11-14', 50, 'x'),"
            " ('destination', 'crm', date '2026-11-14', 50, 'x')) as t (kind, name, day, rows_seen, checksum)"
        )


def test_the_state_of_the_last_run_is_read_and_nothing_is_written(empty_desk: Desk) -> None:
    _with_state(empty_desk)
    file = empty_desk.folder / "warehouse.duckdb"
    before = file.read_bytes()

    done = empty_desk.recon("run", "--plan", "--format", "json", "--as-of", f"{AS_OF.isoformat()}Z")

    assert done.code == 0, done.err
    assert done.json["state"]["known"]
    assert done.json["days"]["sources"]["web"] == {"from": "2026-11-14", "to": "2026-11-15", "days": 2}
    assert done.json["days"]["sources"]["app"]["from"] == "2026-11-13"
    assert sum(step["rows_when_last_counted"] for step in done.json["steps"]) == 197
    assert file.read_bytes() == before


def test_a_file_that_is_being_written_is_no_reason_to_fail(empty_desk: Desk) -> None:
    _with_state(empty_desk)
    with duckdb.connect(str(empty_desk.folder / "warehouse.duckdb")):
        done = empty_desk.recon("run", "--plan")

    assert done.code == 0, done.err
    assert "cannot be read now" in done.out
    assert "every day within lookback counts as new" in done.out


@pytest.mark.parametrize("words", [("--from", "2026-11-09", "--to", "2026-11-01"), ("--as-of", "soon")])
def test_wrong_use_is_refused_as_it_is_for_a_run(empty_desk: Desk, words: tuple[str, ...]) -> None:
    assert empty_desk.recon("run", "--plan", *words).code == 2
