"""The messages that a world's sources send: counts by app version and half hour, with the sources' own faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from benchmarks.faults.world import RUN_HOUR, Fault, Sender, Stream, World

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SLOTS = 48  # half hours a day, for the zones that are half an hour off
ON_TIME, LATE = 0, 1


@dataclass(frozen=True, eq=False)
class Segments:
    """One row a stream and app version; the rows of a stream stand together."""

    stream: Ints
    version: Any
    source: Any
    event: Any
    starts: Ints  # first row of each stream


class Traffic:
    """Everything that was sent. `counts[0]` came at once, `counts[1]` some days later, by UTC half hour.

    The half hours begin a day before the first day and end a day after the last, so that every zone has its
    whole days.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.days = world.days
        self.first_slot = datetime.combine(world.first_day - timedelta(days=1), datetime.min.time())
        self.slots = (world.days + 2) * SLOTS
        order = {sender.name: n for n, sender in enumerate(world.senders)}
        # Grouped by source, as the segments are: the number of a stream is its place in every table.
        self.streams = tuple(sorted((*world.streams, *_made(world)), key=lambda s: order[s.source]))
        self.at = {(s.source, s.event): n for n, s in enumerate(self.streams)}
        self.segments = _segments(world, self.streams)
        self.affected: dict[int, Floats] = {}  # by fault: messages a workspace day
        self.twins_added: dict[int, Ints] = {}  # by stream: a workspace day
        self._dice = np.random.default_rng([world.seed, 10])
        total = self._sent()
        self._silent_from: dict[str, int] = {}
        for number, fault in enumerate(world.faults):
            change = getattr(self, f"_{fault.kind}", None)
            if change is not None:
                change(number, fault, total)
        self.counts = self._split(total)

    # --- calendars ----------------------------------------------------------------------------------------

    def bounds(self, zone: str) -> Ints:
        """The slot with which each local day begins; one more than there are days."""
        key = ("bounds", zone)
        if key not in self._cache:
            marks = []
            for day in range(self.days + 1):
                midnight = datetime.combine(self.world.day(day), datetime.min.time(), ZoneInfo(zone))
                marks.append(self.slot(midnight.astimezone(UTC).replace(tzinfo=None)))
            self._cache[key] = np.array(marks, dtype=np.int64)
        return self._cache[key]  # type: ignore[no-any-return]

    def hours(self, zone: str) -> Ints:
        """The local hour of every slot."""
        key = ("hours", zone)
        if key not in self._cache:
            there = ZoneInfo(zone)
            self._cache[key] = np.array(
                [
                    (self.first_slot + timedelta(minutes=30 * n)).replace(tzinfo=UTC).astimezone(there).hour
                    for n in range(self.slots)
                ],
                dtype=np.int64,
            )
        return self._cache[key]  # type: ignore[no-any-return]

    @cached_property
    def _cache(self) -> dict[Any, Any]:
        return {}

    def slot(self, moment: datetime) -> int:
        return int((moment - self.first_slot) / timedelta(minutes=30))

    def slot_of(self, day: int, hour: int, zone: str | None = None) -> int:
        """The slot of an hour of a local day (of the workspace, when no zone is named)."""
        return int(self.bounds(zone or self.world.zone)[day]) + 2 * hour

    def seen_until(self, run: int) -> int:
        return self.slot(self.world.as_of(run))

    # --- sums ---------------------------------------------------------------------------------------------

    def daily(self, zone: str) -> Ints:
        """Messages by arrival (at once, late), segment and local day."""
        key = ("daily", zone)
        if key not in self._cache:
            marks = self.bounds(zone)
            every = np.add.reduceat(self.counts[:, :, : marks[-1]], marks[:-1], axis=2, dtype=np.int64)
            self._cache[key] = every
        return self._cache[key]  # type: ignore[no-any-return]

    def released(self, run: int) -> NDArray[np.bool_]:
        """Whether the late messages of a day have come, by segment and day."""
        lag = self.late_lag[self.segments.stream]
        return np.asarray(np.arange(self.days)[None, :] + lag <= self.world.last_seen(run))

    @cached_property
    def late_lag(self) -> Ints:
        """Days until the late messages of a day come, by stream and day."""
        lag = np.zeros((len(self.streams), self.days), dtype=np.int64)
        for n, stream in enumerate(self.streams):
            lag[n] = self.world.sender(stream.source).late_days
            for change in self.world.changes:
                if change.kind == "back-fill" and change.source == stream.source:
                    lag[n, change.first] = 3
        return lag

    def seen(self, run: int, zone: str) -> Ints:
        """Messages by segment and local day that have been received by a run; today in part."""
        daily, marks = self.daily(zone), self.bounds(zone)
        seen = daily[ON_TIME] + daily[LATE] * self.released(run)
        until = self.seen_until(run)
        for day in range(self.world.last_seen(run), self.days):
            if marks[day + 1] > until:
                part = self.counts[ON_TIME, :, marks[day] : max(until, marks[day])]
                seen[:, day] = part.sum(axis=1, dtype=np.int64)
        return np.asarray(seen)

    def by_stream(self, values: Ints) -> Ints:
        """Segments summed up to streams, along the first axis."""
        return np.asarray(np.add.reduceat(values, self.segments.starts, axis=0))

    def last_received(self, source: str, run: int) -> datetime | None:
        rows = np.flatnonzero(self.segments.source == source)
        until = self.seen_until(run)
        total = self.counts[ON_TIME, rows, :until].sum(axis=0)
        there = np.flatnonzero(total)
        if not len(there):
            return None
        return self.first_slot + timedelta(minutes=30 * int(there[-1]) + 25)

    # --- what is sent -------------------------------------------------------------------------------------

    def _sent(self) -> Ints:
        world, segments = self.world, self.segments
        shares = np.zeros((len(segments.stream), self.slots))
        row = 0
        slot_day = np.arange(self.slots) // SLOTS - 1  # UTC day, -1 for the day before
        for sender in world.senders:
            curve = _curve(self, sender)
            common = self._dice.gamma(1 / sender.cv**2, sender.cv**2, self.days + 2)
            spread = version_shares(sender, np.arange(self.slots) / SLOTS - 1)
            for stream in self.streams:
                if stream.source != sender.name:
                    continue
                own = self._dice.gamma(1 / stream.cv**2, stream.cv**2, self.days + 2)
                rate = stream.level * curve * (common * own)[slot_day + 1]
                rate *= 1 + sender.trend * slot_day
                rate *= self._moods(stream, slot_day)
                if stream.launched is not None:
                    rate[slot_day < stream.launched] = 0
                shares[row : row + len(spread)] = rate * spread
                row += len(spread)
        return self._dice.poisson(np.maximum(shares, 0)).astype(np.int64)

    def _moods(self, stream: Stream, slot_day: Ints) -> Floats:
        """What campaigns and holidays make of this stream; no two events of a source answer quite alike."""
        mood = np.ones(self.slots)
        for change in self.world.changes:
            if change.kind == "campaign" and change.source == stream.source:
                answer = 1 + (change.amount - 1) * self._dice.uniform(0.8, 1.2)
            elif change.kind == "holiday":
                answer = change.amount * self._dice.uniform(0.9, 1.1)
            else:
                continue
            mood[(slot_day >= change.first) & (slot_day <= change.last)] *= answer
        return mood

    def _split(self, total: Ints) -> Ints:
        """Apart what came at once and what came late."""
        late = np.zeros((len(total), self.days + 2))
        for row, source in enumerate(self.segments.source):
            late[row] = self.world.sender(str(source)).late_share
        for change in self.world.changes:
            if change.kind == "back-fill":
                late[self.segments.source == change.source, change.first + 1] = change.amount
        share = np.repeat(late, SLOTS, axis=1)
        rows = np.flatnonzero(late.any(axis=1))
        second = np.zeros_like(total, dtype=np.int32)
        second[rows] = self._dice.binomial(total[rows], share[rows])
        for source, slot in self._silent_from.items():
            # What was still on the way when the source died never comes.
            lag = self.world.sender(source).late_days
            second[self.segments.source == source, max(0, slot - SLOTS * (lag + 1)) :] = 0
        first = (total - second).astype(np.int32)
        return np.stack([first, second])

    # --- faults of the sources ------------------------------------------------------------------------------

    def rows(self, source: str, event: str | None = None, version: str | None = None) -> Ints:
        hit = self.segments.source == source
        if event is not None:
            hit = hit & (self.segments.event == event)
        if version is not None:
            hit = hit & (self.segments.version == version)
        return np.flatnonzero(hit)

    def span(self, fault: Fault) -> slice:
        """The slots of a fault, on the workspace's clock."""
        first = self.slot_of(fault.start, fault.hour)
        last = self.slots if fault.end is None else int(self.bounds(self.world.zone)[fault.end + 1])
        return slice(first, last)

    def grown(self, fault: Fault) -> Floats:
        """The share of a fault by slot: its full share at once, or growing to it."""
        span = self.span(fault)
        share = np.zeros(self.slots)
        share[span] = fault.share
        if fault.ramp_days:
            passed = np.arange(self.slots) - span.start
            share *= np.clip((passed / SLOTS + 0.5) / fault.ramp_days, 0, 1)
        return share

    def _note(self, number: int, slots: Any) -> None:
        marks = self.bounds(self.world.zone)
        self.affected[number] = np.add.reduceat(np.asarray(slots, float)[: marks[-1]], marks[:-1])

    def _take(self, number: int, fault: Fault, total: Ints, rows: Ints, share: Floats) -> Ints:
        taken = self._dice.binomial(total[rows], np.clip(share, 0, 1))
        total[rows] -= taken
        self._note(number, taken.sum(axis=0))
        return np.asarray(taken)

    def _event_renamed(self, number: int, fault: Fault, total: Ints) -> None:
        assert fault.source and fault.event and fault.renamed_to
        old = self.rows(fault.source, fault.event)
        new = self.rows(fault.source, fault.renamed_to)
        share = np.repeat(self.grown(fault)[None, :], len(old), axis=0)
        if fault.version is not None:
            share[self.segments.version[old] != fault.version] = 0
        taken = self._take(number, fault, total, old, share)
        total[new] += taken

    def _event_stopped(self, number: int, fault: Fault, total: Ints) -> None:
        assert fault.source
        self._take(number, fault, total, self.rows(fault.source, fault.event), self.grown(fault)[None, :])

    def _source_stopped(self, number: int, fault: Fault, total: Ints) -> None:
        assert fault.source
        self._silent_from[fault.source] = self.slot_of(fault.start, fault.hour)
        self._take(number, fault, total, self.rows(fault.source), self.grown(fault)[None, :])

    def _volume_anomaly(self, number: int, fault: Fault, total: Ints) -> None:
        assert fault.source
        rows = self.rows(fault.source, fault.event)
        if fault.factor < 1:
            self._take(number, fault, total, rows, (self.grown(fault) * (1 - fault.factor))[None, :])
            return
        more = self._dice.poisson(total[rows] * (self.grown(fault) * (fault.factor - 1))[None, :])
        total[rows] += more
        self._note(number, more.sum(axis=0))

    def _duplicate_events(self, number: int, fault: Fault, total: Ints) -> None:
        assert fault.source
        rows = self.rows(fault.source, fault.event)
        more = self._dice.binomial(total[rows], self.grown(fault)[None, :])
        total[rows] += more
        self._note(number, more.sum(axis=0))
        marks = self.bounds(self.world.zone)
        daily = np.add.reduceat(more[:, : marks[-1]], marks[:-1], axis=1)
        for at, row in enumerate(rows):
            stream = int(self.segments.stream[row])
            self.twins_added[stream] = self.twins_added.get(stream, 0) + daily[at]

    def _unplanned_event(self, number: int, fault: Fault, total: Ints) -> None:
        assert fault.source
        rows = self.rows(fault.source, fault.event)
        total[rows] = self._dice.binomial(total[rows], (self.grown(fault) > 0).astype(float)[None, :])
        self._note(number, total[rows].sum(axis=0))


def _made(world: World) -> tuple[Stream, ...]:
    """The streams that only exist because of a fault: new names."""
    made: dict[tuple[str, str], Stream] = {}
    for fault in world.faults:
        if fault.kind == "event_renamed" and fault.renamed_to:
            old = world.stream(str(fault.source), str(fault.event))
            assert old is not None
            key = (old.source, fault.renamed_to)
            if world.stream(*key) is None:
                made.setdefault(
                    key, replace(old, event=fault.renamed_to, level=0.0, planned=False, launched=None)
                )
        elif fault.kind == "unplanned_event":
            made[str(fault.source), str(fault.event)] = Stream(
                str(fault.source), str(fault.event), fault.factor, planned=False
            )
    return tuple(made.values())


def _segments(world: World, streams: Sequence[Stream]) -> Segments:
    """Rows in the order of the senders, so that the rows of a source stand together, too."""
    stream: list[int] = []
    version: list[str | None] = []
    source: list[str] = []
    event: list[str] = []
    starts: dict[int, int] = {}
    for sender in world.senders:
        for number, each in enumerate(streams):
            if each.source != sender.name:
                continue
            starts[number] = len(stream)
            for one in sender.versions:
                stream.append(number)
                version.append(one.name)
                source.append(each.source)
                event.append(each.event)
    return Segments(
        stream=np.array(stream, dtype=np.int64),
        version=np.array(version, dtype=object),
        source=np.array(source, dtype=object),
        event=np.array(event, dtype=object),
        starts=np.array(sorted(starts.values()), dtype=np.int64),
    )


def version_shares(sender: Sender, when: Floats) -> Floats:
    """The part of a sender's messages that each version sends, at moments counted in days."""
    shares = np.zeros((len(sender.versions), len(when)))
    left = np.ones(len(when))
    for at in range(len(sender.versions) - 1, -1, -1):
        version = sender.versions[at]
        taken = (
            version.reach * np.clip((when - version.released) / max(version.ramp_days, 0.5), 0, 1)
            if at
            else np.ones(len(when))
        )
        shares[at] = left * taken
        left = left * (1 - taken)
    shares[shares < 0.002] = 0
    return shares


def _curve(traffic: Traffic, sender: Sender) -> Floats:
    """The weight of every slot: weekday and hour of the users' own clock. A usual day adds up to 1."""
    there = ZoneInfo(sender.zone)
    moments = [
        (traffic.first_slot + timedelta(minutes=30 * n)).replace(tzinfo=UTC).astimezone(there)
        for n in range(traffic.slots)
    ]
    return np.array([sender.weekday[m.weekday()] * sender.hours[m.hour] / 2 for m in moments])


def complete_at(day: date, zone: str) -> datetime:
    """The end of a local day, as a naive UTC moment."""
    midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(zone))
    return midnight.astimezone(UTC).replace(tzinfo=None)


__all__ = ["LATE", "ON_TIME", "RUN_HOUR", "SLOTS", "Segments", "Traffic", "complete_at", "version_shares"]
