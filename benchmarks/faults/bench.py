"""One seed from the first run to the last: what the product tells, held against what was planted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import pandas as pd

from benchmarks.faults.draw import draw
from benchmarks.faults.plant import with_changes, with_faults
from benchmarks.faults.score import TOLD, Incident, score
from benchmarks.faults.sight import Stage
from benchmarks.faults.truth import Cell, Truth, truths
from benchmarks.faults.world import World
from dagster_project.core.diagnosis import Diagnosis, Evidence, diagnose
from dagster_project.core.incidents import INCIDENT_COLUMNS, reconcile_incidents

Diagnose = Callable[[Evidence], Diagnosis]


@dataclass
class Outcome:
    """What became of one seed."""

    seed: int
    clean: bool
    world: World
    lines: list[dict[str, Any]]
    false: list[Incident]
    truths: list[Truth]
    incidents: list[Incident]
    diagnosing: list[float]  # seconds of each run
    seconds: float
    history: list[pd.DataFrame] = field(default_factory=list)  # the incidents after each run

    @property
    def weeks(self) -> float:
        return self.world.runs / 7


def make(seed: int, *, clean: bool, **sizes: Any) -> World:
    world = with_changes(draw(seed, **sizes))
    return world if clean else with_faults(world)


def run(world: World, *, clean: bool, diagnosing: Diagnose = diagnose) -> Outcome:
    """All runs of a world, one a day."""
    began = time.perf_counter()
    stage = Stage(world)
    existing = pd.DataFrame({name: pd.Series([], dtype=object) for name in INCIDENT_COLUMNS})
    told: dict[str, Incident] = {}
    seconds, sights, history = [], [], []
    links: pd.DataFrame = pd.DataFrame()
    for number in range(world.runs):
        sight = stage.sight(number)
        sights.append(sight)
        evidence = sight.evidence()
        start = time.perf_counter()
        found = diagnosing(evidence)
        existing, _, _, links = reconcile_incidents(existing, found, sight.as_of, f"run-{number}")
        seconds.append(time.perf_counter() - start)
        history.append(existing)
        _note(told, existing, number)
    planted = truths(stage, sights)
    incidents = list(told.values())
    lines, false = score(planted, incidents, missing_links(links))
    return Outcome(
        seed=world.seed,
        clean=clean,
        world=world,
        lines=lines,
        false=false,
        truths=planted,
        incidents=incidents,
        diagnosing=seconds,
        seconds=time.perf_counter() - began,
        history=history,
    )


def _note(told: dict[str, Incident], incidents: pd.DataFrame, run: int) -> None:
    for row in incidents.to_dict("records"):
        if row["severity"] not in TOLD or row["status"] != "open":
            continue
        name = str(row["incident_id"])
        known = told.get(name)
        told[name] = Incident(
            incident_id=name,
            kind=str(row["kind"]),
            severity=str(row["severity"]),
            source=_text(row["source"]),
            event=_text(row["event"]),
            renamed_to=_text(row["renamed_to"]),
            property=_text(row["property"]),
            identifier=_text(row["identifier"]),
            destinations=tuple(json.loads(row["destinations"] or "[]")),
            started_on=_date(row["started_on"]) or date.min,
            ended_on=_date(row["ended_on"]),
            messages=int(row["messages_affected"]),
            first_run=run if known is None else known.first_run,
            last_run=run,
        )


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)


def _date(value: Any) -> date | None:
    return None if value is None or pd.isna(value) else pd.Timestamp(value).date()


def missing_links(links: pd.DataFrame) -> dict[Cell, str]:
    """The incident that each missing cell was given."""
    if links.empty:
        return {}
    rows = links[links["difference"] == "missing"]
    return {
        (str(d), pd.Timestamp(day).date().isoformat(), str(e)): str(i)
        for d, day, e, i in zip(
            rows["destination"], rows["day"], rows["event"], rows["incident_id"], strict=True
        )
    }


def near(world: World, incident: Incident) -> list[str]:
    """The harmless changes beside a false incident."""
    found = set()
    for change in world.changes:
        if change.source is not None and incident.source not in (None, change.source):
            continue
        if change.source is not None and incident.source is None and not incident.destinations:
            continue
        if (
            change.event is not None
            and change.kind != "roll-out"
            and incident.event not in (None, change.event)
        ):
            continue
        if change.destination is not None and change.destination not in incident.destinations:
            continue
        if world.day(max(change.first - 1, 0)) <= incident.started_on <= world.day(change.last + 1):
            found.add(change.kind)
    return sorted(found)


def plain(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON can hold it."""
    return {
        "seed": outcome.seed,
        "clean": outcome.clean,
        "events": len(outcome.world.streams),
        "destinations": len(outcome.world.feeds),
        "sources": len(outcome.world.senders),
        "runs": outcome.world.runs,
        "weeks": outcome.weeks,
        "lines": outcome.lines,
        "false": [{**_plain_incident(each), "near": near(outcome.world, each)} for each in outcome.false],
        "not_counted": sum(not t.visible and not t.optional for t in outcome.truths),
        "seconds_per_diagnosis": round(sum(outcome.diagnosing) / max(1, len(outcome.diagnosing)), 3),
        "slowest_diagnosis": round(max(outcome.diagnosing, default=0.0), 3),
        "seconds": round(outcome.seconds, 2),
    }


def _plain_incident(incident: Incident) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in asdict(incident).items()
    }


def side_by_side(outcome: Outcome) -> str:
    """The truth of a seed and what was told of it, for tuning."""
    from benchmarks.faults.score import belongings

    world, lines = outcome.world, []
    belongs = belongings(outcome.incidents, outcome.truths)
    lines.append(
        f"seed {world.seed}: {len(world.senders)} sources, {len(world.streams)} streams,"
        f" {len(world.feeds)} destinations, {world.runs} runs; first day {world.first_day},"
        f" first run sees up to {world.day(world.last_seen(0))}"
    )
    by_truth = dict(zip(_counted(outcome.truths), outcome.lines, strict=True))
    for at, truth in enumerate(outcome.truths):
        fault = world.faults[truth.fault]
        place = " ".join(
            str(part) for part in (truth.source, truth.events[0], truth.property, truth.identifier) if part
        )
        if truth.renamed_to:
            place += f" -> {truth.renamed_to}"
        note = " (history, optional)" if truth.optional else "" if truth.visible else " (nobody could see it)"
        lines.append(
            f"\nTRUTH {truth.kind} [{truth.variant}] {place} at {', '.join(truth.destinations) or '-'};"
            f" {truth.started_on} to {truth.ended_on or 'now'}; {truth.affected} messages; share"
            f" {fault.share:.2f} factor {fault.factor:.2f}; due in run {truth.due_run}{note}"
        )
        lines += [
            f"   told {_said(incident)}"
            for incident in outcome.incidents
            if belongs.get(incident.incident_id) == at
        ]
        if at in by_truth:
            line = by_truth[at]
            marks = " ".join(
                f"{name}={'yes' if line[name] else 'NO'}"
                for name in ("found", "right_kind", "right_place", "right_day", "in_time")
            )
            lines.append(f"   {marks} explained {line['explained']}/{line['missing']}")
    if outcome.false:
        lines.append("\nFALSE")
    for incident in outcome.false:
        lines.append(f"   told {_said(incident)}; near: {', '.join(near(world, incident)) or 'nothing'}")
    return "\n".join(lines)


def _counted(found: Sequence[Truth]) -> list[int]:
    return [at for at, truth in enumerate(found) if truth.visible and not truth.optional]


def _said(incident: Incident) -> str:
    place = " ".join(
        str(part)
        for part in (incident.source, incident.event, incident.property, incident.identifier)
        if part
    )
    if incident.renamed_to:
        place += f" -> {incident.renamed_to}"
    return (
        f"{incident.kind} ({incident.severity}) {place or '-'} at {', '.join(incident.destinations) or '-'};"
        f" {incident.started_on} to {incident.ended_on or 'now'}; {incident.messages} messages;"
        f" runs {incident.first_run}-{incident.last_run}"
    )
