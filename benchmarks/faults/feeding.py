"""What becomes of the messages at each destination: what is expected, what is lost and why, what is too much."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.faults.contents import SHAPES, Contents
from benchmarks.faults.traffic import Ints, Traffic, complete_at
from benchmarks.faults.world import Fault, Feed, World


@dataclass(frozen=True, eq=False)
class Part:
    """Messages lost for one reason, by arrival, row and local day; `fault` None is the usual loss."""

    fault: int | None
    lost: Ints
    from_hour: dict[int, int] = field(default_factory=dict)  # of these days only the hours from here on
    shape: str | None = None  # only messages whose user id looks like this
    broken: int | None = None  # only messages that this planted fault broke


class Fed:
    """One destination over all days, as it will be once everything has arrived."""

    def __init__(self, traffic: Traffic, contents: Contents, feed: Feed, number: int) -> None:
        self.traffic, self.contents, self.feed = traffic, contents, feed
        self.world: World = traffic.world
        self.contract, self.zone = feed.contract, feed.contract.timezone
        self._dice = np.random.default_rng([self.world.seed, 30, number])
        segments = traffic.segments
        names = None if self.contract.events is None else {r.event for r in self.contract.events}
        here = np.isin(segments.source.astype(str), list(self.contract.sources))
        if names is not None:
            here &= np.isin(segments.event.astype(str), list(names))
        self.rows: Ints = np.flatnonzero(here)
        self.row_stream = segments.stream[self.rows]
        self.row_source, self.row_event = segments.source[self.rows], segments.event[self.rows]
        self.row_version = segments.version[self.rows]
        listed = [] if names is None else sorted(names)
        self.events: list[str] = sorted({*listed, *(str(e) for e in self.row_event)})
        place = {event: at for at, event in enumerate(self.events)}
        self.event_at: Ints = np.array([place[str(e)] for e in self.row_event], dtype=np.int64)
        self.streams, self.stream_at = np.unique(self.row_stream, return_inverse=True)
        self.faults = [(n, f) for n, f in enumerate(self.world.faults) if f.destination == feed.name]
        self._feed()

    def by_event(self, values: Ints) -> Ints:
        """Rows summed up to events, along the first axis."""
        return _summed(values, self.event_at, len(self.events))

    def by_stream(self, values: Ints) -> Ints:
        return _summed(values, self.stream_at, len(self.streams))

    # --- the days as they will be ---------------------------------------------------------------------------

    def _feed(self) -> None:
        dice, days = self._dice, self.traffic.days
        sent = self.traffic.daily(self.zone)[:, self.rows]
        self.refused: dict[str, Ints] = {}
        left = sent.copy()
        demanded = self.contract.identifiers
        if demanded:
            shapes = self.contents.shapes(self.zone)[:, :, self.rows]
            # No id is no wrong id: uuid and null pass.
            bad = shapes[2:].sum(axis=0)
            self.refused["bad_identifier"] = np.asarray(bad)
            left = left - bad
        if self.contract.consent:
            chance = np.array([self.world.sender(str(s)).refused for s in self.row_source])
            held = dice.binomial(left, chance[None, :, None])
            self.refused["consent"] = held
            left = left - held
        self.expected: Ints = left
        self.parts: list[Part] = []
        self.wrong: dict[int, Ints] = {}  # deliveries under a wrong name, by fault: arrival x day
        self.shift = np.zeros(days, dtype=np.int64)  # hours by which the export's clock is off
        remaining = left.copy()
        for number, fault in self.faults:
            part = self._lost(number, fault, remaining)
            if part is not None:
                remaining -= part.lost
                self.parts.append(part)
                if fault.kind == "name_mismatch":
                    self.wrong[number] = part.lost.sum(axis=1)
            if fault.kind == "timezone_shift":
                self.shift[fault.start :] = fault.shift_hours
        rate = (
            self.feed.loss * np.exp(dice.normal(0, self.feed.event_spread, len(self.events)))[self.event_at]
        )
        mood = dice.gamma(1 / self.feed.loss_cv**2, self.feed.loss_cv**2, days)
        usual = dice.binomial(remaining, np.clip(rate[:, None] * mood[None, :], 0, 0.9)[None])
        self.parts.append(Part(None, usual))
        self.delivered: Ints = remaining - usual
        self._surplus()

    def _share(self, fault: Fault) -> Any:
        days = np.arange(self.traffic.days)
        share = np.where(days >= fault.start, fault.share, 0.0)
        if fault.end is not None:
            share[fault.end + 1 :] = 0
        if fault.ramp_days:
            share *= np.clip((days - fault.start + 1) / fault.ramp_days, 0, 1)
        return share

    def _after(self, day: int, hour: int) -> Any:
        """The part of a local day that lies after an hour of it, by row."""
        marks, hours = self.traffic.bounds(self.zone), self.traffic.hours(self.zone)
        slots = np.arange(marks[day], marks[day + 1])
        every = self.traffic.counts[0, self.rows][:, slots]
        return every[:, hours[slots] >= hour].sum(axis=1) / np.maximum(every.sum(axis=1), 1)

    def _lost(self, number: int, fault: Fault, remaining: Ints) -> Part | None:
        if fault.kind not in (
            "delivery_stopped",
            "delivery_loss",
            "export_incomplete",
            "name_mismatch",
            "identifier_format",
            "property_violation",
            "timezone_shift",
        ):
            return None
        if fault.variant == "unreadable":
            return None  # delivered, and not known
        hit = np.ones(len(self.rows), dtype=bool)
        if fault.event is not None:
            hit &= self.row_event == fault.event
        if fault.source is not None:
            hit &= self.row_source == fault.source
        if fault.version is not None:
            hit &= self.row_version == fault.version
        if fault.kind == "identifier_format":
            assert fault.shape
            # The tool refuses what the source sends in the odd form.
            odd = self.contents.shapes(self.zone)[SHAPES.index(fault.shape)][:, self.rows]
            return Part(number, np.minimum(odd * hit[None, :, None], remaining), shape=fault.shape)
        if fault.kind == "property_violation":
            broken = self.contents.broken_rows[number][:, self.rows]
            # The tool's day is not the workspace's: some of the day's messages were broken on the day beside.
            return Part(number, np.minimum(broken, remaining), broken=number)
        if fault.kind == "timezone_shift":
            if self.contract.matching != "user_time":
                return None
            chance = np.where(np.arange(self.traffic.days) >= fault.start, 0.98, 0.0)
            return Part(number, self._dice.binomial(remaining, chance[None, None, :]))
        chance = hit[:, None] * self._share(fault)[None, :]
        hour = fault.from_hour or fault.hour
        if hour:
            chance[:, fault.start] *= self._after(fault.start, hour)
        lost = self._dice.binomial(remaining, chance[None])
        return Part(number, lost, from_hour={fault.start: hour} if hour else {})

    def _surplus(self) -> None:
        """Repeated deliveries and strangers, by row; strangers have no source and lie on some row of theirs."""
        dice, total = self._dice, self.delivered.sum(axis=0)
        self.repeated: Ints = dice.binomial(total, self.feed.duplicates)
        self.strange: Ints = dice.poisson(self.expected.sum(axis=0) * self.feed.unexpected)
        self.surplus: dict[int, Ints] = {}  # of each fault, by row and day
        for number, fault in self.faults:
            if fault.kind == "duplicate_delivery":
                more = dice.binomial(total, self._share(fault)[None, :])
                self.repeated = self.repeated + more
            elif fault.kind == "unexplained":
                hit = (self.row_event == fault.event)[:, None]
                more = dice.poisson(self.expected.sum(axis=0) * hit * self._share(fault)[None, :])
                self.strange = self.strange + more
            elif fault.kind == "timezone_shift" and self.contract.matching == "user_time":
                lost = next(part.lost for part in self.parts if part.fault == number).sum(axis=0)
                more = self._shifted(lost, self.contents_after(fault.shift_hours))
                self.strange = self.strange + more
            elif fault.kind == "timezone_shift" and self.contract.matching == "counts":
                kept = self.delivered.sum(axis=0)
                self.net = self._shifted(kept, self.contents_after(fault.shift_hours)) - kept
                continue
            else:
                continue
            self.surplus[number] = np.asarray(more)

    net: Any = None  # what a shifted clock of daily counts adds to, or takes from, each row's days

    @cached_property
    def shift_day(self) -> int:
        hit = np.flatnonzero(self.shift)
        return int(hit[0]) if len(hit) else self.traffic.days

    def contents_after(self, hours: int) -> Any:
        """The part of each row's day that a clock off by so many hours puts on the day beside."""
        marks, clock = self.traffic.bounds(self.zone), self.traffic.hours(self.zone)
        edge = clock >= 24 - hours if hours > 0 else clock < -hours
        counts = self.traffic.counts[0, self.rows]
        every = np.add.reduceat(counts[:, : marks[-1]], marks[:-1], axis=1)
        over = np.add.reduceat((counts * edge)[:, : marks[-1]], marks[:-1], axis=1)
        return over / np.maximum(every, 1)

    def _shifted(self, values: Ints, edge: Any) -> Ints:
        """Daily values once a part of each day stands on the day beside, from the first shifted day on."""
        days = np.arange(self.traffic.days)
        out = np.rint(values * edge * (days >= self.shift_day)).astype(np.int64)
        there = values - out
        if self.shift[-1] > 0:
            there[:, 1:] += out[:, :-1]
        else:
            there[:, :-1] += out[:, 1:]
        return np.asarray(there)

    # --- what a run sees ------------------------------------------------------------------------------------

    @cached_property
    def ends(self) -> list[datetime]:
        return [complete_at(self.world.day(day), self.zone) for day in range(self.traffic.days)]

    def mature(self, run: int) -> Any:
        as_of = self.world.as_of(run)
        return np.array([as_of >= end + self.contract.complete_after for end in self.ends])

    def arrived(self, run: int) -> Any:
        """The part of each day's deliveries that the export holds by now."""
        as_of, found = self.world.as_of(run), np.zeros(self.traffic.days)
        wait = self.contract.complete_after / timedelta(hours=1)
        for day, end in enumerate(self.ends):
            age = (as_of - end) / timedelta(hours=1)
            if age >= wait:
                found[day] = 1.0
            elif self.feed.streaming:
                # Retries come in until the day is complete.
                found[day] = 0.995 if age > self.feed.lands_after else 0.9 if age > -24 else 0.0
            else:
                found[day] = 1.0 if age >= self.feed.lands_after else 0.0
        for _, fault in self.faults:
            if fault.kind == "export_late":
                for day in range(fault.start, (fault.end or fault.start) + 1):
                    due = self.ends[day] + self.contract.complete_after
                    # All late days come together, so many days after the first of them was due.
                    comes = (
                        self.ends[fault.start]
                        + self.contract.complete_after
                        + timedelta(days=fault.lasts_days, hours=-1)
                    )
                    if as_of < max(comes, due):
                        found[day] = 0.0
            if fault.variant == "unreadable" and self.unreadable(run):
                found[fault.start :] = 0.0
        return found

    def unreadable(self, run: int) -> bool:
        """Whether the export's files have changed so that they cannot be read: known the day it happens."""
        return any(
            fault.variant == "unreadable" and self.world.last_seen(run) >= fault.start
            for _, fault in self.faults
        )


def _summed(values: Ints, at: Ints, size: int) -> Ints:
    """Sums of the rows that share a place; `ufunc.at` is ten times slower."""
    out = np.zeros((size, *values.shape[1:]), dtype=np.int64)
    if len(at):
        order = np.argsort(at, kind="stable")
        first = np.flatnonzero(np.diff(at[order], prepend=-1))
        out[at[order][first]] = np.add.reduceat(values[order], first, axis=0)
    return out
