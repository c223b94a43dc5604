"""Stage `gated`: a stored verdict for each day of each destination, which is what `published` reads."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import pandas as pd

from dagster_project.core.diagnosis.evidence import HISTORY_DAYS
from dagster_project.core.gate import CLOSING, Decision, Window, decide
from dagster_project.flow.census import as_day, rows_of
from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import TABLES, WORK

VERDICTS: Final = TABLES["gate_current"]


@dataclass(frozen=True)
class Gated:
    """How many windows are open and held now, and what changed."""

    decisions: list[Decision]
    changed: int

    @property
    def held(self) -> int:
        return sum(each.verdict == "held" for each in self.decisions)


def gate(context: RunContext) -> Gated:
    """Decide every window of the last days; append the decisions that are new to `gate_verdicts`."""
    warehouse = context.warehouse
    since = max(context.as_of.date() - timedelta(days=HISTORY_DAYS), context.workspace.starts_on)
    known = [each.name for each in context.workspace.destinations]
    cells = warehouse.frame(
        "select destination, day, min(case when mature then 1 else 0 end) as mature "
        f"from {WORK}.int_cells_daily where day >= :since group by 1, 2 order by 1, 2",
        since=since,
    )
    windows = [
        Window(row.destination, as_day(row.day), bool(row.mature))
        for row in rows_of(cells)
        if row.destination in known
    ]
    incidents = warehouse.frame(
        "select w.destination, w.day, w.severity, i.title, i.incident_id "
        f"from {WORK}.incident_windows as w inner join reconciliation.incidents as i on w.incident_id = i.incident_id "
        "order by case w.severity when 'critical' then 0 else 1 end, i.incident_id"
    )
    by_window: dict[tuple[str, date], list[str]] = defaultdict(list)
    for row in rows_of(incidents[incidents["severity"].isin(CLOSING)]):
        by_window[row.destination, as_day(row.day)].append(f"{row.title} ({row.incident_id})")
    failed, broken = _checks(context, set(by_window))
    decisions = decide(
        windows,
        incidents=by_window,
        failed_checks=failed,
        broken_checks=broken,
        overrides=context.workspace.overrides,
        as_of=context.as_of,
    )
    return Gated(decisions, _store(context, decisions))


def _checks(
    context: RunContext, explained: set[tuple[str, date]]
) -> tuple[dict[tuple[str, date], list[str]], dict[tuple[str, date], list[str]]]:
    """Gating checks by window: those that failed where no incident closes it, and those that broke."""
    failed: dict[tuple[str, date], list[str]] = defaultdict(list)
    broken: dict[tuple[str, date], list[str]] = defaultdict(list)
    # A row with a day is one window of a check; the row without one sums the check up.
    results = context.warehouse.frame(
        f"select distinct destination, day, family, status, message from {WORK}.check_results "
        "where run_id = :run_id and gates and status in ('FAIL', 'ERROR') "
        "and day is not null and destination is not null order by 1, 2, 3, 4, 5",
        run_id=context.run_id,
    )
    for row in rows_of(results):
        key = (str(row.destination), as_day(row.day))
        if row.status == "ERROR":
            broken[key].append(f"{row.family}: {row.message}")
        elif key not in explained:
            failed[key].append(f"{row.family}: {row.message}")
    return failed, broken


def _store(context: RunContext, decisions: list[Decision]) -> int:
    frame = pd.DataFrame(
        [
            {
                "destination": each.destination,
                "day": each.day,
                "verdict": each.verdict,
                "reasons": json.dumps(list(each.reasons), ensure_ascii=False),
                "decided_at": context.as_of,
                "run_id": context.run_id,
                "overridden_by": each.overridden_by,
            }
            for each in decisions
        ],
        columns=list(VERDICTS),
    )
    warehouse = context.warehouse
    before = warehouse.frame(
        f"select destination, day, verdict, reasons, decided_at, run_id from {WORK}.gate_current"
    )
    old = {(row.destination, as_day(row.day)): row for row in rows_of(before)}
    new = [
        index
        for index, row in enumerate(rows_of(frame))
        if (key := (row.destination, row.day)) not in old
        or (old[key].verdict, old[key].reasons) != (row.verdict, row.reasons)
    ]
    appended = frame.iloc[new]
    # A verdict that stands keeps the time and the run of its decision.
    unchanged = frame.index.difference(appended.index)
    kept = [old[decisions[index].destination, decisions[index].day] for index in unchanged]
    frame.loc[unchanged, "decided_at"] = [row.decided_at for row in kept]
    frame.loc[unchanged, "run_id"] = [row.run_id for row in kept]
    with warehouse.transaction() as session:
        session.ensure("reconciliation.gate_verdicts", VERDICTS)
        session.append("reconciliation.gate_verdicts", appended)
        session.replace(f"{WORK}.gate_current", frame, VERDICTS)
    return len(appended)
