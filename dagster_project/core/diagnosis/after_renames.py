"""Names the rename behind a loss: the contract takes the new name by now, and what was sent before is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dagster_project.core.diagnosis.evidence import Evidence, days_of
from dagster_project.core.diagnosis.finding import Finding

LOSSES = frozenset({"delivery_loss", "delivery_stopped", "export_late"})
OF_THE_LOSS = 0.9  # of what is missing must stand under new names, or the loss is another one


def after_renames(evidence: Evidence, findings: Sequence[Finding]) -> list[Finding]:
    """The findings, with the renames in the evidence of each loss of which the destination never had the new name."""
    renames: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.kind == "event_renamed" and finding.renamed_to is not None:
            renames.setdefault(finding.renamed_to, []).append(finding)
    if not renames:
        return list(findings)
    return [_with_renames(evidence, each, renames) if each.kind in LOSSES else each for each in findings]


def _with_renames(evidence: Evidence, loss: Finding, renames: Mapping[str, Sequence[Finding]]) -> Finding:
    (destination,) = loss.destinations
    cells = evidence.judged[evidence.judged["destination"] == destination]
    if loss.event is not None:
        cells = cells[cells["event"] == loss.event]
    days = days_of(cells)
    first = np.datetime64(loss.started_on, "D")
    struck = np.isin(days, np.array(loss.days, dtype="datetime64[D]"))
    missing = cells[struck].groupby("event")["missing"].sum()
    had = set(cells[(days < first) & (cells["delivered"] > 0).to_numpy()]["event"])
    found: list[Finding] = []
    explained = 0
    for event, count in missing.items():
        # What it has received under this name before was taken from it by something else.
        mine = (
            []
            if event in had
            else [r for r in renames.get(str(event), ()) if _taken_up(evidence, r, destination)]
        )
        found += mine
        explained += int(count) if mine else 0
    if not found or explained < OF_THE_LOSS * int(missing.sum()):
        return loss
    told = [
        {"event": r.event, "new": r.renamed_to, "source": r.source, "since": r.started_on.isoformat()}
        for r in found
    ]
    return replace(loss, evidence=loss.evidence | {"renamed": told})


def _taken_up(evidence: Evidence, rename: Finding, destination: str) -> bool:
    return (
        rename.source is not None
        and rename.renamed_to is not None
        and destination not in rename.destinations
        and destination in evidence.routed(rename.source, rename.renamed_to)
    )
