"""Incidents over time: who a finding is, and what has changed about it since the run before.

    suspected -> open -> recovering -> resolved -> reopened -> recovering -> resolved ...

A finding that is beyond doubt opens at once; a suspected one when two of the last three runs found it. What was
a matter of rows is resolved as soon as the rows are there; what was a matter of statistics recovers first and
is resolved by a second clean run. `status` says only `open` or `resolved`; the state stands beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from dagster_project.core import wording, wording_ends
from dagster_project.core.contracts import Mute
from dagster_project.core.diagnosis import Diagnosis
from dagster_project.core.diagnosis.evidence import as_days
from dagster_project.core.diagnosis.finding import SEVERITIES, Finding, Key, jsonable, no_links, worst
from dagster_project.core.mutes import mute_of

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
    "told": "varchar",  # JSON: kind, severity, messages and destinations at the last notice; null when never told
    "state": "varchar",  # suspected | open | recovering | resolved | reopened
    "runs_seen": "bigint",  # runs that found it since it was first found, or came back
    "runs_clean": "bigint",  # runs in a row that did not find it any more
    "last_seen_at": "timestamp",
    "reopened_at": "timestamp",
    "muted_until": "date",  # nothing is told of it up to and with this day
    "muted_by": "varchar",
    "resolved_before": "timestamp",  # when it was over for the last time, before it came back
    "sightings": "varchar",  # the last three runs, oldest first: 1 found, 0 not found
    "counted_at": "timestamp",  # the run that the last of them stands for
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

# Runs closer together than this look at the same evidence: an export that lands starts a run of its own, and a
# second look at the same days neither confirms a suspicion nor shows that something is over.
RUNS_APART: Final = timedelta(hours=6)
CONFIRMED_BY: Final = 2  # of the last three runs
CLEAN_RUNS: Final = 2
REOPENED_FOR: Final = timedelta(days=7)  # as long as this an incident that came back is called so
# Judged against a threshold: one clean run may be chance. All other kinds are a matter of rows or names that are
# there or not, and resolve at once.
STATISTICAL: Final = frozenset(
    {
        "volume_anomaly",
        "delivery_loss",
        "duplicate_delivery",
        "duplicate_events",
        "unexplained",
        "property_violation",
    }
)
# Of these the rows themselves say whether it is over: so much of them may be left after a replay.
_COUNTED: Final[Mapping[str, str]] = {
    "delivery_loss": "missing",
    "duplicate_delivery": "duplicates",
    "unexplained": "unexpected",
}
REPAIRED: Final = 0.2
# Over as soon as they are not found, and of these the same rows say how it ended.
_UNTIL_REPLAYED: Final = frozenset({"delivery_stopped", "export_incomplete", "export_late"})
# Not found again, these may be an early form of the kind that now is, at the same place.
_MATURES: Final[Mapping[str, frozenset[str]]] = {
    "delivery_stopped": frozenset({"export_late", "export_incomplete", "delivery_loss", "unexplained"}),
    "export_incomplete": frozenset({"export_late", "delivery_stopped", "unexplained"}),
    "delivery_loss": frozenset({"unexplained"}),
    "timezone_shift": frozenset({"unexplained"}),
    "event_stopped": frozenset({"volume_anomaly"}),
    "event_renamed": frozenset({"unplanned_event", "event_stopped", "volume_anomaly"}),
}
_NO_LINKS: Final = (
    no_links()
)  # an empty frame costs half a millisecond, and a table may hold thousands of rows
_LARGE_MESSAGES, _LARGE_DESTINATIONS = 10_000, 3
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


@dataclass(frozen=True)
class _Run:
    """What all incidents of one run have in common."""

    diagnosis: Diagnosis
    moment: datetime
    run_id: str
    mutes: tuple[Mute, ...]
    critical_events: frozenset[str]
    held_until: Mapping[str, date]

    def mute_of(self, row: Mapping[str, Any]) -> Mute | None:
        return mute_of(row, self.mutes, self.moment.date())


_Row = dict[str, Any]


def incident_id(key: Key) -> str:
    """The name of a finding that is new. Escaped before joining, so that no two keys share a text.

    A known incident may be called otherwise: `incident_ids` says what a run's findings are called.
    """
    parts = ("\\0" if part is None else part.replace("\\", "\\\\").replace("\x1f", "\\u") for part in key)
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return "inc_" + hashlib.sha256(joined).hexdigest()[:12]


def incident_ids(existing: pd.DataFrame, diagnosis: Diagnosis) -> dict[Key, str]:
    """What each finding of a run is called over all runs, by its key.

    The incidents table as it was before the run and as it is after it give the same answer.
    """
    return _names(_known(existing), diagnosis)


def reconcile_incidents(
    existing: pd.DataFrame,
    diagnosis: Diagnosis,
    as_of: datetime,
    run_id: str,
    *,
    mutes: Iterable[Mute] = (),
    critical_events: Collection[str] = (),
    held_until: Mapping[str, date] | None = None,
) -> tuple[pd.DataFrame, list[Transition], pd.DataFrame, pd.DataFrame]:
    """The incidents after this run, what changed, the days each one covers, and the differences it explains.

    `held_until` is the last day that each incident covered when it was last found: so far it went, once it is over.
    Running it again on its own answer changes nothing.
    """
    moment = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    run = _Run(diagnosis, moment, run_id, tuple(mutes), frozenset(critical_events), dict(held_until or {}))
    known = _known(existing)
    names = _names(known, diagnosis)
    found = _by_name(
        (names[finding.key], finding)
        for finding in diagnosis.findings
        if not _aged(finding, known, diagnosis)
    )
    absorbed = {
        names[each.key]: names.get(each.explained_by)
        for each in diagnosis.explained
        if each.explained_by is not None and each.explained_by[0] not in _BLINDING
    }
    lasting = {each.key for each in diagnosis.findings if each.kind in _BLINDING and each.ended_on is None}
    hidden = {names[each.key] for each in diagnosis.explained if each.explained_by in lasting}
    rows: dict[str, _Row] = {}
    transitions: list[Transition] = []
    for name in [*found, *(name for name in known if name not in found)]:
        before, finding = known.get(name), found.get(name)
        after: _Row | None
        if finding is not None and not (before is not None and _settled(finding, before)):
            after, change = _found(name, finding, before, run)
        elif before is not None and (name in hidden or _only_suspected(rows.get(absorbed.get(name) or ""))):
            after, change = before, None
        else:
            assert before is not None
            after, change = _not_found(before, name in absorbed and name not in found, finding, run)
        if after is None:
            continue  # a suspicion that came to nothing
        mute = run.mute_of(after)
        rows[name] = after | {
            "muted_until": mute.until if mute else None,
            "muted_by": mute.owner if mute else None,
        }
        transitions += [Transition(name, change)] if change else []
    return (
        _frame(
            sorted(rows.values(), key=lambda row: (row["detected_at"], row["incident_id"])), INCIDENT_COLUMNS
        ),
        sorted(transitions, key=lambda each: (_rank(rows[each.incident_id]), each.incident_id)),
        _windows(found),
        _links(found),
    )


def severity_of(finding: Finding, *, critical_events: Collection[str], suspected: bool = False) -> str:
    """How bad it is: the cause's own severity, and one step more where more hangs on it.

    - suspected: `info`, whatever it may turn out to be, for nobody is told of a suspicion;
    - `info` stays `info`: nothing is wrong there, however much of it there is;
    - one step up (warning, error, critical) when it hits an event of `critical_events`;
    - else `error` becomes `critical` from 10,000 messages at 3 destinations on. Size alone never makes an
      error of a warning: that closes the gate, and a warning's data can be used.
    """
    if suspected or finding.severity == "info":
        return "info"
    at = SEVERITIES.index(finding.severity)
    large = (
        finding.messages_affected >= _LARGE_MESSAGES and len(set(finding.destinations)) >= _LARGE_DESTINATIONS
    )
    if _hits(finding, critical_events) or (large and finding.severity == "error"):
        at = min(at + 1, len(SEVERITIES) - 1)
    return SEVERITIES[at]


def _hits(finding: Finding, critical_events: Collection[str]) -> bool:
    """Whether one of these events is among those that the finding is about."""
    if not critical_events:
        return False
    if finding.event is not None:
        return finding.event in critical_events or finding.renamed_to in critical_events
    if finding.kind == "source_stopped":
        return True  # nothing of the source arrives, whatever matters most among it too
    listed = finding.evidence.get("events")
    named = {str(each) for each in listed} if isinstance(listed, Mapping | list | tuple) else set()
    return not (named | set(finding.links["event"].dropna())).isdisjoint(critical_events)


def _names(known: Mapping[str, _Row], diagnosis: Diagnosis) -> dict[Key, str]:
    """The incident of each finding: the one that stands under its key, else the one it grew out of, else new."""
    by_key: dict[Key, str] = {}
    # Two rows may stand under one key once one of them has grown into it: the one seen last counts.
    for name, row in sorted(
        known.items(), key=lambda pair: (pair[1]["last_seen_at"] or datetime.min, pair[0])
    ):
        by_key[_key(row)] = name
    told = [*diagnosis.findings, *diagnosis.explained]
    names = {finding.key: by_key.get(finding.key) or incident_id(finding.key) for finding in told}
    taken = {names[finding.key] for finding in diagnosis.findings}
    for finding in diagnosis.findings:
        own = known.get(names[finding.key])
        if finding.suspected or (own is not None and own["status"] == "open" and not _only_suspected(own)):
            continue
        grown = [
            row
            for name, row in known.items()
            if name not in taken and row["status"] == "open" and _grew_into(row, finding)
        ]
        if grown:
            # The one that people know of, then the oldest.
            first = min(
                grown,
                key=lambda row: (row["told"] is None, row["detected_at"] or datetime.max, row["incident_id"]),
            )
            names[finding.key] = first["incident_id"]
            taken.add(first["incident_id"])
    return names


def _grew_into(row: Mapping[str, Any], finding: Finding) -> bool:
    """Whether an incident of yesterday is the early form of what is found today at the same place."""
    if row["kind"] not in _MATURES.get(finding.kind, ()):
        return False
    if finding.kind == "event_renamed":
        name = finding.renamed_to if row["kind"] == "unplanned_event" else finding.event
        return bool(row["source"] == finding.source and row["event"] == name)
    same = (row["source"], row["event"]) == (finding.source, finding.event)
    return same and (
        finding.kind == "event_stopped" or set(row["_destinations"]) == set(finding.destinations)
    )


def _key(row: Mapping[str, Any]) -> Key:
    return _as_finding(row).key


def _as_finding(row: Mapping[str, Any]) -> Finding:
    """A row as the finding that it was, as far as the row says it."""
    return Finding(
        kind=str(row["kind"]),
        severity=row["severity"],
        started_on=row["started_on"] or date.min,
        messages_affected=row["messages_affected"],
        source=row["source"],
        event=row["event"],
        renamed_to=row["renamed_to"],
        property=row["property"],
        identifier=row["identifier"],
        destinations=tuple(row["_destinations"]),
        links=_NO_LINKS,
    )


def _by_name(named: Iterable[tuple[str, Finding]]) -> dict[str, Finding]:
    """The findings by incident. Two of one incident are told as the first, with the other under it."""
    found: dict[str, Finding] = {}
    for name, finding in named:
        first = found.get(name)
        if first is None:
            found[name] = finding
            continue
        found[name] = replace(
            first,
            severity=worst((first.severity, finding.severity)),
            suspected=first.suspected and finding.suspected,
            windows=tuple(sorted({*first.windows, *finding.windows})),
            links=pd.concat([first.links, finding.links], ignore_index=True),
            explains=list(dict.fromkeys([*first.explains, wording.brief(finding)])),
        )
    return found


def _rank(row: Mapping[str, Any]) -> tuple[int, int]:
    return -SEVERITIES.index(row["severity"]), -int(row["messages_affected"])


def _found(
    name: str, finding: Finding, before: Mapping[str, Any] | None, run: _Run
) -> tuple[_Row, str | None]:
    again = before is not None and before["status"] == "resolved"
    counted = _counted(None if again else before, run.moment, found=True)
    suspected = _still_suspected(finding, None if again else before, counted["sightings"])
    started, affected = finding.started_on, finding.messages_affected
    if before is not None and not again:
        earlier = before["started_on"]
        if earlier is not None and earlier < run.diagnosis.history_from:
            # Its beginning is out of sight now: what was known about it stays true.
            affected = max(affected, int(before["messages_affected"]))
            started = min(started, earlier)
    resolved_before = reopened_at = told = None
    if before is not None:
        resolved_before = before["resolved_at"] if again else before["resolved_before"]
        reopened_at, told = before["reopened_at"], before["told"]
    back = (
        not suspected
        and resolved_before is not None
        and (reopened_at is None or reopened_at < resolved_before)
    )
    relapsed = before is not None and not again and not suspected and _relapsed(finding, before)
    if back or (relapsed and resolved_before is None):
        reopened_at = run.moment
    severity = severity_of(finding, critical_events=run.critical_events, suspected=suspected)
    today = run.moment.date()
    explanation = wording.explanation(finding, today)
    if reopened_at is not None and resolved_before is not None and not suspected:
        explanation += (
            f"\nIt was over on {wording.day_words(resolved_before.date(), today)} and came back on"
            f" {wording.day_words(reopened_at.date(), today)}."
        )
    row: _Row = {
        "incident_id": name,
        "kind": finding.kind,
        "severity": severity,
        "status": "open",
        "source": finding.source,
        "event": finding.event,
        "renamed_to": finding.renamed_to,
        "property": finding.property,
        "identifier": finding.identifier,
        "destinations": json.dumps(sorted(finding.destinations), ensure_ascii=False),
        "started_on": started,
        "ended_on": finding.ended_on,
        "detected_at": before["detected_at"] if before is not None and before["detected_at"] else run.moment,
        "resolved_at": None,
        "messages_affected": affected,
        "title": wording.title(finding, today),
        "explanation": explanation,
        "suggestion": wording.suggestion(finding, today),
        "evidence": evidence_json(finding),
        "share_explained": finding.share_explained,
        "run_id": run.run_id,
        "told": told,
        "state": _state(finding, suspected, reopened_at, run.moment),
        "last_seen_at": run.moment,
        "reopened_at": reopened_at,
        "resolved_before": resolved_before,
        **counted,
    }
    change = None if run.mute_of(row) else _change(row, back=back or relapsed)
    return (row | {"told": _as_told(row)} if change else row), change


def _counted(before: Mapping[str, Any] | None, moment: datetime, *, found: bool) -> _Row:
    """The runs that found it and those that did not, with this one; a run told twice counts once."""
    sightings, counted_at, seen = "", None, 0
    if before is not None:
        sightings, counted_at, seen = before["sightings"], before["counted_at"], before["runs_seen"]
    if counted_at is not None and abs(moment - counted_at) < RUNS_APART:
        seen -= sightings.endswith("1")
        sightings = sightings[:-1]
    else:
        counted_at = moment
    sightings = (sightings + ("1" if found else "0"))[-3:]
    return {
        "sightings": sightings,
        "counted_at": counted_at,
        "runs_seen": seen + found,
        "runs_clean": len(sightings) - len(sightings.rstrip("0")),
    }


def _still_suspected(finding: Finding, before: Mapping[str, Any] | None, sightings: str) -> bool:
    if not finding.suspected or (before is not None and before["state"] != "suspected"):
        return False
    return sightings.count("1") < CONFIRMED_BY


def _only_suspected(row: Mapping[str, Any] | None) -> bool:
    """What a mere suspicion explains is neither over nor something else: it stays as it was."""
    return row is not None and row["state"] == "suspected"


def _state(finding: Finding, suspected: bool, reopened_at: datetime | None, moment: datetime) -> str:
    if suspected:
        return "suspected"
    if finding.ended_on is not None:
        return "recovering"  # what caused it is over, and the days that it damaged are not mended
    if reopened_at is not None and moment - reopened_at < REOPENED_FOR:
        return "reopened"
    return "open"


def _relapsed(finding: Finding, before: Mapping[str, Any]) -> bool:
    """Whether what was over, and only waited for its days to be mended, strikes again: whoever mended it must hear.

    That the days since then are judged anew is no relapse; a struck day after a good one is.
    """
    ended = before["ended_on"]
    return (
        before["state"] == "recovering"
        and ended is not None
        and finding.ended_on is None
        and bool(finding.days)
        and finding.days[-1] > ended + timedelta(days=1)
    )


def _change(row: Mapping[str, Any], *, back: bool) -> str | None:
    """What is told of an incident that is there: nothing, when people know it already."""
    told = row["told"]
    if row["severity"] == "info":
        return None
    if told is None:
        return "opened"
    if back or told.get("over"):
        return "reopened"
    worse = (
        told.get("kind") in _MATURES.get(row["kind"], ())
        or SEVERITIES.index(row["severity"]) > _severity(told.get("severity"))
        or bool(set(_list(row["destinations"])) - set(told.get("destinations") or ()))
        or int(row["messages_affected"]) >= WORSE * max(1, int(told.get("messages") or 0))
    )
    return "worsened" if worse else None


def _as_told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": row["kind"],
        "severity": row["severity"],
        "messages": int(row["messages_affected"]),
        "destinations": _list(row["destinations"]),
    }


def _severity(value: Any) -> int:
    return SEVERITIES.index(value) if value in SEVERITIES else 0


def _not_found(
    before: _Row, absorbed: bool, settled: Finding | None, run: _Run
) -> tuple[_Row | None, str | None]:
    """An incident that this run does not show: over, unless this run could not see it or one run is too few."""
    if before["status"] == "resolved":
        return before, None
    muted = run.mute_of(before) is not None
    if _out_of_sight(before, run.diagnosis):
        # It can no longer be found again, so the end of a mute is told here.
        if muted or before["told"] is not None or before["severity"] == "info":
            return before, None
        return before | {"told": _as_told(before)}, "opened"
    counted = _counted(before, run.moment, found=False)
    if before["state"] == "suspected" and before["resolved_before"] is None:
        over = absorbed or counted["runs_clean"] >= CLEAN_RUNS
        return (None if over else before | counted), None
    slow = before["kind"] in STATISTICAL or before["state"] == "suspected"
    certain = absorbed or settled is not None or _repaired(before, run.diagnosis)
    if slow and not certain and counted["runs_clean"] < CLEAN_RUNS:
        # The run that last found it stays named, and with it the days that it holds.
        state = before["state"] if before["state"] == "suspected" else "recovering"
        return before | counted | {"state": state}, None
    after = (
        before
        | counted
        | _ended(before, absorbed, settled, run)
        | {
            "status": "resolved",
            "state": "resolved",
            "resolved_at": run.moment,
            "run_id": run.run_id,
        }
    )
    told = before["told"]
    # What another incident explains by now is not over: it is told there, so nobody hears "resolved".
    if absorbed or muted or told is None or told.get("over"):
        return after, None
    return after | {"told": told | {"over": True}}, "resolved"


def _ended(before: _Row, absorbed: bool, settled: Finding | None, run: _Run) -> _Row:
    """What is known of an incident now that it is over: until when, how many, and how it came to its end."""
    started = before["started_on"] or run.diagnosis.history_from
    if settled is not None:
        # The new name goes on to be sent: what has ended is that nobody takes it.
        until = max(settled.ended_on or run.diagnosis.last_day, started)
        how = wording_ends.taken_up(settled.renamed_to, _lost_under(settled, run.diagnosis))
        known: _Row = {"messages_affected": settled.messages_affected, "title": before["title"]}
    else:
        until = before["ended_on"] or max(_last_hit(before, run), started)
        how = wording_ends.elsewhere() if absorbed else _how(before, until, run)
        known = {"title": _title_with_end(before, until, run.moment.date())}
    evidence = _json(before["evidence"])
    if isinstance(evidence, dict):
        known["evidence"] = _dumps(evidence | {"end": how})
    return known | {"ended_on": until, "explanation": f"{before['explanation']}\n{how}"}


def _last_hit(before: _Row, run: _Run) -> date:
    """The last day that it covered when it was last found; without days of its own, the last one over by then."""
    held = run.held_until.get(before["incident_id"])
    if held is not None:
        return held
    yesterday = run.diagnosis.last_day - timedelta(days=1)
    seen = before["last_seen_at"]
    return min(yesterday, seen.date() - timedelta(days=1)) if seen is not None else yesterday


def _title_with_end(before: _Row, until: date, today: date) -> str:
    """The title as of what is over; *since 4 Nov* would go on for ever."""
    evidence = _json(before["evidence"])
    if before["ended_on"] is not None or not isinstance(evidence, dict):
        return str(before["title"])
    return wording.title(replace(_as_finding(before), evidence=evidence, ended_on=until), today)


def _how(before: _Row, until: date, run: _Run) -> str:
    column = _COUNTED.get(before["kind"], "missing" if before["kind"] in _UNTIL_REPLAYED else None)
    left = _left(before, until, column, run.diagnosis) if column is not None else None
    affected = before["messages_affected"]
    if column is not None and left is not None and affected and left <= affected:
        return wording_ends.counted(column, affected, left)
    return wording_ends.not_found(wording.day_words(run.moment.date(), run.moment.date()))


def _lost_under(rename: Finding, diagnosis: Diagnosis) -> dict[str, int]:
    """What is told as missing under the new name of a rename, by destination."""
    mine = {"event": rename.event, "new": rename.renamed_to, "source": rename.source}
    lost: dict[str, int] = {}
    for finding in diagnosis.findings:
        causes = finding.evidence.get("renamed")
        if isinstance(causes, list) and any(mine.items() <= each.items() for each in causes):
            for name in finding.destinations:
                lost[name] = lost.get(name, 0) + finding.messages_affected
    return lost


def _repaired(before: Mapping[str, Any], diagnosis: Diagnosis) -> bool:
    """Whether the rows that were too many or too few are not any more, as after a replay: no second look needed."""
    column = _COUNTED.get(before["kind"])
    if column is None or not before["messages_affected"]:
        return False
    left = _left(before, before["ended_on"] or diagnosis.last_day, column, diagnosis)
    return left is not None and left <= REPAIRED * before["messages_affected"]


def _left(before: Mapping[str, Any], until: date, column: str, diagnosis: Diagnosis) -> int | None:
    """How many rows of this kind its cells hold now; None when there are no such cells."""
    if before["started_on"] is None:
        return None
    cells = diagnosis.cells
    days = cells["day"].to_numpy(dtype="datetime64[D]")
    inside = (days >= np.datetime64(before["started_on"], "D")) & (days <= np.datetime64(until, "D"))
    inside &= cells["destination"].isin(before["_destinations"]).to_numpy()
    if before["event"] is not None:
        inside &= (cells["event"] == before["event"]).to_numpy()
    return int(cells[column].to_numpy()[inside].sum()) if inside.any() else None


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
        for name in (
            "detected_at",
            "resolved_at",
            "last_seen_at",
            "reopened_at",
            "resolved_before",
            "counted_at",
        ):
            row[name] = _moment(row[name])
        for name in ("runs_seen", "runs_clean"):
            row[name] = int(row[name] or 0)
        row["sightings"] = row["sightings"] or ""
        # A table from before there were states.
        row["state"] = row["state"] or ("resolved" if row["status"] == "resolved" else "open")
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
    if isinstance(value, datetime):  # which a pandas time stamp is too
        return value.date()
    if isinstance(value, date):
        return value
    day = as_days(pd.Series([value], dtype=object)).iloc[0]
    return None if pd.isna(day) else day.date()


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
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
