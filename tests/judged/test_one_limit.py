"""One limit for all judges: the diagnosis sets it; status, expectations and gate never contradict it or each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import pytest
from judged.conftest import Convene
from judged.evidence import DAY, allowed, cell, incident, land, together, workspace

from dagster_project.core.families import KINDS, Evidence, Subject, judged_frame
from dagster_project.flow.judged import CheckResult
from dagster_project.resources.warehouse import Warehouse

MODEL = Path(__file__).parents[2] / "dbt" / "models" / "diagnosed" / "reconciliation_daily.sql"
EMAIL = "destination:email"
DAYS = [DAY + timedelta(days=n) for n in range(6)]
MEASURES = ("missing", "duplicates", "unexpected")
SEVERITIES = ("info", "warning", "error", "critical")

Tables = dict[str, list[dict[str, Any]]]


def generated(seed: int) -> Tables:
    """Cells at, below and beyond their limits in each measure; immature, unexported and unjudged ones among them."""
    random = np.random.default_rng(seed)
    cells, limits = [], []
    # A day's export is there for all of its events or for none.
    landed = {day: bool(random.random() < 0.8) for day in DAYS}
    for number in range(240):
        day, event = DAYS[number % len(DAYS)], f"event {number}"
        most = {what: int(random.choice([0, 1, 4, 30])) for what in MEASURES}
        beyond = {what: int(random.choice([0, 0, 0, 1, 400])) for what in MEASURES}
        within = {what: int(random.integers(0, most[what] + 1)) for what in MEASURES}
        mature, judged = bool(random.random() < 0.8), bool(random.random() < 0.8)
        counts = {what: most[what] + beyond[what] if beyond[what] else within[what] for what in MEASURES}
        expected = counts["missing"] + int(random.choice([0, 1, 50, 5_000]))
        if not landed[day]:
            counts = {"missing": expected, "duplicates": 0, "unexpected": 0}
        if not mature:
            counts |= {"missing": 0, "pending": counts["missing"]}
        cells.append(cell(event, day, expected=expected, mature=mature, exported=landed[day], **counts))
        if judged and mature:
            limits.append(allowed(event, day, **{f"allowed_{what}": most[what] for what in MEASURES}))
    return {"cells": cells, "limits": limits}


def beyond(tables: Tables) -> dict[str, set[tuple[date, str]]]:
    """The cells with more than the diagnosis allows, by measure, straight from the tables."""
    limits = {(row["day"], row["event"]): row for row in tables["limits"]}
    found: dict[str, set[tuple[date, str]]] = {what: set() for what in MEASURES}
    for row in tables["cells"]:
        key = (row["day"], row["event"])
        for what in MEASURES:
            if key in limits and row["mature"] and row[what] > limits[key][f"allowed_{what}"]:
                found[what].add(key)
    return found


def statuses(warehouse: Warehouse) -> dict[tuple[date, str], str]:
    """What reconciliation_daily says: its own SQL, with the tables of this test in the places of its inputs."""
    names = {
        "int_cells_daily": "reconciliation_work.int_cells_daily",
        "int_open_days": "(select distinct destination, day, true as in_scope from"
        " reconciliation_work.int_cells_daily)",
    }
    sql = jinja2.Template(MODEL.read_text("utf-8")).render(
        config=lambda **_: "",
        ref=names.__getitem__,
        source=lambda _, name: f"reconciliation_work.{name}",
    )
    rows = warehouse.frame(sql)
    return {
        (pd.Timestamp(day).date(), event): status
        for day, event, status in zip(rows["day"], rows["event"], rows["status"], strict=True)
    }


def failing(result: CheckResult) -> set[tuple[date, str]]:
    assert result.failing_count == len(result.failing) or result.failing_count > 50
    return {
        (date.fromisoformat(day), event)
        for day, event in zip(result.failing["day"], result.failing["event"], strict=True)
    }


@pytest.mark.parametrize("seed", range(40))
def test_a_cell_is_beyond_its_limit_where_the_status_says_so_and_nowhere_else(
    tmp_path: Path, seed: int
) -> None:
    tables = generated(seed)
    over = set().union(*beyond(tables).values())
    rows = {(row["day"], row["event"]): row for row in tables["cells"]}
    status = statuses(land(tmp_path / "warehouse.duckdb", tables))
    assert set(status) == set(rows)
    for key, said in status.items():
        if said == "no_export":
            # A day without any export is told as such, whatever is missing of it.
            assert not rows[key]["exported"]
        else:
            assert (said == "discrepant") is (key in over), (key, said)
        if not rows[key]["mature"]:
            assert said == "pending"


def test_generated_cells_take_every_side() -> None:
    tables = generated(0)
    assert all(len(cells) > 5 for cells in beyond(tables).values())
    assert {row["mature"] for row in tables["cells"]} == {True, False}
    assert {row["exported"] for row in tables["cells"]} == {True, False}
    assert len(tables["limits"]) < sum(row["mature"] for row in tables["cells"])


@pytest.mark.parametrize("seed", [0, 1])
def test_an_expectation_fails_for_the_cells_beyond_their_limit_and_for_no_other(
    convene: Convene, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("dagster_project.flow.judged.WORST_ROWS", 10_000)
    tables = generated(seed)
    results = convene(tables, workspace(events=None)).judge({"email": DAYS})
    for what, cells in beyond(tables).items():
        result = results[EMAIL, f"counts.{what}"]
        assert result.status == ("FAIL" if cells else "PASS")
        assert failing(result) == cells
        assert {each.day for each in result.days} == {day for day, _ in cells}
        # That a count is too large is told; what holds the gate is the incident that was found on it.
        assert not result.gates


def test_the_statuses_of_a_real_run_and_its_expectations_are_of_one_mind(convene: Convene) -> None:
    tables = generated(2)
    court = convene(tables, workspace(events=None))
    results = court.judge({"email": DAYS})
    days = {each.day for what in MEASURES for each in results[EMAIL, f"counts.{what}"].days}
    said = statuses(court.warehouse)
    silent = {day for (day, _), status in said.items() if status == "no_export"}
    assert {day for (day, _), status in said.items() if status == "discrepant"} == days - silent


def with_incidents(seed: int, severities: tuple[str, ...]) -> tuple[Tables, dict[tuple[str, date], str]]:
    """Cells within their limits, and incidents of these severities on some of their windows."""
    random = np.random.default_rng(seed)
    tables: Tables = {
        "cells": [cell(event, day) for day in DAYS for event in ("Signup Completed", "Purchase Completed")],
        "limits": [
            allowed(event, day) for day in DAYS for event in ("Signup Completed", "Purchase Completed")
        ],
    }
    worst: dict[tuple[str, date], str] = {}
    for number in range(8):
        family = str(random.choice(sorted(KINDS)))
        kind = str(random.choice(sorted(KINDS[family])))
        severity = str(random.choice(severities))
        days = [day for day in DAYS if random.random() < 0.3] or [DAYS[0]]
        event = [None, "Signup Completed", "Nowhere Seen"][int(random.integers(3))]
        found = incident(kind, severity, days=days, incident_id=f"inc_{number}", event=event)
        tables = together(tables, found)
        for day in days:
            known = worst.get((family, day), "none")
            worst[family, day] = max(known, severity, key=("none", *SEVERITIES).index)
    return tables, worst


def held(results: Mapping[tuple[str, str], CheckResult]) -> set[tuple[str, date]]:
    """Families and days on which something that holds the gate did not pass."""
    return {
        (result.family, each.day)
        for result in results.values()
        if result.gates and result.status != "PASS"
        for each in result.days
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_an_open_incident_of_error_or_worse_fails_its_family_on_its_windows_and_nothing_else(
    convene: Convene, seed: int
) -> None:
    tables, worst = with_incidents(seed, SEVERITIES)
    hard = {key for key, severity in worst.items() if severity in ("error", "critical")}
    assert hard and hard != set(worst)
    assert held(convene(tables).judge({"email": DAYS})) == hard


def test_an_incident_of_warning_or_less_on_cells_within_their_limits_holds_nothing(convene: Convene) -> None:
    tables, worst = with_incidents(3, ("info", "warning"))
    assert worst
    results = convene(tables).judge({"email": DAYS})
    assert held(results) == set()
    assert {results[EMAIL, f"counts.{what}"].status for what in MEASURES} == {"PASS"}


def test_a_limit_is_a_count_and_no_share_of_it_is_rounded() -> None:
    # 0.1 * 3 is more than 0.3: a limit as a share would call the third of three allowed rows too many.
    tables = {"cells": [cell(expected=10, missing=3)], "limits": [allowed(most=3)]}
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    row = judged_frame(Subject("destination", "email"), "counts", Evidence(frames), workspace(), [DAY]).iloc[
        0
    ]
    assert (row["missing"], row["allowed_missing"]) == (3.0, 3.0)
    # The shares that people and suites written by hand see say the same.
    assert row["missing_share"] <= row["limit"]
