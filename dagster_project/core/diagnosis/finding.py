"""A finding: one cause, where it is seen, and which part of the evidence it accounts for."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from dagster_project.core.diagnosis.evidence import Days, Flags, days_of, positions, spans

SEVERITIES = ("info", "warning", "error", "critical")
# Kinds of which each destination has its own: the destination is part of who they are.
DELIVERY_KINDS = frozenset(
    {
        "delivery_stopped",
        "delivery_loss",
        "duplicate_delivery",
        "name_mismatch",
        "export_incomplete",
        "export_late",
        "timezone_shift",
        "unexplained",
    }
)
DIFFERENCES = ("missing", "duplicate", "unexpected")

Key = tuple[str | None, ...]


@dataclass(frozen=True)
class Claim:
    """A part of the evidence that a finding accounts for; None means any.

    Without a destination it is the volume of a name in a source; with one it is the differences of that
    destination's cells. `differences` says which of them.
    """

    first: date
    last: date
    source: str | None = None
    event: str | None = None
    destination: str | None = None
    differences: frozenset[str] = frozenset(DIFFERENCES)


@dataclass(frozen=True, eq=False)
class Finding:
    """What a rule found. `explained_by` names the finding that tells of it already: then it is not told."""

    kind: str
    severity: str
    started_on: date
    ended_on: date | None = None
    source: str | None = None
    event: str | None = None
    renamed_to: str | None = None
    property: str | None = None
    identifier: str | None = None
    destinations: tuple[str, ...] = ()
    messages_affected: int = 0
    windows: tuple[tuple[str, date], ...] = ()
    claims: tuple[Claim, ...] = ()
    links: pd.DataFrame = field(default_factory=lambda: no_links())
    share_explained: float | None = None
    explains: list[str] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)
    explained_by: Key | None = None
    # Not beyond doubt yet: kept as `info`, and told once a later run finds it again.
    suspected: bool = False

    @builtins.property
    def key(self) -> Key:
        """Who this finding is, over all runs: everything but time and amount."""
        own = self.destinations if self.kind in DELIVERY_KINDS else ()
        return (
            self.kind,
            self.source,
            self.event,
            self.renamed_to,
            self.property,
            self.identifier,
            *sorted(own),
        )

    @builtins.property
    def days(self) -> tuple[date, ...]:
        return tuple(sorted({day for _, day in self.windows}))


class Claims:
    """What the findings so far account for. Rules ask it, and never change it."""

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self.findings = tuple(findings)
        self._of_source: dict[tuple[str, str | None], list[tuple[Claim, Key]]] = {}
        self._of_destination: dict[str, list[Claim]] = {}
        for finding in self.findings:
            for claim in finding.claims:
                if claim.destination is not None:
                    self._of_destination.setdefault(claim.destination, []).append(claim)
                elif claim.source is not None:
                    self._of_source.setdefault((claim.source, claim.event), []).append((claim, finding.key))

    def of_event(self, source: str, event: str | None, day: date) -> Key | None:
        """The finding that accounts for the volume of this name on this day, if any."""
        for name in (event, None):
            for claim, key in self._of_source.get((source, name), ()):
                if claim.first <= day <= claim.last:
                    return key
        return None

    def of_cells(self, cells: pd.DataFrame, difference: str) -> Flags:
        """Which of these cells (day, destination, event) are accounted for in this difference."""
        told = np.zeros(len(cells), dtype=bool)
        if not self._of_destination or not len(cells):
            return told
        days = days_of(cells)
        events = cells["event"].to_numpy(dtype=object)
        for destination, rows in positions(cells, "destination").items():
            for claim in self._of_destination.get(destination, ()):
                if difference in claim.differences:
                    free = rows[~told[rows]]
                    told[free[covers(claim, days[free], events[free])]] = True
        return told


def covers(claim: Claim, days: Days, events: np.ndarray[Any, np.dtype[np.object_]]) -> Flags:
    inside = (days >= np.datetime64(claim.first, "D")) & (days <= np.datetime64(claim.last, "D"))
    if claim.event is None:
        return np.asarray(inside)
    return np.asarray(inside & np.fromiter((event == claim.event for event in events), bool, len(events)))


def cell_claims(
    destination: str, event: str | None, days: Days, differences: Iterable[str] = DIFFERENCES
) -> tuple[Claim, ...]:
    kinds = frozenset(differences)
    return tuple(
        Claim(first, last, event=event, destination=destination, differences=kinds)
        for first, last in spans(days)
    )


def windows_of(destinations: Iterable[str], days: Days) -> tuple[tuple[str, date], ...]:
    dates = list(np.unique(days).astype("datetime64[D]").astype(object))
    return tuple((destination, day) for destination in sorted(destinations) for day in dates)


def no_links() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "destination": pd.Series([], dtype=object),
            "day": pd.Series([], dtype="datetime64[us]"),
            "source": pd.Series([], dtype=object),
            "event": pd.Series([], dtype=object),
            "difference": pd.Series([], dtype=object),
        }
    )


def worst(severities: Iterable[str]) -> str:
    return max(severities, key=SEVERITIES.index)


def merged(findings: Sequence[Finding]) -> Finding:
    """Several findings of one key as one: a cause that comes back is still the same cause."""
    first = findings[0]
    if len(findings) == 1:
        return first
    ended = [each.ended_on for each in findings]
    shares = [each.share_explained for each in findings if each.share_explained is not None]
    evidence: dict[str, Any] = {}
    for each in findings:
        for name, value in each.evidence.items():
            evidence.setdefault(name, value)
    return replace(
        first,
        severity=worst(each.severity for each in findings),
        started_on=min(each.started_on for each in findings),
        ended_on=None if None in ended else max(day for day in ended if day is not None),
        destinations=tuple(sorted({name for each in findings for name in each.destinations})),
        messages_affected=_affected(findings),
        windows=tuple(sorted({window for each in findings for window in each.windows})),
        claims=tuple(dict.fromkeys(claim for each in findings for claim in each.claims)),
        share_explained=max(shares) if shares else None,
        explains=list(dict.fromkeys(text for each in findings for text in each.explains)),
        evidence=evidence | {"parts": len(findings)},
        suspected=all(each.suspected for each in findings),
    )


def _affected(findings: Sequence[Finding]) -> int:
    """Parts of one cause add up; a rejection counts messages that the source's own finding counts already."""
    counts = [each.messages_affected for each in findings]
    return max(counts) if any("rejected_by" in each.evidence for each in findings) else sum(counts)


def jsonable(value: Any) -> Any:
    """Plain Python values that JSON can hold; numbers that are not numbers become null."""
    if isinstance(value, Mapping):
        return {str(name): jsonable(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(each) for each in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()[:10]
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
