"""Messages in quarantine are left out of the published numbers once each, and the books with them still balance."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from normalised.small_workspace import TRACKS, Project, make, planned, track

from dagster_project.core.families import Evidence, Subject, judged_frame
from dagster_project.core.incidents import INCIDENT_COLUMNS
from dagster_project.flow.exported import read_exports
from dagster_project.flow.judged import judge
from dagster_project.flow.matched import match
from dagster_project.flow.normalised import normalise
from dagster_project.flow.sources import read_sources
from dagster_project.generate.files import render_suites

pytestmark = pytest.mark.dbt

DAY = date(2026, 11, 1)
AS_OF = datetime(2026, 11, 5)
MODELS = [
    *("reconciliation_daily", "message_differences", "int_quarantined_daily"),
    *("event_counts_daily", "quarantined_daily", "window_status"),
]
EVENTS = ["Order Completed", "Signed Up"]
COLUMNS = {"event_name": "name", "event_time": "happened"}
PLAN = [
    planned(
        "Order Completed",
        {"total": {"type": "number", "minimum": 0}, "currency": {"enum": ["EUR", "USD"]}},
        ["total"],
    ),
    planned("Signed Up", {}),
]
# Of each order: the hour, what lands in total and currency, and the ways in which it breaks the plan.
ORDERS: list[tuple[int, str, str, set[tuple[str, str]]]] = [
    (6, "10", "'EUR'", set()),
    (7, "-1", "'EUR'", {("total", "range")}),
    (8, "-1", "'JPY'", {("total", "range"), ("currency", "enum")}),
    (9, "null", "'JPY'", {("total", "required"), ("currency", "enum")}),
    (10, "null", "null", {("total", "required")}),
    (11, "5", "'USD'", set()),
    (12, "6", "'usd'", {("currency", "enum")}),
]
MISSING = {"app-o8", "app-o11"}  # never arrived at ads


def contract(
    matched_by: dict[str, str], table: str, grain: str = "event", events: Any = EVENTS
) -> dict[str, Any]:
    return {
        "timezone": "Asia/Kolkata",
        "grain": grain,
        "receives": {"sources": "all", "events": events},
        "export": {"table": table, "columns": matched_by},
    }


def order(message: str, hour: int, total: str, currency: str, *, received: str | None = None) -> str:
    at = f"2026-11-01 {hour:02}:00:00"
    times = ", ".join(f"'{each}+00'" for each in (received or at, at, at, at))
    return f"'{message}', 'Order Completed', 'u', 'a', {times}, {total}, {currency}"


def built(folder: Path, quarantine: list[dict[str, Any]]) -> Project:
    project = make(
        folder,
        {"app": {}, "web": {}},
        {
            "ads": contract({**COLUMNS, "message_id": "mid"}, "exports.ads"),
            "crm": contract({**COLUMNS, "user_id": "uid"}, "exports.crm"),
            "all": contract({**COLUMNS, "message_id": "mid"}, "exports.every", events="all"),
            "tally": contract(
                {"event_name": "name", "day": "day", "count": "n"}, "exports.tally", "daily_counts"
            ),
        },
        PLAN,
        quarantine=quarantine,
    )
    landed: list[tuple[str, str, int]] = []
    for source in ("app", "web"):
        rows = [(f"{source}-o{hour}", "Order Completed", hour) for hour, *_ in ORDERS]
        rows += [(f"{source}-s{hour}", "Signed Up", hour) for hour in (6, 7)]
        rows += [(f"{source}-x{hour}", "Never Planned", hour) for hour in (6, 7, 8)]
        landed += rows
        tracks = [
            track(mid, event, f"2026-11-01 {hour:02}:00:00", user=f"{mid}-u") for mid, event, hour in rows
        ]
        # A copy of a message that breaks the plan is still one message.
        tracks.append(
            track(
                rows[1][0],
                rows[1][1],
                "2026-11-01 07:00:00",
                user=f"{rows[1][0]}-u",
                received="2026-11-02 09:00:00",
            )
        )
        project.land(f"{source}.tracks", TRACKS, tracks)
        project.land(
            f"{source}.order_completed",
            f"{TRACKS.replace('event varchar, ', '')}, total double, currency varchar",
            [order(f"{source}-o{hour}", hour, total, currency) for hour, total, currency, _ in ORDERS]
            + [order(f"{source}-o7", 7, "-1", "'EUR'", received="2026-11-02 09:00:00")],
        )
    at = "2026-11-01T{:02}:00:00Z"
    project.land(
        "exports.ads",
        "name varchar, happened varchar, mid varchar",
        [
            f"'{event}', '{at.format(h)}', '{mid}'"
            for mid, event, h in landed
            if event in EVENTS and mid not in MISSING
        ],
    )
    project.land(
        "exports.every",
        "name varchar, happened varchar, mid varchar",
        [f"'{event}', '{at.format(h)}', '{mid}'" for mid, event, h in landed],
    )
    project.land(
        "exports.crm",
        "name varchar, happened varchar, uid varchar",
        [
            f"'{event}', '{at.format(h)}', '{mid}-u'"
            for mid, event, h in landed
            if event in EVENTS and mid not in MISSING
        ],
    )
    project.land(
        "exports.tally",
        "name varchar, day date, n bigint",
        ["'Order Completed', date '2026-11-01', 14", "'Signed Up', date '2026-11-01', 4"],
    )
    for stage in (read_sources, read_exports, normalise, match):
        stage(project.context(AS_OF))
    project.put(
        "gate_current",
        [{"destination": name, "day": DAY, "verdict": "open"} for name in ("ads", "crm", "all", "tally")],
    )
    project.dbt.run(MODELS)
    return project


def counts(project: Project) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    rows = project.rows(
        "select destination, event, sent, delivered, quarantined, quarantined_delivered"
        f" from reconciliation_published.event_counts_daily where day = date '{DAY}'"
    )
    return {(row[0], row[1]): tuple(row[2:]) for row in rows}


def left_out(project: Project, destination: str) -> dict[tuple[Any, ...], int]:
    rows = project.rows(
        "select source, event, property, rule, messages from reconciliation_published.quarantined_daily"
        f" where destination = '{destination}'"
    )
    return {tuple(row[:4]): row[4] for row in rows}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return built(
        tmp_path_factory.mktemp("quarantine") / "small",
        [
            {"event": "Order Completed", "property": "currency"},
            {"source": "app", "event": "Order Completed", "property": "total", "rule": ["required", "range"]},
            {"rule": "unplanned_event", "source": "web"},
        ],
    )


def test_a_message_that_breaks_several_rules_is_left_out_once_under_the_first(project: Project) -> None:
    assert left_out(project, "ads") == {
        ("app", "Order Completed", "currency", "enum"): 3,
        ("app", "Order Completed", "total", "range"): 1,
        ("app", "Order Completed", "total", "required"): 1,
        ("web", "Order Completed", "currency", "enum"): 3,
    }


def test_what_is_counted_and_what_is_left_out_is_what_was_sent(project: Project) -> None:
    found = counts(project)
    # 14 orders, 8 of them in quarantine; of the two that never arrived one is.
    assert found["ads", "Order Completed"] == (6, 5, 8, 7)
    assert found["crm", "Order Completed"] == (6, 5, 8, 7)
    assert found["ads", "Signed Up"] == (4, 4, 0, 0)
    # Counts cannot tell which of them came: those in quarantine are taken to be among what did.
    assert found["tally", "Order Completed"] == (6, 6, 8, 8)
    results = project.dbt.run(["assert_quarantine_balances"], command="test")
    assert {result.status for result in results} == {"pass"}


def test_an_unplanned_name_is_left_out_where_it_would_be_received(project: Project) -> None:
    assert counts(project)["all", "Never Planned"] == (3, 3, 3, 3)
    assert left_out(project, "all")["web", "Never Planned", None, "unplanned_event"] == 3
    assert ("ads", "Never Planned") not in counts(project)


def test_nothing_is_left_out_unless_the_contract_says_so(tmp_path: Path) -> None:
    plain = built(tmp_path / "plain", [])
    assert plain.rows("select count(*) from reconciliation_published.quarantined_daily") == [(0,)]
    assert counts(plain)["ads", "Order Completed"] == (14, 12, 0, 0)


def test_a_held_day_tells_nothing_of_its_quarantine(project: Project, tmp_path: Path) -> None:
    held = project.with_own_rows(tmp_path / "held")
    held.put("gate_current", [{"destination": "ads", "day": DAY, "verdict": "held"}])
    held.dbt.run(["event_counts_daily", "quarantined_daily"])
    assert held.rows("select count(*) from reconciliation_published.quarantined_daily") == [(0,)]


QUARANTINE_RULE = "counts.quarantine_is_part_of_it"


def _verdicts(project: Project, folder: Path) -> dict[str, tuple[str, bool]]:
    render_suites(project.workspace, project.folder / "expectations", folder)
    project.warehouse.ensure(
        "reconciliation_work.incident_windows",
        {
            "incident_id": "varchar",
            "kind": "varchar",
            "severity": "varchar",
            "destination": "varchar",
            "day": "date",
        },
    )
    project.warehouse.ensure("reconciliation.incidents", INCIDENT_COLUMNS)
    results = judge(project.warehouse, folder, project.workspace, {"ads": [DAY]}, "run", None)
    return {each.rule_id: (each.status, each.gates) for each in results if each.subject == "destination:ads"}


def test_a_quarantine_that_is_no_part_of_the_books_closes_the_gate(project: Project, tmp_path: Path) -> None:
    spoilt = project.with_own_rows(tmp_path / "spoilt")
    assert _verdicts(spoilt, tmp_path / "suites")[QUARANTINE_RULE] == ("PASS", True)
    spoilt.warehouse.execute(
        "update reconciliation_work.int_quarantined_daily set messages = messages + 20 where destination = 'ads'"
    )
    assert _verdicts(spoilt, tmp_path / "suites")[QUARANTINE_RULE] == ("FAIL", True)


def test_what_is_left_out_of_no_cell_has_a_row_of_its_own(project: Project) -> None:
    rows = project.warehouse.frame(
        "select date '2026-11-01' as day, 'ads' as destination, 'Ghost' as event, 2 as messages"
    )
    frame = judged_frame(
        Subject("destination", "ads"), "counts", Evidence({"quarantined": rows}), project.workspace, [DAY]
    )
    ghost = frame[frame["event"] == "Ghost"]
    assert ghost[["expected", "quarantined"]].to_numpy().tolist() == [[0.0, 2.0]]
