"""What each planted fault is in the product's own words, from when on a run could know, and what it lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np

from benchmarks.faults.feeding import Fed
from benchmarks.faults.sight import Sight, Stage
from benchmarks.faults.world import Fault

LEAST_AFFECTED = 50  # messages, from which a person could see it
LEAST_SHARE = 0.05  # of the messages of a loss
SILENT = timedelta(hours=24)  # before a source without declared freshness counts as stopped
FIRST_NAMED = 3  # messages under a new name that make its first day
SOURCE_KINDS = frozenset(
    {
        "event_renamed",
        "event_stopped",
        "unplanned_event",
        "property_violation",
        "identifier_format",
        "duplicate_events",
        "volume_anomaly",
        "source_stopped",
    }
)

Cell = tuple[str, str, str]  # destination, day, event


@dataclass(frozen=True)
class Truth:
    """One planted fault. `events` are the event values that name its place; `related` all names it touches."""

    fault: int
    cause: int
    kind: str
    variant: str
    source: str | None
    events: tuple[str | None, ...]
    related: frozenset[str] | None  # None: every name of its place
    renamed_to: str | None
    property: str | None
    identifier: str | None
    destinations: tuple[str, ...]
    touched: frozenset[str]  # destinations at which it can be seen at all
    started_on: date
    started_by: date  # what grows slowly may be said to begin until it can be seen
    ended_on: date | None
    affected: int
    due_run: int | None  # the first run that sees enough of it
    visible: bool
    optional: bool
    missing: Mapping[Cell, int] = field(default_factory=dict)


def truths(stage: Stage, sights: Sequence[Sight]) -> list[Truth]:
    """The truth of a world, given what its runs saw."""
    world, found = stage.world, []
    content = stage.contents.affected()
    feds = {fed.feed.name: fed for fed in stage.feds}
    for number, fault in enumerate(world.faults):
        at_source = stage.traffic.affected.get(number, content.get(number))
        fed = feds.get(fault.destination) if fault.destination else None
        if fed is not None and fault.kind not in SOURCE_KINDS:
            by_run = [_at_destination(sight, fed, number, fault) for sight in sights]
        else:
            assert at_source is not None
            by_run = [int(at_source[: sight.last + 1].sum()) for sight in sights]
        seen_from = due(stage, sights, fault, fed, by_run)
        of_source = fed is None or fault.kind in SOURCE_KINDS
        started, ended = _days(stage, fault, at_source if of_source else None)
        events, related = _events(stage, fault, fed)
        destinations, touched = _destinations(stage, fault, related)
        found.append(
            Truth(
                fault=number,
                cause=fault.cause,
                kind=fault.kind,
                variant=fault.variant,
                source=fault.source if fault.kind in SOURCE_KINDS else None,
                events=events,
                related=related,
                renamed_to=fault.renamed_to or fault.new_property,
                property=fault.property,
                identifier=fault.identifier,
                destinations=destinations,
                touched=touched,
                started_on=started,
                started_by=_by(fault, started),
                ended_on=ended,
                affected=max(by_run),
                due_run=seen_from,
                visible=seen_from is not None and _large(sights[-1], fed, number, fault),
                optional=fault.optional,
                missing={} if fed is None else _missing(sights[-1], fed, number),
            )
        )
    return found


def due(
    stage: Stage, sights: Sequence[Sight], fault: Fault, fed: Fed | None, affected: Sequence[int]
) -> int | None:
    """The first run that can know: 50 messages are affected, and it can be told what it is.

    A stop shows on the first whole silent day: before, it is a bad day. A destination that is silent is late at
    first, and stopped once two whole days that are due have nothing. A source is stopped when it is silent for
    longer than it may be. A loss shows on a day on which it is five points.
    """
    for number, sight in enumerate(sights):
        if affected[number] < LEAST_AFFECTED:
            continue
        if fault.kind == "event_stopped":
            known = sight.last >= fault.start + (fault.hour > 0)
        elif fault.kind == "delivery_stopped":
            assert fed is not None
            silent = 1 if fault.event is not None else 2
            first = fault.start + (fault.hour > 0)
            last = fed.traffic.days if fault.end is None else fault.end + 1
            known = fed.mature(sight.run)[first:last].sum() >= silent
        elif fault.kind == "source_stopped":
            allowed = stage.world.sender(str(fault.source)).freshness or SILENT
            received = stage.traffic.last_received(str(fault.source), number)
            known = received is not None and sight.as_of - received > allowed
        elif fault.kind == "delivery_loss" and fault.ramp_days:
            assert fed is not None
            first = fault.start + (_by(fault, sight.world.day(0)) - sight.world.day(0)).days
            known = bool(fed.mature(sight.run)[first])
        else:
            known = True
        if known:
            return number
    return None


def _at_destination(sight: Sight, fed: Fed, number: int, fault: Fault) -> int:
    """Messages or deliveries that a fault has touched on the days that may be judged."""
    view = next(view for view in sight.views if view.fed is fed)
    mature = view.mature
    if fault.kind == "timezone_shift":
        days = np.arange(view.days) >= fault.start
        return int(view.deliveries[:, days & mature].sum())
    if number in fed.surplus:
        return int((fed.surplus[number][:, : view.days] * mature).sum())
    lost = view.missing_of(number)
    if fault.variant == "unreadable":
        # Told the day it happens: what is not there yet belongs to it, mature or not.
        held = view.expected[:, fault.start :]
        return int(held.sum()) if fed.unreadable(sight.run) else 0
    if fault.kind == "export_incomplete" and fault.variant == "day missing":
        # A hole is one once something has come after it.
        later = view.exported[fault.start + 1 :]
        return int(lost.sum()) if later.any() else 0
    return int(lost.sum())


def _days(stage: Stage, fault: Fault, affected: Any) -> tuple[date, date | None]:
    world = stage.world
    ended = None if fault.end is None else world.day(fault.end)
    first = fault.start
    if affected is not None:
        # A roll-out that begins with a single message begins where it can be seen.
        least = FIRST_NAMED if fault.kind == "event_renamed" else 1
        hit = np.flatnonzero(np.asarray(affected) >= least)
        if len(hit):
            first = int(hit[0])
    return world.day(first), ended


def _by(fault: Fault, started: date) -> date:
    """The last day that may be called the first: of a growing loss, that on which it reaches five points."""
    if fault.kind != "delivery_loss" or not fault.ramp_days:
        return started
    days = int(np.ceil(LEAST_SHARE / fault.share * fault.ramp_days)) - 1
    return started + timedelta(days=max(0, days))


def _events(
    stage: Stage, fault: Fault, fed: Fed | None
) -> tuple[tuple[str | None, ...], frozenset[str] | None]:
    """How the place may be called: of one single event, "the event" and "all" are the same."""
    if fault.kind == "name_mismatch":
        return (fault.wrong_name,), frozenset({str(fault.wrong_name), str(fault.event)})
    if fault.kind == "event_renamed":
        return (fault.event,), frozenset({str(fault.event), str(fault.renamed_to)})
    if fault.event is not None:
        names: tuple[str | None, ...] = (fault.event,)
        alone = fed is not None and fault.kind not in SOURCE_KINDS and _live(fed) == {fault.event}
        if fault.kind == "identifier_format":
            alone = _checked(stage, str(fault.source)) == {fault.event}
        return ((fault.event, None) if alone else names), frozenset({fault.event})
    if fed is not None and fault.kind not in SOURCE_KINDS:
        live = _live(fed, fault.source)
        if fault.source is not None:
            # Of the events of one source all are hit, and no other: then they are its place.
            return (None, *live) if len(live) == 1 else (None,), frozenset(live)
        return ((None, *live) if len(live) == 1 else (None,)), None
    checked = _checked(stage, str(fault.source)) if fault.kind == "identifier_format" else set()
    sent = {s.event for s in stage.traffic.streams if s.source == fault.source}
    only = checked if len(checked) == 1 else sent if len(sent) == 1 else set()
    return (None, *only), None


def _live(fed: Fed, source: str | None = None) -> set[str]:
    mine = fed.expected.sum(axis=(0, 2)) > 0
    if source is not None:
        mine &= fed.row_source == source
    return {str(event) for event in fed.row_event[mine]}


def _checked(stage: Stage, source: str) -> set[str]:
    return {
        stream.event
        for stream in stage.traffic.streams
        if stream.source == source
        and any(feed.contract.identifiers for feed in stage.world.takers(source, stream.event))
    }


def _destinations(
    stage: Stage, fault: Fault, related: frozenset[str] | None
) -> tuple[tuple[str, ...], frozenset[str]]:
    world = stage.world
    if fault.destination is not None and fault.kind not in SOURCE_KINDS:
        return (fault.destination,), frozenset({fault.destination})
    source = str(fault.source)
    names = related or {s.event for s in stage.traffic.streams if s.source == source}
    touched = frozenset(feed.name for name in names for feed in world.takers(source, name))
    if fault.kind == "event_renamed":
        old = {feed.name for feed in world.takers(source, str(fault.event))}
        new = {feed.name for feed in world.takers(source, str(fault.renamed_to))}
        return tuple(sorted(old - new)), touched
    if fault.kind == "source_stopped":
        return tuple(sorted(f.name for f in world.feeds if source in f.contract.sources)), touched
    if fault.kind == "unplanned_event":
        everything = [f for f in world.takers(source, str(fault.event)) if f.contract.events is None]
        return tuple(sorted(f.name for f in everything)), touched
    if fault.kind == "identifier_format":
        checking = {f.name for n in names for f in world.takers(source, n) if f.contract.identifiers}
        # And the one that refuses without a word in its contract.
        return tuple(sorted(checking | ({fault.destination} if fault.destination else set()))), touched
    return tuple(sorted({name for n in names for name in world.waiting(source, n)})), touched


def _large(sight: Sight, fed: Fed | None, number: int, fault: Fault) -> bool:
    """Whether a loss is large enough to be seen: five points of what was expected where it is."""
    if fed is None or fault.kind not in ("delivery_loss", "identifier_format", "property_violation"):
        return True
    view = next(view for view in sight.views if view.fed is fed)
    lost = view.missing_of(number)
    place = (
        np.isin(fed.row_event.astype(str), [fault.event])
        if fault.event
        else np.ones(len(fed.rows), dtype=bool)
    )
    days = lost.sum(axis=0) > 0
    expected = int(view.expected[place][:, days].sum())
    return bool(lost.sum() >= LEAST_SHARE * expected)


def _missing(sight: Sight, fed: Fed, number: int) -> dict[Cell, int]:
    """The missing messages of a fault at the last run, by cell; where rows can be linked to incidents."""
    if fed.contract.matching == "counts":
        return {}
    view = next(view for view in sight.views if view.fed is fed)
    counts = fed.by_event(view.missing_of(number))
    at, day = np.nonzero(counts)
    return {
        (fed.feed.name, sight.world.day(int(d)).isoformat(), fed.events[int(a)]): int(counts[a, d])
        for a, d in zip(at, day, strict=True)
    }
