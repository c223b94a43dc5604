"""Holds the told incidents against the truth.

An incident is told when it is open at `warning` or above in some run; it is judged as it stood when it was
last told. Each told incident belongs to one truth at most: it must touch its place (its source and event, or
its destination and event) and its days (one day more on either side), and unless it is of its kind, it must
not have begun before it. Of several such truths it belongs to the one of its own kind, then of its exact
place, then of its day.

Of a truth, strictly:
  found        some told incident belongs to it, of whatever kind
  right kind   one of them is of its kind
  right place  ... and names exactly its source, event, new name, property, identifier and destinations
  right day    ... and begins on its day, or one day off (a loss that grows may begin until it is five points)
  in time      ... and was told by the first run that saw 50 of its messages (see `truth.due` for the kinds of
               which a day, or a whole silent day, must be over before anybody could say what it is)
A place with one single event may be called by the event or as a whole. Truths that nobody could see in the
data (fewer than 50 messages, losses under five points) count neither way, nor do the outages of long ago
that are planted to mislead. Told incidents that belong to no truth are false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from benchmarks.faults.truth import SOURCE_KINDS, Cell, Truth

TOLD = ("warning", "error", "critical")
NEAR_DAYS = 1
EVER = date(2999, 1, 1)
# Kinds of a source that a destination can suffer from, too.
SHARED_KINDS = frozenset({"identifier_format", "property_violation"})


@dataclass
class Incident:
    """One incident as it stood when it was last told."""

    incident_id: str
    kind: str
    severity: str
    source: str | None
    event: str | None
    renamed_to: str | None
    property: str | None
    identifier: str | None
    destinations: tuple[str, ...]
    started_on: date
    ended_on: date | None
    messages: int
    first_run: int
    last_run: int


def exact_place(incident: Incident, truth: Truth) -> bool:
    by_source = incident.source == truth.source or (
        # What a destination loses of one source may name the source.
        truth.kind not in SOURCE_KINDS
    )
    return (
        by_source
        and incident.event in truth.events
        and (incident.renamed_to or None) == truth.renamed_to
        and incident.property == truth.property
        and incident.identifier == truth.identifier
        and set(incident.destinations) == set(truth.destinations)
    )


def right_day(incident: Incident, truth: Truth) -> bool:
    near = timedelta(days=NEAR_DAYS)
    return truth.started_on - near <= incident.started_on <= truth.started_by + near


def touches(incident: Incident, truth: Truth) -> bool:
    """Whether an incident can be about a truth at all: the same place, the same days."""
    near = timedelta(days=NEAR_DAYS)
    if incident.started_on > (truth.ended_on or EVER - near) + near:
        return False
    if (incident.ended_on or EVER) < truth.started_on - near:
        return False
    # Of another kind it can only be about a truth that was there when it began.
    if incident.kind != truth.kind and incident.started_on < truth.started_on - near:
        return False
    names = {incident.event, incident.renamed_to} - {None}
    same_event = not names or truth.related is None or bool(names & truth.related)
    here = bool(set(incident.destinations) & truth.touched)
    if truth.kind in SOURCE_KINDS and truth.kind not in SHARED_KINDS:
        if incident.source is not None:
            return incident.source == truth.source and same_event
        # An incident of a whole destination is about one event of one source only when it is of that kind.
        return here and bool(names) and same_event
    if truth.kind in SHARED_KINDS:
        if incident.source is not None:
            return incident.source == truth.source and same_event
        # What a destination refuses of them is theirs; a loss of all its events is not.
        return here and same_event and (bool(names) or truth.related is None)
    if incident.kind in SOURCE_KINDS and incident.kind not in SHARED_KINDS:
        return False
    return here and same_event


def belongings(incidents: Sequence[Incident], truths: Sequence[Truth]) -> dict[str, int]:
    """The truth (by number in the list) that each told incident belongs to."""
    found = {}
    for incident in incidents:
        ranked = sorted(
            (
                (
                    -4 * (incident.kind == truth.kind)
                    - 2 * exact_place(incident, truth)
                    - right_day(incident, truth)
                    + 8 * (not truth.visible and not truth.optional),
                    at,
                )
                for at, truth in enumerate(truths)
                if touches(incident, truth)
            ),
        )
        if ranked:
            found[incident.incident_id] = ranked[0][1]
    return found


def score(
    truths: Sequence[Truth], incidents: Sequence[Incident], links: Mapping[Cell, str]
) -> tuple[list[dict[str, Any]], list[Incident]]:
    """A line for each truth that counts, and the false incidents. `links`: the incident of each missing cell."""
    belongs = belongings(incidents, truths)
    kinds = {incident.incident_id: incident.kind for incident in incidents}
    lines = []
    for at, truth in enumerate(truths):
        if truth.optional or not truth.visible:
            continue
        mine = [incident for incident in incidents if belongs.get(incident.incident_id) == at]
        right = [incident for incident in mine if incident.kind == truth.kind]
        best = max(
            right,
            key=lambda each: (exact_place(each, truth), right_day(each, truth), -each.first_run),
            default=None,
        )
        due = truth.due_run or 0
        delay = max(0, min(each.first_run for each in right) - due) if right else None
        explained = sum(
            count
            for cell, count in truth.missing.items()
            if belongs.get(links.get(cell, "")) == at and kinds[links[cell]] == truth.kind
        )
        lines.append(
            {
                "kind": truth.kind,
                "variant": truth.variant,
                "place": " ".join(
                    each
                    for each in (truth.source, truth.events[0], truth.property, *truth.destinations[:2])
                    if each
                ),
                "found": bool(mine),
                "right_kind": bool(right),
                "right_place": best is not None and exact_place(best, truth),
                "right_day": best is not None and right_day(best, truth),
                "in_time": delay == 0,
                "delay": delay,
                "told": len(mine),
                "missing": sum(truth.missing.values()),
                "explained": explained,
                "instead": sorted({each.kind for each in mine} - {truth.kind}),
            }
        )
    false = [incident for incident in incidents if incident.incident_id not in belongs]
    return lines, false
