"""Judged: does each expectation hold? Runs the suites on the evidence and writes what became of each."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pandas as pd

from dagster_project.core.contracts import Workspace
from dagster_project.core.families import (
    FAMILIES_OF,
    IDENTITY,
    NEEDS,
    Evidence,
    Subject,
    judged_frame,
    measured,
    subjects,
    worst_first,
)
from dagster_project.core.ledger import LEDGER_COLUMNS
from dagster_project.core.message import redacted, shown
from dagster_project.flow.census import as_day
from dagster_project.flow.inputs import TABLES, WORK
from dagster_project.flow.ledger import LEDGER
from dagster_project.generate.files import render_suites
from dagster_project.generate.suites import (
    GENERATED_BY,
    SuiteProblem,
    expectations,
    is_generated,
    read_suite,
)
from dagster_project.resources.outcomes import Memory, Outcome

if TYPE_CHECKING:
    from dagster_project.flow.context import RunContext
    from dagster_project.resources.gx import Suites
    from dagster_project.resources.warehouse import Warehouse, WarehouseSession

logger = logging.getLogger(__name__)

CHECK_RESULTS: Final = "reconciliation_work.check_results"
CHECK_RESULTS_COLUMNS: Final[Mapping[str, str]] = {
    "run_id": "varchar",
    "subject": "varchar",
    "family": "varchar",
    "rule_id": "varchar",
    "destination": "varchar",
    "day": "date",
    "status": "varchar",
    "gates": "boolean",
    "measured": "varchar",
    "message": "varchar",
}
LIMITS: Final = f"{WORK}.diagnosis_limits"
QUARANTINED: Final = f"{WORK}.int_quarantined_daily"
QUARANTINED_COLUMNS: Final[Mapping[str, str]] = {
    "day": "date",
    "destination": "varchar",
    "source": "varchar",
    "event": "varchar",
    "property": "varchar",
    "rule": "varchar",
    "messages": "bigint",
    "missing": "bigint",
    "undecided": "bigint",
}
# Written by the diagnosis with the incidents; a workspace that has never been diagnosed has none yet.
_OF_DIAGNOSIS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "limits": (LIMITS, TABLES["diagnosis_limits"]),
    "ledger": (LEDGER, LEDGER_COLUMNS),
    "quarantined": (QUARANTINED, QUARANTINED_COLUMNS),
}
WORST_ROWS: Final = 50
_PROBLEM_LENGTH: Final = 300

_SELECT: Final[Mapping[str, str]] = {
    "names": "select day, source, event_text, messages, planned from reconciliation.event_names_daily"
    " where day between :first and :last",
    "cells": "select day, destination, event, expected, delivered, missing, pending, duplicates, unexpected,"
    " matched_by, mature, exported from reconciliation_work.int_cells_daily"
    " where day between :first and :last",
    "delivery_names": "select day, destination, event_name, deliveries, routable, event"
    " from reconciliation_work.int_delivery_names_daily where day between :first and :last",
    "not_expected": "select day, destination, source, event, reason, messages"
    " from reconciliation_work.int_not_expected_daily"
    " where day between :first and :last and reason in ('no_identifier', 'bad_identifier')",
    "shapes": "select day, source, event, identifier, shape, messages"
    " from reconciliation_work.int_identifier_shapes_daily where day between :first and :last",
    "violations": "select day, source, event, property, rule, messages"
    " from reconciliation.plan_violations_daily where day between :first and :last",
    "source_health": "select source, status, problem, last_received_at, messages"
    " from reconciliation_work.source_health",
    "export_health": "select destination, status, problem from reconciliation_work.export_health",
    "limits": "select destination, day, event, allowed_missing, allowed_duplicates, allowed_unexpected"
    f" from {LIMITS} where day between :first and :last",
    "ledger": "select day, destination, line, messages, counts_in_gap"
    f" from {LEDGER} where day between :first and :last",
    "quarantined": f"select day, destination, event, messages from {QUARANTINED}"
    " where day between :first and :last",
    # A window whose incident is not in the table counts as open, and so does one without a status: what
    # cannot be looked up is no reason to open the gate.
    "windows": "select w.destination, w.day, w.incident_id, w.kind, w.severity,"
    " i.source, i.event, i.renamed_to, i.property"
    " from reconciliation_work.incident_windows as w"
    " left join reconciliation.incidents as i on i.incident_id = w.incident_id"
    " where w.day between :first and :last and coalesce(i.status, 'open') <> 'resolved'",
    "incidents": "select incident_id, kind, severity, source, event, renamed_to, property,"
    " started_on, ended_on from reconciliation.incidents where status <> 'resolved' and source is not null",
}
_TABLES: Final[Mapping[str, str]] = {
    name: sql.split(" from ", 1)[1].split(" ", 1)[0] for name, sql in _SELECT.items()
}


@dataclass(frozen=True)
class FailingDay:
    """One judged day on which a check did not hold, or could not be judged."""

    day: date
    measured: dict[str, float]
    message: str


@dataclass(frozen=True)
class CheckResult:
    """What became of one expectation on one destination or source."""

    family: str
    subject: str  # destination:<name> or source:<name>
    expectation: str  # its type, as Great Expectations calls it
    rule_id: str
    status: Literal["PASS", "FAIL", "ERROR"]
    gates: bool  # whether anything but PASS holds the days below
    severity: str  # critical, warning or info
    measured: dict[str, float]
    failing: pd.DataFrame  # the worst rows, at most WORST_ROWS of failing_count
    failing_count: int
    days: tuple[FailingDay, ...] = ()
    message: str = ""

    @property
    def destination(self) -> str | None:
        """The destination that it is about; None for a source."""
        kind, _, name = self.subject.partition(":")
        return name if kind == "destination" else None


@dataclass(frozen=True)
class _Suite:
    """One suite about to be run: whose it is, what the file says, or why it cannot be used."""

    subject: Subject
    family: str
    name: str
    expectations: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None
    # Generated rules that hold the gate and are not in the file as they should be.
    stale: list[dict[str, Any]] = field(default_factory=list)


def judge(
    warehouse: Warehouse,
    suites_dir: Path,
    workspace: Workspace,
    days: Mapping[str, Sequence[date]],
    run_id: str,
    docs_dir: Path | None,
    *,
    judged_at: datetime | None = None,
    memory: Path | None = None,
) -> list[CheckResult]:
    """Judges these days of these destinations, and all sources on the days of any of them.

    Writes `reconciliation_work.check_results` and, unless `docs_dir` is None, Data Docs. A check that cannot
    be judged is an ERROR and stops no other one. With the file `memory`, a suite that has the rows before it
    that it had last time is not judged again: its outcomes and its page stand.
    """
    wanted = _wanted(workspace, days)
    if not wanted:
        write_results(warehouse, run_id, [])  # the gate asks for them all the same
        return []
    every_day = sorted({day for some in wanted.values() for day in some})
    evidence, broken = _read_evidence(warehouse, every_day)
    if memory is not None and docs_dir is not None and not (docs_dir / "index.html").exists():
        memory.unlink(missing_ok=True)  # a page that is gone can only be written from what is judged now
    court = _Court(Memory(memory))
    results: list[CheckResult] = []
    for suite in _suites(suites_dir, workspace, wanted):
        results += _judge_suite(suite, court, evidence, broken, workspace, wanted[suite.subject])
    write_results(warehouse, run_id, results)
    suites = [path.stem for path in suites_dir.glob("*.json")]
    try:
        if docs_dir is not None:
            court.write_docs(docs_dir, run_id, _in_utc(judged_at or datetime.now(UTC)), suites)
    except Exception:  # the verdicts stand without their pages
        logger.warning("Data Docs could not be written to %s", docs_dir, exc_info=True)
    else:
        # After the pages: what is remembered is not judged again, and so has no other chance of a page.
        court.memory.save(suites)
    return results


class _Court:
    """Great Expectations, once there are rows before it that it has not seen."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._judges: Suites | None = None

    def run(self, name: str, expectations: Sequence[Mapping[str, Any]], frame: pd.DataFrame) -> list[Outcome]:
        """One outcome for each expectation, in their order."""
        known = self.memory.recall(name, expectations, frame)
        if known is not None:
            return known
        outcomes = self._suites().run(name, expectations, frame)
        self.memory.keep(name, outcomes)
        return outcomes

    def write_docs(self, docs_dir: Path, run_id: str, judged_at: datetime, suites: Sequence[str]) -> None:
        """Write the pages of what was judged, and take away those of suites that are gone."""
        gone = self.memory.knows_more_than(suites)
        if self._judges is None and not gone and (docs_dir / "index.html").exists():
            return
        self._suites().write_docs(
            docs_dir, docs_dir.parent / "gx", run_id=run_id, judged_at=judged_at, keep=suites
        )

    def _suites(self) -> Suites:
        if self._judges is None:
            # Here, not above: the import takes seconds, and only a run that judges should pay for it.
            from dagster_project.resources.lean_import import import_great_expectations

            import_great_expectations()
            from dagster_project.resources.gx import Suites

            self._judges = Suites()
        return self._judges


def write_results(warehouse: Warehouse, run_id: str, results: Iterable[CheckResult]) -> None:
    """One row for each failing day, and one without a day for each check. A run's rows replace its own."""
    rows: list[dict[str, Any]] = []
    for result in results:
        common = {
            "run_id": run_id,
            "subject": result.subject,
            "family": result.family,
            "rule_id": result.rule_id,
            "destination": result.destination,
            "status": result.status,
            "gates": result.gates,
        }
        rows.append(common | {"day": None, "measured": _json(result.measured), "message": result.message})
        rows += [
            common | {"day": each.day, "measured": _json(each.measured), "message": each.message}
            for each in result.days
        ]
    frame = pd.DataFrame(rows, columns=list(CHECK_RESULTS_COLUMNS), dtype=object)
    frame["day"] = pd.to_datetime(frame["day"]).astype("datetime64[us]")
    frame["gates"] = frame["gates"].astype(bool)
    with warehouse.transaction() as session:
        session.ensure(CHECK_RESULTS, CHECK_RESULTS_COLUMNS)
        session.execute(f"delete from {CHECK_RESULTS} where run_id = :run_id", run_id=run_id)
        session.append(CHECK_RESULTS, frame)


# ---- what is judged --------------------------------------------------------------------------------------


def _wanted(workspace: Workspace, days: Mapping[str, Sequence[date]]) -> dict[Subject, list[date]]:
    known = {destination.name for destination in workspace.destinations}
    strange = sorted(set(days) - known)
    if strange:
        raise ValueError(
            f"no destination is named {strange[0]!r}; the contract has {', '.join(sorted(known))}"
        )
    every_day = sorted({as_day(day) for some in days.values() for day in some})
    found: dict[Subject, list[date]] = {}
    for subject in subjects(workspace):
        own = every_day
        if subject.kind == "destination":
            own = sorted({as_day(day) for day in days.get(subject.name, ())})
        if own:
            found[subject] = own
    return found


def _read_evidence(warehouse: Warehouse, days: Sequence[date]) -> tuple[Evidence, dict[str, str]]:
    """Every table once, for all destinations. What cannot be read is named, and breaks who needs it."""
    try:
        with warehouse.transaction() as session:  # one log-in for all
            return Evidence({name: _read(session, name, days) for name in _SELECT}), {}
    except Exception as error:
        logger.warning("not all of the evidence can be read: %s", _first_line(error))
    # A statement that failed may have ended the transaction for those after it, so each has its own now.
    tables: dict[str, pd.DataFrame] = {}
    broken: dict[str, str] = {}
    for name in _SELECT:
        try:
            with warehouse.transaction() as session:
                tables[name] = _read(session, name, days)
        except Exception as error:
            broken[name] = f"{_TABLES[name]} cannot be read: {_first_line(error)}"
    return Evidence(tables), broken


def _read(session: WarehouseSession, name: str, days: Sequence[date]) -> pd.DataFrame:
    if name in _OF_DIAGNOSIS:
        session.ensure(*_OF_DIAGNOSIS[name])
    limits = {"first": days[0], "last": days[-1]} if ":first" in _SELECT[name] else {}
    return session.frame(_SELECT[name], **limits)


def _suites(suites_dir: Path, workspace: Workspace, wanted: Mapping[Subject, list[date]]) -> list[_Suite]:
    found = []
    for subject in wanted:
        for family in FAMILIES_OF[subject.kind]:
            found.append(_load(suites_dir, workspace, subject, family, subject.suite(family)))
    expected = {suite.name for suite in found}
    ours = {subject.suite(family) for subject in subjects(workspace) for family in FAMILIES_OF[subject.kind]}
    for path in sorted(suites_dir.glob("*.json")):
        if path.stem in expected or path.stem in ours:
            continue
        owner = _owner_by_meta(path, workspace)
        if owner is not None and owner[0] in wanted:
            found.append(_load(suites_dir, workspace, *owner, path.stem, by_hand=True))
    return found


def _load(
    suites_dir: Path, workspace: Workspace, subject: Subject, family: str, name: str, *, by_hand: bool = False
) -> _Suite:
    file = f"{name}.json"
    path = suites_dir / file
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        problem = f"expectations/suites/{file}: the file is not there; run `{GENERATED_BY}`"
        return _Suite(subject, family, name, problem=problem)
    except (OSError, UnicodeDecodeError) as error:
        problem = f"expectations/suites/{file}: cannot be read ({_first_line(error)}); run `{GENERATED_BY}`"
        return _Suite(subject, family, name, problem=problem)
    try:
        listed = read_suite(file, content).get("expectations", [])
    except SuiteProblem as error:
        return _Suite(subject, family, name, problem=str(error))
    if by_hand:
        return _Suite(subject, family, name, listed)
    # What holds the gate must be exactly what the contract asks for. Anything weaker, or nothing at all,
    # would open it without a word.
    stale = []
    for rule in expectations(workspace, subject, family):
        if rule["meta"].get("gates") and rule not in listed:
            stale.append(rule)
            listed = [each for each in listed if not _same_rule(each, rule)]
    return _Suite(subject, family, name, listed, stale=stale)


def _same_rule(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return is_generated(one) and one["meta"].get("rule_id") == other["meta"]["rule_id"]


def _owner_by_meta(path: Path, workspace: Workspace) -> tuple[Subject, str] | None:
    """Whose evidence a hand-written suite judges: it says so in its `meta`, or it is no suite of ours."""
    try:
        meta = read_suite(path.name, path.read_text(encoding="utf-8")).get("meta") or {}
    except (SuiteProblem, OSError, UnicodeDecodeError):
        return None
    for subject in subjects(workspace):
        family = meta.get("family")
        if meta.get(subject.kind) == subject.name and family in FAMILIES_OF[subject.kind]:
            return subject, str(family)
    return None


# ---- judging ---------------------------------------------------------------------------------------------


def _judge_suite(
    suite: _Suite,
    court: _Court,
    evidence: Evidence,
    broken: Mapping[str, str],
    workspace: Workspace,
    days: Sequence[date],
) -> list[CheckResult]:
    if suite.problem is not None:
        # Which rules the file holds is not known, so it is judged as one rule that holds the gate.
        gates = suite.subject.kind == "destination"
        rule: dict[str, Any] = {"type": "suite", "meta": {"rule_id": f"{suite.family}.suite", "gates": gates}}
        return [_error(suite, rule, f"{suite.family}.suite", suite.problem, days)]
    rule_ids = _rule_ids(suite)
    results = []
    for rule in suite.stale:
        problem = (
            f"expectations/suites/{suite.name}.json: rule {rule['meta']['rule_id']} is not as the contract "
            f"generates it; run `{GENERATED_BY}`"
        )
        results.append(_error(suite, rule, str(rule["meta"]["rule_id"]), problem, days))
    unread = [broken[table] for table in NEEDS[suite.subject.kind, suite.family] if table in broken]
    frame = pd.DataFrame()
    if not unread:
        try:
            frame = judged_frame(suite.subject, suite.family, evidence, workspace, days)
        except Exception as error:
            logger.warning("the evidence of %s cannot be judged", suite.name, exc_info=True)
            unread = [f"the evidence cannot be put together: {_first_line(error)}"]
    if unread:
        problem = f"{_place(suite)}: {unread[0]}; run `recon run` again once that is mended"
        return results + [
            _error(suite, each, rule_id, problem, days)
            for each, rule_id in zip(suite.expectations, rule_ids, strict=True)
        ]
    outcomes = court.run(suite.name, suite.expectations, frame)
    for expectation, rule_id, outcome in zip(suite.expectations, rule_ids, outcomes, strict=True):
        results.append(_result(suite, expectation, rule_id, outcome, frame, days))
    return results


def _result(
    suite: _Suite,
    expectation: Mapping[str, Any],
    rule_id: str,
    outcome: Outcome,
    frame: pd.DataFrame,
    days: Sequence[date],
) -> CheckResult:
    if outcome.status == "ERROR":
        fact = shown(redacted(outcome.problem), _PROBLEM_LENGTH)
        problem = (
            f"{_place(suite)}: {rule_id} could not be judged: {fact}; look at "
            f"expectations/suites/{suite.name}.json"
        )
        return _error(suite, expectation, rule_id, problem, days)
    rows = frame.iloc[:0]
    if outcome.status == "FAIL":
        # An expectation on a whole column does not say which rows it means: then all of them are.
        rows = frame if outcome.rows is None else frame.iloc[list(outcome.rows)]
    rows = worst_first(suite.family, rows)
    numbers = {"rows": float(len(frame)), "failing": float(len(rows))} | measured(suite.family, frame)
    if outcome.observed is not None:
        numbers["observed"] = outcome.observed
    failing_days: list[FailingDay] = []
    if outcome.status == "FAIL":
        parts = dict(iter(rows.groupby("day"))) if len(rows) else {}
        # A failure without a row is one of what is absent: no judged day has it.
        for day in [day for day in days if not parts or day.isoformat() in parts]:
            part = parts.get(day.isoformat(), rows)
            failing_days.append(
                FailingDay(
                    day,
                    {"failing": float(len(part))} | measured(suite.family, part),
                    _failure(suite, expectation, part, None),
                )
            )
    if outcome.status == "FAIL":
        message = _failure(suite, expectation, rows, (len(frame), len(failing_days)))
    elif frame.empty:
        message = f"{_place(suite)}: nothing to judge, 0 rows"
    else:
        message = f"{_place(suite)}: {len(frame)} rows judged"
    return CheckResult(
        family=suite.family,
        subject=str(suite.subject),
        expectation=str(expectation["type"]),
        rule_id=rule_id,
        status=outcome.status,
        gates=_gates(expectation),
        severity=_severity(expectation),
        measured=numbers,
        failing=rows.head(WORST_ROWS).reset_index(drop=True),
        failing_count=len(rows),
        days=tuple(failing_days),
        message=message,
    )


def _error(
    suite: _Suite, expectation: Mapping[str, Any], rule_id: str, problem: str, days: Sequence[date]
) -> CheckResult:
    """Not judged, so no day of it is known to be good."""
    return CheckResult(
        family=suite.family,
        subject=str(suite.subject),
        expectation=str(expectation.get("type")),
        rule_id=rule_id,
        status="ERROR",
        gates=_gates(expectation),
        severity=_severity(expectation),
        measured={},
        failing=pd.DataFrame(),
        failing_count=0,
        days=tuple(FailingDay(day, {}, problem) for day in days),
        message=problem,
    )


def _rule_ids(suite: _Suite) -> list[str]:
    """A stable id for each expectation, its own or one made of what it says; two are never the same."""
    taken: dict[str, int] = {rule["meta"]["rule_id"]: 1 for rule in suite.stale}
    found = []
    for expectation in suite.expectations:
        meta = expectation.get("meta")
        rule_id = meta.get("rule_id") if isinstance(meta, Mapping) else None
        if not isinstance(rule_id, str) or not rule_id:
            text = json.dumps(expectation.get("kwargs"), sort_keys=True, default=str)
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            rule_id = f"{suite.family}.{expectation.get('type')}_{digest}"
        taken[rule_id] = taken.get(rule_id, 0) + 1
        found.append(rule_id if taken[rule_id] == 1 else f"{rule_id}#{taken[rule_id]}")
    return found


def _gates(expectation: Mapping[str, Any]) -> bool:
    meta = expectation.get("meta")
    return isinstance(meta, Mapping) and meta.get("gates") is True


def _severity(expectation: Mapping[str, Any]) -> str:
    severity = expectation.get("severity")
    # Great Expectations' own default, which is also what to think of a word it does not know.
    return severity if severity in ("critical", "warning", "info") else "critical"


# ---- wording ---------------------------------------------------------------------------------------------


def _place(suite: _Suite) -> str:
    return f"{suite.subject.kind} {suite.subject.name}, {suite.family}"


def _failure(
    suite: _Suite, expectation: Mapping[str, Any], rows: pd.DataFrame, of: tuple[int, int] | None
) -> str:
    rule = str(expectation.get("notes") or expectation["type"]).rstrip(".")
    count = f"{len(rows)} rows" if len(rows) != 1 else "1 row"
    if of is not None:
        judged, on = of
        count = f"{len(rows)} of {judged} rows on {on} {'day' if on == 1 else 'days'}"
    worst = f", worst {_row(expectation, rows.iloc[0])}" if len(rows) else ""
    return (
        f'{_place(suite)}: "{shown(rule, _PROBLEM_LENGTH)}" does not hold for {count}{worst}; '
        "`recon incidents` tells what is known about it"
    )


def _row(expectation: Mapping[str, Any], row: pd.Series[Any]) -> str:
    which = []
    for column in IDENTITY:
        value = row.get(column)
        if column in row and not pd.isna(value):
            which.append(str(value) if column == "day" else f'{column} "{shown(value)}"')
    kwargs = expectation.get("kwargs") or {}
    columns = [kwargs.get("column"), kwargs.get("column_B"), kwargs.get("column_A")]
    columns += kwargs.get("column_list") or []
    if not pd.isna(row.get("incident_id")):
        columns.append("incident_id")
    told = [
        f"{column} {_value(row[column])}"
        for column in dict.fromkeys(columns)
        if isinstance(column, str) and column in row and column not in (*IDENTITY, "destination")
    ]
    return " ".join(which) + (f" ({', '.join(told)})" if told else "")


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{int(value)}" if value.is_integer() else f"{value:.4g}"
    return shown(value) or "null"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return shown(redacted(lines[0]), _PROBLEM_LENGTH)


def _json(numbers: Mapping[str, float]) -> str:
    whole = {key: int(value) if float(value).is_integer() else value for key, value in numbers.items()}
    return json.dumps(whole, sort_keys=True, allow_nan=False)


def _in_utc(moment: datetime) -> datetime:
    # Great Expectations takes a naive time for one of the machine's own zone; ours are UTC.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def judge_window(context: RunContext) -> list[CheckResult]:
    """Judge the open days of this run by the workspace's suites; Data Docs land in the state folder."""
    folder = context.state_dir / "suites"
    render_suites(context.workspace, context.expectations_dir, folder)
    opened = context.warehouse.frame(
        "select destination, day from reconciliation_work.int_open_days "
        "where in_scope and destination <> '' order by 1, 2"
    )
    days: dict[str, list[date]] = {}
    for destination, day in zip(opened["destination"], opened["day"], strict=True):
        days.setdefault(destination, []).append(as_day(day))
    return judge(
        context.warehouse,
        folder,
        context.workspace,
        days,
        context.run_id,
        context.state_dir / "data_docs",
        judged_at=context.as_of,
        memory=context.state_dir / "gx_outcomes.json",
    )
