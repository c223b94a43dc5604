"""Incidents over time: who a finding is, and what has changed about it since the run before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

from dagster_project.core import wording
from dagster_project.core.diagnosis import Diagnosis
from dagster_project.core.diagnosis.evidence import as_days
from dagster_project.core.diagnosis.finding import SEVERITIES, Finding, Key, jsonable

INCIDENT_COLUMNS: Mapping[str, str] = {
    "incident_id": "varchar",
    "kind": "varchar",
    "severity": "varchar",
    "status": "varchar",
    "source": "varchar",
    "event": "varchar",
    "renamed_to": "varchar",
    "property": "varchar",
    "identifier": "varchar",
    "destinations": "varchar",  # sorted JSON array
    "started_on": "date",
    "ended_on": "date",
    "detected_at": "timestamp",
    "resolved_at": "timestamp",
    "messages_affected": "bigint",
    "title": "varchar",
    "explanation": "varchar",
    "suggestion": "varchar",
    "evidence": "varchar",  # JSON
    "share_explained": "double",
    "run_id": "varchar",  # the run that last found it, or saw it gone
    "told": "varchar",  # JSON: severity, messages and destinations at the last notice; null when never told
}
WINDOW_COLUMNS: Mapping[str, str] = {"incident_id": "varchar", "destination": "varchar", "day": "date"}
LINK_COLUMNS: Mapping[str, str] = {
    "incident_id": "varchar",
    "destination": "varchar",
    "day": "date",
    "source": "varchar",
    "event": "varchar",
    "difference": "varchar",
}

WORSE = 2  # this many times the messages of the last notice are worth another one
EVIDENCE_BYTES = 20_000
EVIDENCE_ITEMS, EVIDENCE_TEXT = 40, 200
# A finding explained by one of these is not seen to be over: nothing is known of it while they last.
_BLINDING = ("source_stopped", "export_incomplete")


@dataclass(frozen=True)
class Transition:
    """One change of one incident that people are told about."""

    incident_id: str
    transition: str  # opened | worsened | resolved | reopened


def incident_id(key: Key) -> str:
    """A finding's name over all runs. Escaped before joining, so that no two keys share a text."""
    parts = ("\\0" if part is None else part.replace("\\", "\\\\").replace("\x1f", "\\u") for part in key)
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return "inc_" + hashlib.sha256(joined).hexdigest()[:12]


def reconcile_incidents(
    existing: pd.DataFrame, diagnosis: Diagnosis, as_of: datetime, run_id: str
) -> tuple[pd.DataFrame, list[Transition], pd.DataFrame, pd.DataFrame]:
    """The incidents after this run, what changed, the days each one covers, and the differences it explains.

    Running it again on its own answer changes nothing.
    """
    moment = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    known = _known(existing)
    found = {
        incident_id(finding.key): finding
        for finding in diagnosis.findings
        if not _aged(finding, known, diagnosis)
    }
    absorbed = {
        incident_id(each.key)
        for each in diagnosis.explained
        if each.explained_by is not None and each.explained_by[0] not in _BLINDING
    }
    rows: dict[str, dict[str, Any]] = {}
    transitions: list[Transition] = []
    for name, finding in found.items():
        before = known.get(name)
        if before is not None and _settled(finding, before):
            row, change = _not_found(before, diagnosis, False, moment, run_id)
        else:
            row, change = _found(name, finding, before, diagnosis, moment, run_id)
        rows[name] = row
        transitions += [Transition(name, change)] if change else []
    for name, row in known.items():
        if name not in found:
            rows[name], change = _not_found(row, diagnosis, name in absorbed, moment, run_id)
            transitions += [Transition(name, change)] if change else []
    return (
        _frame(
            sorted(rows.values(), key=lambda row: (row["detected_at"], row["incident_id"])), INCIDENT_COLUMNS
        ),
        sorted(transitions, key=lambda each: (_rank(rows[each.incident_id]), each.incident_id)),
        _windows(found),
        _links(found),
    )


def _rank(row: Mapping[str, Any]) -> tuple[int, int]:
    return -SEVERITIES.index(row["severity"]), -int(row["messages_affected"])


def _found(
    name: str,
    finding: Finding,
    before: Mapping[str, Any] | None,
    diagnosis: Diagnosis,
    moment: datetime,
    run_id: str,
) -> tuple[dict[str, Any], str | None]:
    reopened = before is not None and before["status"] == "resolved"
    started, affected = finding.started_on, finding.messages_affected
    if before is not None and not reopened:
        earlier = before["started_on"]
        if earlier is not None and earlier < diagnosis.history_from:
            # Its beginning is out of sight now: what was known about it stays true.
            affected = max(affected, int(before["messages_affected"]))
            started = min(started, earlier)
    told = before["told"] if before is not None else None
    change = _change(finding, affected, told, reopened=reopened)
    if change is not None:
        told = {
            "severity": finding.severity,
            "messages": affected,
            "destinations": sorted(finding.destinations),
        }
    today = moment.date()
    return {
        "incident_id": name,
        "kind": finding.kind,
        "severity": finding.severity,
        "status": "open",
        "source": finding.source,
        "event": finding.event,
        "renamed_to": finding.renamed_to,
        "property": finding.property,
        "identifier": finding.identifier,
        "destinations": json.dumps(sorted(finding.destinations), ensure_ascii=False),
        "started_on": started,
        "ended_on": finding.ended_on,
        "detected_at": before["detected_at"] if before is not None and before["detected_at"] else moment,
        "resolved_at": None,
        "messages_affected": affected,
        "title": wording.title(finding, today),
        "explanation": wording.explanation(finding, today),
        "suggestion": wording.suggestion(finding, today),
        "evidence": evidence_json(finding),
        "share_explained": finding.share_explained,
        "run_id": run_id,
        "told": told,
    }, change


def _change(finding: Finding, affected: int, told: Mapping[str, Any] | None, *, reopened: bool) -> str | None:
    """What is told of a finding that is there: nothing, when people know it already."""
    if finding.severity == "info":
        return None
    if told is None:
        return "opened"
    if reopened:
        return "reopened"
    worse = (
        SEVERITIES.index(finding.severity) > _severity(told.get("severity"))
        or bool(set(finding.destinations) - set(told.get("destinations") or ()))
        or affected >= WORSE * max(1, int(told.get("messages") or 0))
    )
    return "worsened" if worse else None


def _severity(value: Any) -> int:
    return SEVERITIES.index(value) if value in SEVERITIES else 0


def _not_found(
    before: dict[str, Any], diagnosis: Diagnosis, absorbed: bool, moment: datetime, run_id: str
) -> tuple[dict[str, Any], str | None]:
    """An incident that this run does not show: over, unless this run could not see it."""
    if before["status"] == "resolved" or _out_of_sight(before, diagnosis):
        return before, None
    started = before["started_on"]
    ended = before["ended_on"] or max(
        diagnosis.last_day - timedelta(days=1), started or diagnosis.history_from
    )
    after = before | {"status": "resolved", "resolved_at": moment, "ended_on": ended, "run_id": run_id}
    # What another incident explains by now is not over: it is told there, so nobody hears "resolved".
    silent = absorbed or before["severity"] == "info" or before["told"] is None
    return after, None if silent else "resolved"


def _settled(finding: Finding, before: Mapping[str, Any]) -> bool:
    """Whether people were told of a rename that the contract has taken up since: to them it is over."""
    return finding.kind == "event_renamed" and finding.severity == "info" and before["told"] is not None


def _out_of_sight(before: Mapping[str, Any], diagnosis: Diagnosis) -> bool:
    started = before["started_on"]
    if started is not None and started < diagnosis.history_from:
        return True
    if before["source"] in diagnosis.silent_sources and before["kind"] != "source_stopped":
        return True
    here = set(before["_destinations"])
    return bool(here) and here <= diagnosis.unread_destinations and before["kind"] != "export_incomplete"


def _aged(finding: Finding, known: Mapping[str, Mapping[str, Any]], diagnosis: Diagnosis) -> bool:
    """Whether an open incident from before history already tells of it.

    When the old name of a rename has left history, only an unplanned new name is left to see.
    """
    if finding.kind != "unplanned_event":
        return False
    return any(
        row["kind"] == "event_renamed"
        and row["status"] == "open"
        and row["source"] == finding.source
        and row["renamed_to"] == finding.event
        and row["started_on"] is not None
        and row["started_on"] < diagnosis.history_from
        for row in known.values()
    )


def evidence_json(finding: Finding) -> str:
    """The evidence as JSON with sorted keys, small enough for a table that people read."""
    evidence = _small(jsonable(finding.evidence))
    evidence["explains"] = [text[:EVIDENCE_TEXT] for text in finding.explains[:EVIDENCE_ITEMS]]
    evidence["share_explained"] = jsonable(finding.share_explained)
    text = _dumps(evidence)
    while len(text.encode("utf-8")) > EVIDENCE_BYTES:
        largest = max(evidence, key=lambda name: len(_dumps(evidence[name])))
        evidence[largest] = "left out: too large"
        text = _dumps(evidence)
    return text


def _dumps(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    # A lone surrogate cannot be stored; its escape can.
    return text if text.isprintable() else json.dumps(value, sort_keys=True)


def _small(value: Any) -> Any:
    if isinstance(value, dict):
        some = list(value.items())[:EVIDENCE_ITEMS]
        return {str(name)[:EVIDENCE_TEXT]: _small(each) for name, each in some}
    if isinstance(value, list):
        return [_small(each) for each in value[:EVIDENCE_ITEMS]]
    return value[:EVIDENCE_TEXT] if isinstance(value, str) else value


def _known(existing: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The incidents table as it was, in plain Python values; later rows of one id win."""
    known: dict[str, dict[str, Any]] = {}
    if existing is None or existing.empty:
        return known
    for record in existing.to_dict("records"):
        row: dict[str, Any] = {name: _plain(record.get(name)) for name in INCIDENT_COLUMNS}
        for name in ("started_on", "ended_on"):
            row[name] = _date(row[name])
        for name in ("detected_at", "resolved_at"):
            row[name] = _moment(row[name])
        row["messages_affected"] = int(row["messages_affected"] or 0)
        row["severity"] = row["severity"] if row["severity"] in SEVERITIES else "error"
        row["_destinations"] = _list(row["destinations"])
        told = _json(row["told"])
        # A table from before `told` existed: everything in it has been told.
        if "told" not in existing.columns and row["severity"] != "info":
            told = {
                "severity": row["severity"],
                "messages": row["messages_affected"],
                "destinations": row["_destinations"],
            }
        row["told"] = told if isinstance(told, dict) else None
        known[str(row["incident_id"])] = row
    return known


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    return value.item() if hasattr(value, "item") else value


def _date(value: Any) -> date | None:
    if value is None:
        return None
    day = as_days(pd.Series([value], dtype=object)).iloc[0]
    return None if pd.isna(day) else day.date()


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = pd.to_datetime(value, errors="coerce", utc=True)
    return None if pd.isna(moment) else moment.tz_localize(None).to_pydatetime()


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def _list(value: Any) -> list[str]:
    found = _json(value)
    return [str(each) for each in found] if isinstance(found, list) else []


def _frame(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    data: dict[str, pd.Series[Any]] = {}
    for name, kind in columns.items():
        values = [row[name] for row in rows]
        if name == "told":
            values = [None if value is None else json.dumps(value, sort_keys=True) for value in values]
        if kind in ("date", "timestamp"):
            data[name] = pd.Series(pd.to_datetime(pd.Series(values, dtype=object))).astype("datetime64[us]")
        elif kind == "bigint":
            data[name] = pd.Series(values, dtype="int64")
        elif kind == "double":
            data[name] = pd.Series(values, dtype="float64")
        else:
            data[name] = pd.Series(values, dtype=object)
    return pd.DataFrame(data)


def _windows(found: Mapping[str, Finding]) -> pd.DataFrame:
    rows = [
        {"incident_id": name, "destination": destination, "day": day}
        for name, finding in found.items()
        for destination, day in finding.windows
    ]
    return _frame(rows, WINDOW_COLUMNS)


def _links(found: Mapping[str, Finding]) -> pd.DataFrame:
    frames = [
        finding.links.assign(incident_id=name)[list(LINK_COLUMNS)]
        for name, finding in found.items()
        if len(finding.links)
    ]
    return pd.concat(frames, ignore_index=True) if frames else _frame([], LINK_COLUMNS)
