"""What people need of a property that breaks the plan: versions, values, who owns it, and what Segment says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from dagster_project.core.calls import call_of_event
from dagster_project.core.diagnosis.evidence import Evidence, days_of
from dagster_project.core.diagnosis.finding import Finding
from dagster_project.core.plan import PlannedEvent
from dagster_project.core.plan.landed import column_of
from dagster_project.core.slug import slug
from dagster_project.core.wording_names import shown

LISTED = 5  # versions that are named
SAMPLES = 3
# Nearly all of what is broken comes from these versions, and elsewhere it is rare.
NEARLY_ALL, SELDOM = 0.9, 0.05
OWNER = "owner"  # the label of a plan's event that says whose it is


def with_details(evidence: Evidence, finding: Finding) -> Finding:
    """The finding with versions, samples, owner and second witness in its evidence; what is not known is left out."""
    if finding.kind != "property_violation" or finding.source is None or finding.property is None:
        return finding
    details: dict[str, Any] = {}
    if finding.event is not None:
        details |= _versions(evidence, finding)
        details |= _column(evidence, finding)
        details |= _segment(evidence, finding)
    details |= _owners(evidence, finding)
    if call_of_event(finding.event) != "track":
        details["fed"] = list(evidence.fed_by(finding.source))
    return replace(finding, evidence={**details, **finding.evidence})


def planned_event(evidence: Evidence, source: str, event: str | None) -> PlannedEvent | None:
    """What the plan of a source says of an event, or of all calls of a kind."""
    plan = evidence.workspace.plan_for(source)
    call = call_of_event(event)
    if call == "track":
        return plan.events.get(event or "")
    if call in ("identify", "group"):
        return plan.identify if call == "identify" else plan.group
    return (plan.pages if call == "page" else plan.screens).get(event or "")


def _inside(frame: pd.DataFrame, finding: Finding) -> pd.Series[Any]:
    """The rows of a frame that lie in a finding's time."""
    days = days_of(frame)
    inside = days >= np.datetime64(finding.started_on, "D")
    if finding.ended_on is not None:
        inside &= days <= np.datetime64(finding.ended_on, "D")
    return pd.Series(inside, index=frame.index)


def _versions(evidence: Evidence, finding: Finding) -> dict[str, Any]:
    """Which versions broke it, of how many messages each, and a value or two."""
    table = evidence.violation_versions
    rows = table[
        (table["source"] == finding.source)
        & (table["event"] == finding.event)
        & (table["property"] == finding.property)
        & _inside(table, finding)
    ]
    if rows.empty:
        return {}
    found: dict[str, Any] = {}
    broken = (
        rows.groupby("app_version", dropna=True)["messages"].sum().sort_values(ascending=False, kind="stable")
    )
    sent = _sent_by_version(evidence, finding)
    if len(broken):
        found["app_versions"] = {
            str(version): {
                "broken": int(count),
                "messages": max(int(count), int(sent.get(str(version), count))),
            }
            for version, count in broken.head(LISTED).items()
        }
        only = _only_versions({str(version): int(count) for version, count in broken.items()}, sent)
        if only:
            found["only_versions"] = only
    libraries = rows.groupby("library_version", dropna=True)["messages"].sum()
    if len(libraries):
        ranked = libraries.sort_values(ascending=False, kind="stable").head(LISTED)
        found["library_versions"] = {str(version): int(count) for version, count in ranked.items()}
    samples = [
        shown(each) for column in ("first_sample", "last_sample") for each in rows[column] if each is not None
    ]
    if samples:
        counted = Counter(samples)
        found["samples"] = sorted(counted, key=lambda each: (-counted[each], each))[:SAMPLES]
        found["samples_masked"] = not evidence.workspace.show_values
    return found


def _sent_by_version(evidence: Evidence, finding: Finding) -> Mapping[str, int]:
    table = evidence.versions
    rows = table[
        (table["source"] == finding.source) & (table["event_text"] == finding.event) & _inside(table, finding)
    ]
    by_version = rows.groupby("app_version", dropna=True)["messages"].sum()
    return {str(version): int(count) for version, count in by_version.items()}


def _only_versions(broken: Mapping[str, int], sent: Mapping[str, int]) -> list[str]:
    """The versions that nearly all of it comes from, where other versions send the event without the fault."""
    total, found, so_far = sum(broken.values()), [], 0
    for version, count in broken.items():
        if so_far >= NEARLY_ALL * total:
            break
        found.append(version)
        so_far += count
    others = {version: count for version, count in sent.items() if version not in found}
    elsewhere = sum(broken.get(version, 0) for version in others)
    if len(found) > LISTED or not sum(others.values()) or elsewhere > SELDOM * sum(others.values()):
        return []
    return found


def _column(evidence: Evidence, finding: Finding) -> dict[str, Any]:
    """What the warehouse made of the property. A column that is no text drops what is of another type."""
    if call_of_event(finding.event) != "track":
        return {}
    table = evidence.property_types
    rows = table[
        (table["source"] == finding.source)
        & (
            table["event_slug"].astype(object).map(lambda name: str(name).lstrip("_"))
            == slug(finding.event or "")
        )
        & (table["property"] == column_of(finding.property or ""))
    ]
    return {} if rows.empty else {"column": str(rows["kind"].iloc[0])}


def _segment(evidence: Evidence, finding: Finding) -> dict[str, Any]:
    """What Segment itself says of this property in this time, and how much of it is ours too."""
    table = evidence.segment_violations
    if table.empty:
        return {}
    rows = table[
        (table["source"] == finding.source)
        & (table["event"] == finding.event)
        & (table["property"] == finding.property)
        & _inside(table, finding)
    ]
    return {"segment_says": int(rows["messages"].sum()), "segment_agrees": int(rows["confirmed"].sum())}


def _owners(evidence: Evidence, finding: Finding) -> dict[str, Any]:
    """Whose it is: the plan's label, else the owners of the destinations that it hits."""
    planned = planned_event(evidence, finding.source or "", finding.event)
    labels = planned.labels if planned is not None else {}
    owner = next((value for name, value in sorted(labels.items()) if name.lower() == OWNER and value), None)
    if owner is not None:
        return {"owner": owner, "owner_by": "plan"}
    owners = {
        owner
        for name in finding.destinations
        if (owner := evidence.destinations[name].owner if name in evidence.destinations else None)
    }
    return {"owner": ", ".join(sorted(owners)), "owner_by": "destinations"} if owners else {}
