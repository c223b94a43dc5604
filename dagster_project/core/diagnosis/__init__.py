"""Why the numbers differ: rules in the order of causes, each silent about what an earlier one explains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import pandas as pd

from dagster_project.core.diagnosis.after_renames import after_renames
from dagster_project.core.diagnosis.clocks import timezone_shift
from dagster_project.core.diagnosis.deliveries import (
    delivery_stopped,
    export_incomplete,
    export_late,
    unmatched,
)
from dagster_project.core.diagnosis.doubles import duplicate_events
from dagster_project.core.diagnosis.emptied import property_emptied
from dagster_project.core.diagnosis.evidence import Evidence, Rows, days_of, positions
from dagster_project.core.diagnosis.finding import (
    Claims,
    Finding,
    Key,
    covers,
    jsonable,
    merged,
    no_links,
)
from dagster_project.core.diagnosis.forecast import forecast_together
from dagster_project.core.diagnosis.identifiers import identifier_format
from dagster_project.core.diagnosis.losses import delivery_loss, duplicate_delivery, unexplained
from dagster_project.core.diagnosis.misuse import identifier_misuse, never_joined, traits_on_track
from dagster_project.core.diagnosis.names import name_mismatch, unplanned_event
from dagster_project.core.diagnosis.properties import property_violation
from dagster_project.core.diagnosis.property_renames import property_renamed
from dagster_project.core.diagnosis.rates import limits_frame, usual_frame
from dagster_project.core.diagnosis.renames import event_renamed
from dagster_project.core.diagnosis.usual import DIFFERENCE_OF, rates_of
from dagster_project.core.diagnosis.volumes import event_stopped, source_stopped, volume_anomaly
from dagster_project.core.wording import brief

__all__ = ["Diagnosis", "Evidence", "Finding", "diagnose"]

Rule = Callable[[Evidence, Claims], list[Finding]]

# Causes before their effects.
RULES: Sequence[Rule] = (
    source_stopped,
    event_renamed,
    duplicate_events,
    event_stopped,
    unplanned_event,
    timezone_shift,
    name_mismatch,
    export_incomplete,
    export_late,
    unmatched,
    delivery_stopped,
    delivery_loss,
    duplicate_delivery,
    identifier_format,
    property_renamed,
    property_violation,
    property_emptied,
    identifier_misuse,
    never_joined,
    traits_on_track,
    volume_anomaly,
    unexplained,
)


def _no_cells() -> pd.DataFrame:
    columns = {"day": "datetime64[us]", "destination": object, "event": object}
    counts = dict.fromkeys(("missing", "duplicates", "unexpected"), "int64")
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in {**columns, **counts}.items()})  # type: ignore[call-overload]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """All findings of one run, causes first, and what could not be judged."""

    findings: tuple[Finding, ...]
    explained: tuple[Finding, ...]  # told by one of `findings`, and not on their own
    history_from: date
    last_day: date
    silent_sources: frozenset[str]  # nothing new is known of these,
    unread_destinations: frozenset[str]  # nor of these
    # The largest counts of each judged cell that are no discrepancy: destination, day, event, allowed_missing,
    # allowed_duplicates, allowed_unexpected. The one limit that every later judge holds a cell to.
    limits: pd.DataFrame = field(default_factory=pd.DataFrame)
    # What is usually missing, as a share of what is expected: destination, event, usual.
    usual: pd.DataFrame = field(default_factory=pd.DataFrame)
    # The judged cells themselves: whether an incident that is gone was repaired, or only ceased to stand out.
    cells: pd.DataFrame = field(default_factory=_no_cells)


def diagnose(evidence: Evidence) -> Diagnosis:
    """Each rule in turn; what one finding explains is listed under it."""
    findings: list[Finding] = []
    explained: list[Finding] = []
    forecast_together(evidence.sources.values())
    for rule in RULES:
        for finding in rule(evidence, Claims(findings)):
            same = [at for at, other in enumerate(findings) if other.key == finding.key]
            if finding.explained_by is not None:
                explained.append(finding)
            elif same:
                findings[same[0]] = merged([findings[same[0]], finding])
            else:
                findings.append(finding)
    findings = [_with_explained(finding, explained) for finding in after_renames(evidence, findings)]
    limits, usual = _judged_by(evidence, Claims(findings))
    return Diagnosis(
        findings=tuple(_linked(evidence, findings)),
        explained=tuple(explained),
        history_from=evidence.first_day,
        last_day=evidence.last_day,
        silent_sources=frozenset(f.source for f in findings if f.kind == "source_stopped" and f.source),
        unread_destinations=frozenset(
            name
            for f in findings
            if f.kind == "export_incomplete" and f.evidence.get("reason") in ("unreadable", "never_exported")
            for name in f.destinations
        ),
        limits=limits,
        usual=usual,
        cells=evidence.judged,
    )


def _judged_by(evidence: Evidence, claims: Claims) -> tuple[pd.DataFrame, pd.DataFrame]:
    grid, cells = evidence.grid, evidence.judged
    rates = {column: rates_of(evidence, claims, column) for column in DIFFERENCE_OF}
    limits = limits_frame(grid, rates["missing"], rates["duplicates"], rates["unexpected"])
    for column, difference in DIFFERENCE_OF.items():
        # What all days together let pass is no discrepancy on one of them: incident and limit never disagree.
        passed = ~claims.of_cells(cells, difference) & cells["exported"].to_numpy()
        counts = np.where(passed, cells[column].to_numpy(), 0)
        limits[f"allowed_{column}"] = np.maximum(limits[f"allowed_{column}"].to_numpy(), counts)
    return limits, usual_frame(grid, rates["missing"])


def _with_explained(finding: Finding, explained: Sequence[Finding]) -> Finding:
    also = [brief(other) for other in explained if _root(other, explained) == finding.key]
    return replace(
        finding,
        explains=list(dict.fromkeys([*finding.explains, *also])),
        evidence=jsonable(finding.evidence),
    )


def _root(finding: Finding, explained: Sequence[Finding]) -> Key | None:
    """The finding that is told: what explains a finding may itself be explained."""
    by_key = {other.key: other for other in explained}
    root, seen = finding.explained_by, set()
    while root in by_key and root not in seen:
        seen.add(root)
        root = by_key[root].explained_by
    return root


def _linked(evidence: Evidence, findings: Sequence[Finding]) -> list[Finding]:
    """Each difference row goes to the first finding that accounts for it, and to no other."""
    rows = evidence.differences
    rows = rows[rows["event"].notna() & rows["difference"].notna() & (rows["messages"] > 0)]
    rows = rows.drop_duplicates(["destination", "day", "event", "difference"]).reset_index(drop=True)
    if rows.empty:
        return list(findings)
    days, events = days_of(rows), rows["event"].to_numpy(dtype=object)
    differences = rows["difference"].to_numpy(dtype=object)
    at_destination = positions(rows, "destination")
    free = np.ones(len(rows), dtype=bool)
    linked = []
    for finding in findings:
        mine: list[Rows] = []
        for claim in finding.claims:
            at = at_destination.get(claim.destination) if claim.destination is not None else None
            if at is None:
                continue
            at = at[free[at]]
            told = np.fromiter((each in claim.differences for each in differences[at]), bool, len(at))
            at = at[told & covers(claim, days[at], events[at])]
            free[at] = False
            mine.append(at)
        linked.append(
            replace(finding, links=_links(rows, np.sort(np.concatenate(mine)))) if mine else finding
        )
    return linked


def _links(rows: pd.DataFrame, at: Rows) -> pd.DataFrame:
    if not len(at):
        return no_links()
    # Without the source: cells have none, so a link covers the rows of all sources.
    links = rows.iloc[at][["destination", "day", "source", "event", "difference"]]
    return links.assign(source=pd.Series([None] * len(at), index=links.index, dtype=object)).reset_index(
        drop=True
    )
