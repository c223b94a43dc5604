"""What a run sees of a world at 06:00 UTC: the product's Evidence, and the arrays behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.faults.answers import Answers
from benchmarks.faults.contents import SHAPES, Contents
from benchmarks.faults.feeding import Fed, Part
from benchmarks.faults.traffic import Ints, Traffic
from benchmarks.faults.world import World
from dagster_project.core.diagnosis.evidence import Evidence

# Faults of an export that is not there; what it would hold has been delivered all the same.
ABSENT = {("export_late", "late"), ("export_incomplete", "unreadable")}


class Stage:
    """A world with all of its messages and deliveries, and what its runs have seen so far."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.traffic = Traffic(world)
        self.contents = Contents(self.traffic)
        self.feds = [Fed(self.traffic, self.contents, feed, n) for n, feed in enumerate(world.feeds)]
        self._arrivals: list[tuple[Any, ...]] = []
        self._observed: dict[tuple[int, int], int] = {}
        self._observed_run = -1

    def sight(self, run: int) -> Sight:
        found = Sight(self, run)
        if run > self._observed_run:
            self._observe(found)
            self._observed_run = run
        return found

    def _observe(self, sight: Sight) -> None:
        """Each run notes what it sees of the last two weeks, where that has changed."""
        for n, view in enumerate(sight.views):
            counts = view.deliveries.sum(axis=0)
            for day in range(max(0, sight.last - 13), sight.today + 1):
                there = int(counts[day])
                due = bool(view.mature[day])
                known = self._observed.get((n, day))
                if there == known or (known is None and there == 0 and not due):
                    continue
                self._observed[n, day] = there
                self._arrivals.append((self.world.day(day), view.fed.feed.name, sight.as_of, there))

    @property
    def arrivals(self) -> pd.DataFrame:
        return pd.DataFrame(self._arrivals, columns=["day", "destination", "seen_at", "deliveries"])


@dataclass(frozen=True, eq=False)
class Loss:
    """A part of the missing messages of a view, by row and day."""

    part: Part
    lost: Ints


class View:
    """One destination as a run sees it: arrays by row (stream and version) and local day, up to today."""

    def __init__(self, sight: Sight, fed: Fed) -> None:
        self.sight, self.fed = sight, fed
        traffic, run = fed.traffic, sight.run
        self.days = sight.today + 1
        marks, until = traffic.bounds(fed.zone), traffic.seen_until(run)
        self.whole = marks[1 : self.days + 1] <= until  # days that are over
        released = traffic.released(run)[fed.rows][:, : self.days]
        final = traffic.daily(fed.zone)[0, fed.rows][:, : self.days]
        part = np.ones((len(fed.rows), self.days))
        for day in np.flatnonzero(~self.whole):
            seen = traffic.counts[0, fed.rows, marks[day] : max(until, marks[day])].sum(axis=1)
            part[:, day] = seen / np.maximum(final[:, day], 1)
        self._released, self._part = released, part
        self.mature = fed.mature(run)[: self.days] & self.whole
        self.arrived = fed.arrived(run)[: self.days]

    def now(self, values: Ints) -> Ints:
        """What has happened by now of values by arrival, row and day."""
        on_time, late = values[0][:, : self.days], values[1][:, : self.days]
        return np.asarray(np.floor(on_time * self._part).astype(np.int64) + late * self._released)

    def now_of(self, values: Ints, rows: Ints) -> Ints:
        """The same for values of some rows only."""
        on_time, late = values[0][:, : self.days], values[1][:, : self.days]
        part = np.floor(on_time * self._part[rows]).astype(np.int64)
        return np.asarray(part + late * self._released[rows])

    def _here(self, values: Ints) -> Ints:
        """What the export holds by now of surplus values by row and day."""
        return np.asarray(np.floor(values[:, : self.days] * self._part * self.arrived).astype(np.int64))

    @cached_property
    def expected(self) -> Ints:
        return self.now(self.fed.expected)

    @cached_property
    def losses(self) -> list[Loss]:
        return [Loss(part, self.now(part.lost)) for part in self.fed.parts]

    @cached_property
    def delivered(self) -> Ints:
        kept = self.expected - np.sum([loss.lost for loss in self.losses], axis=0)
        return np.asarray(np.rint(kept * self.arrived).astype(np.int64))

    @cached_property
    def unanswered(self) -> Ints:
        return self.expected - self.delivered

    @cached_property
    def repeated(self) -> Ints:
        return self._here(self.fed.repeated)

    @cached_property
    def strange(self) -> Ints:
        return self._here(self.fed.strange)

    @cached_property
    def deliveries(self) -> Ints:
        """Rows, or counts, under the right names, by event and day."""
        fed = self.fed
        there = fed.by_event(self.delivered + self.repeated + self.strange)
        if fed.net is not None:
            there = np.maximum(there + fed.by_event(self._here(fed.net)), 0)
        return np.asarray(there)

    def wrong(self, fault: int) -> Ints:
        lost = self.fed.wrong[fault][:, None, :]
        on_time, late = lost[0][:, : self.days], lost[1][:, : self.days]
        return np.asarray(
            np.floor((on_time * self._part.mean(axis=0) + late * self._released[:1]) * self.arrived)[
                0
            ].astype(int)
        )

    @cached_property
    def cells(self) -> dict[str, Ints]:
        """The books by event and day."""
        fed = self.fed
        expected = fed.by_event(self.expected)
        if fed.contract.matching == "counts":
            delivered = np.minimum(expected, self.deliveries)
            unexpected, repeated = self.deliveries - delivered, np.zeros_like(expected)
        else:
            delivered = fed.by_event(self.delivered)
            unexpected, repeated = fed.by_event(self.strange), fed.by_event(self.repeated)
        short = expected - delivered
        return {
            "expected": expected,
            "delivered": delivered,
            "missing": np.where(self.mature, short, 0),
            "pending": np.where(self.mature, 0, short),
            "duplicates": repeated,
            "unexpected": unexpected,
        }

    @cached_property
    def exported(self) -> Any:
        there = self.deliveries.sum(axis=0)
        for fault in self.fed.wrong:
            there = there + self.wrong(fault)
        return there > 0

    def missing_of(self, fault: int) -> Ints:
        """Missing messages of mature days that a fault accounts for, by row and day."""
        mine = [loss.lost for loss in self.losses if loss.part.fault == fault]
        found = np.sum(mine, axis=0) if mine else np.zeros_like(self.expected)
        planted = self.fed.world.faults[fault]
        if (planted.kind, planted.variant) in ABSENT:
            # Whatever is not there although it is due.
            days = np.arange(self.days)
            last = self.days if planted.end is None else planted.end
            found = self.unanswered * ((self.arrived == 0) & (days >= planted.start) & (days <= last))
        elif not self.arrived.all():
            found = found * (self.arrived > 0)
        return np.asarray(found * self.mature)

    # --- hours ----------------------------------------------------------------------------------------------

    def profile(self, rows: Ints, day: int) -> Ints:
        """Messages by hour of a local day, of some rows, whether expected or not."""
        traffic, fed = self.fed.traffic, self.fed
        marks, hours = traffic.bounds(fed.zone), traffic.hours(fed.zone)
        until = traffic.seen_until(self.sight.run)
        slots = np.arange(marks[day], max(marks[day], min(marks[day + 1], until)))
        every = traffic.counts[:, fed.rows[rows]][:, :, slots].sum(axis=(0, 1))
        return np.bincount(hours[slots], weights=every, minlength=24).astype(np.int64)

    @cached_property
    def _profiles(self) -> Ints:
        """The same of all rows, by day and hour."""
        traffic, fed = self.fed.traffic, self.fed
        marks, hours = traffic.bounds(fed.zone), traffic.hours(fed.zone)
        key = ("profile", fed.feed.name)
        if key not in traffic._cache:
            traffic._cache[key] = traffic.counts[:, fed.rows].sum(axis=(0, 1))
        series = traffic._cache[key].copy()
        series[traffic.seen_until(self.sight.run) :] = 0
        end = marks[self.days]
        day = np.repeat(np.arange(self.days), np.diff(marks[: self.days + 1]))
        found = np.zeros((self.days, 24), dtype=np.int64)
        np.add.at(found, (day, hours[marks[0] : end]), series[marks[0] : end])
        return found

    @cached_property
    def hours(self) -> tuple[Ints, Ints]:
        """Expected and delivered by day and hour; they add up to the cells."""
        expected = np.stack(
            [dealt(n, w) for n, w in zip(self.expected.sum(axis=0), self._profiles, strict=True)]
        )
        left = expected.copy()
        short = self.unanswered.sum(axis=0)
        for loss in self.losses:
            lost = np.minimum(loss.lost.sum(axis=0), short)
            for day in np.flatnonzero(lost):
                hour = loss.part.from_hour.get(int(day), 0)
                left[day] -= dealt_within(int(lost[day]), left[day], hour)
            short = short - lost
        for day in np.flatnonzero(short):
            left[day] -= dealt_within(int(short[day]), left[day], 0)
        return expected, left

    @cached_property
    def delivery_hours(self) -> Ints:
        """Deliveries by day and hour of the export's own clock."""
        there = self.hours[1].copy()
        more = (self.repeated + self.strange).sum(axis=0)
        for fault in self.fed.wrong:
            more = more + self.wrong(fault)
        if self.fed.contract.matching == "user_time" and self.fed.shift.any():
            # On shifted days all that was sent is dealt by its own hours, and moved below: the surplus of those
            # days has been moved already.
            shifted = self.fed.shift[: self.days] != 0
            there = np.where(shifted[:, None], 0, there)
            sent = np.rint(self.hours[0].sum(axis=1) * (1 - self.fed.feed.loss)).astype(np.int64)
            more = np.where(shifted, sent, more)
        there += np.stack([dealt(n, w) for n, w in zip(more, self._profiles, strict=True)])
        shift = int(self.fed.shift[-1])
        if shift:
            flat = there.reshape(-1)
            from_here = self.fed.shift_day * 24
            if from_here < len(flat):
                moved = np.zeros(len(flat) + 24, dtype=np.int64)
                moved[:from_here] = flat[:from_here]
                at = np.arange(from_here, len(flat)) + shift
                np.add.at(moved, at, flat[from_here:])
                there = moved[: len(flat)].reshape(there.shape)
        return there


def dealt(total: int, weights: Ints) -> Ints:
    """A number dealt out in proportion to weights, without remainder."""
    total, whole = int(total), int(weights.sum())
    if whole == 0:
        out = np.zeros(len(weights), dtype=np.int64)
        out[len(weights) // 2] = total
        return out
    exact = total * weights / whole
    out = np.floor(exact).astype(np.int64)
    short = total - int(out.sum())
    if short:
        out[np.argsort(out - exact, kind="stable")[:short]] += 1
    return out


def dealt_within(total: int, left: Ints, hour: int) -> Ints:
    """Losses dealt out over what is left in each hour: the hours from `hour` on first, then all."""
    out = np.zeros(24, dtype=np.int64)
    for room in (np.where(np.arange(24) >= hour, left, 0), left):
        room = np.where(room > 0, left - out, 0)
        take = min(total, int(room.sum()))
        if take > 0:
            # A part of a whole never exceeds it, so no hour loses more than it has.
            out += dealt(take, room)
            total -= take
    return out


class Sight:
    """Everything that one run sees."""

    def __init__(self, stage: Stage, run: int) -> None:
        self.stage, self.run = stage, run
        self.world, self.traffic, self.contents = stage.world, stage.traffic, stage.contents
        self.last, self.today = self.world.last_seen(run), self.world.last_seen(run) + 1
        # The last run's today is outside of the world.
        self.today = min(self.today, self.world.days - 1)
        self.as_of: datetime = self.world.as_of(run)
        self.views = [View(self, fed) for fed in stage.feds]
        self._dates = np.array(
            [np.datetime64(self.world.day(n), "D") for n in range(self.world.days)], dtype="datetime64[D]"
        )

    @cached_property
    def sent(self) -> Ints:
        """Messages by segment and workspace day that have come by now."""
        return self.traffic.seen(self.run, self.world.zone)[:, : self.today + 1]

    def of_streams(self, values: Ints, streams: Any) -> Ints:
        """Values by arrival, stream and workspace day as they are by now."""
        share, released = self._streams_now
        days = self.today + 1
        on_time = np.floor(values[0][..., :days] * share[streams]).astype(np.int64)
        return np.asarray(on_time + values[1][..., :days] * released[streams])

    @cached_property
    def _streams_now(self) -> Any:
        """The part of each stream's workspace day that is here of what came at once, and whether late is."""
        days = self.today + 1
        on_time, late = self.traffic.daily(self.world.zone)[:, :, :days]
        released = self.traffic.released(self.run)[:, :days]
        here = self.traffic.by_stream(self.sent - late * released)
        share = here / np.maximum(self.traffic.by_stream(on_time), 1)
        return share, released[self.traffic.segments.starts]

    # --- frames ---------------------------------------------------------------------------------------------

    def evidence(self) -> Evidence:
        stage = self.stage
        return Evidence(
            names=self._names(),
            cells=self._cells(),
            delivery_names=self._delivery_names(),
            not_expected=self._not_expected(),
            hours=self._hours(),
            differences=self._differences(),
            identifier_shapes=self._shapes(),
            violations=self._violations(),
            properties=self._property_names(),
            source_health=self._source_health(),
            export_health=self._export_health(),
            versions=self._versions(),
            twins=self._twins(),
            delivery_hours=self._delivery_hours(),
            arrivals=stage.arrivals,
            fill=self._fill(),
            workspace=self.world.workspace,
            as_of=self.as_of,
            history_from=self.world.first_day - timedelta(days=60),
            witness=Answers(self),
        )

    def _frame(self, at: Any, days: Any, **columns: Any) -> pd.DataFrame:
        return pd.DataFrame({"day": self._dates[days], **columns})

    @cached_property
    def _stream_columns(self) -> tuple[Any, Any, Any, Any]:
        streams = self.traffic.streams
        return (
            np.array([s.source for s in streams], dtype=object),
            np.array([s.event for s in streams], dtype=object),
            np.array([s.slug for s in streams], dtype=object),
            np.array([self.world.planned(s.source, s.event) for s in streams], dtype=bool),
        )

    def _names(self) -> pd.DataFrame:
        source, event, slugs, planned = self._stream_columns
        counts = self.traffic.by_stream(self.sent)
        at, day = np.nonzero(counts)
        return self._frame(
            at,
            day,
            source=source[at],
            event_text=event[at],
            event_slug=slugs[at],
            messages=counts[at, day],
            planned=planned[at],
        )

    def _versions(self) -> pd.DataFrame:
        segments = self.traffic.segments
        at, day = np.nonzero(self.sent)
        return self._frame(
            at,
            day,
            source=segments.source[at],
            event_text=segments.event[at],
            app_version=segments.version[at],
            messages=self.sent[at, day],
        )

    def _twins(self) -> pd.DataFrame:
        source, event, _, _ = self._stream_columns
        share = self.traffic.by_stream(self.sent) / np.maximum(
            self.traffic.by_stream(self.traffic.daily(self.world.zone).sum(axis=0))[:, : self.today + 1], 1
        )
        counts = np.rint(self.contents.twins[:, : self.today + 1] * share).astype(np.int64)
        at, day = np.nonzero(counts)
        return self._frame(at, day, source=source[at], event_text=event[at], messages=counts[at, day])

    def _cells(self) -> pd.DataFrame:
        frames = []
        for view in self.views:
            fed, cells = view.fed, view.cells
            every = np.ones_like(cells["expected"], dtype=bool)
            if fed.contract.events is None:
                # Names that only "all events" brings in have rows on the days they have something to say.
                every = (cells["expected"] + cells["unexpected"] + cells["duplicates"]) > 0
            at, day = np.nonzero(every)
            frames.append(
                self._frame(
                    at,
                    day,
                    destination=np.full(len(at), fed.feed.name, dtype=object),
                    event=np.array(fed.events, dtype=object)[at],
                    **{name: values[at, day] for name, values in cells.items()},
                    matched_by=np.full(len(at), fed.contract.matching, dtype=object),
                    mature=view.mature[day],
                    exported=view.exported[day],
                )
            )
        return pd.concat(frames, ignore_index=True)

    def _differences(self) -> pd.DataFrame:
        frames = []
        source, event, _, _ = self._stream_columns
        for view in self.views:
            fed = view.fed
            if fed.contract.matching == "counts":
                continue
            for name, values in (
                ("missing", fed.by_stream(view.unanswered * view.mature)),
                ("duplicate", fed.by_stream(view.repeated)),
            ):
                at, day = np.nonzero(values)
                frames.append(
                    self._frame(
                        at,
                        day,
                        destination=np.full(len(at), fed.feed.name, dtype=object),
                        source=source[fed.streams[at]],
                        event=event[fed.streams[at]],
                        difference=np.full(len(at), name, dtype=object),
                        messages=values[at, day],
                    )
                )
            values = view.cells["unexpected"]
            at, day = np.nonzero(values)
            frames.append(
                self._frame(
                    at,
                    day,
                    destination=np.full(len(at), fed.feed.name, dtype=object),
                    source=np.full(len(at), None, dtype=object),
                    event=np.array(fed.events, dtype=object)[at],
                    difference=np.full(len(at), "unexpected", dtype=object),
                    messages=values[at, day],
                )
            )
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def _not_expected(self) -> pd.DataFrame:
        frames = []
        source, event, _, _ = self._stream_columns
        # `not_routed` of names that have always been there is left out: most rows, and no news.
        new = np.array(
            [s.level == 0 or not s.planned or s.launched is not None for s in self.traffic.streams]
        )
        for view in self.views:
            fed = view.fed
            parts: list[tuple[str, Any, Ints]] = [
                (reason, fed.streams, fed.by_stream(view.now(held))) for reason, held in fed.refused.items()
            ]
            others = np.flatnonzero(
                new
                & np.isin(source.astype(str), list(fed.contract.sources))
                & ~np.isin(np.arange(len(new)), fed.streams)
            )
            if len(others):
                sent = self.traffic.by_stream(self.traffic.seen(self.run, fed.zone))
                parts.append(("not_routed", others, sent[others][:, : self.today + 1]))
            for reason, streams, values in parts:
                at, day = np.nonzero(values)
                frames.append(
                    self._frame(
                        at,
                        day,
                        destination=np.full(len(at), fed.feed.name, dtype=object),
                        source=source[streams[at]],
                        event=event[streams[at]],
                        reason=np.full(len(at), reason, dtype=object),
                        messages=values[at, day],
                    )
                )
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def _delivery_names(self) -> pd.DataFrame:
        frames = []
        for view in self.views:
            fed = view.fed
            there = {r.event: r.destination_name for r in fed.contract.events or ()}
            names = np.array([there.get(event, event) for event in fed.events], dtype=object)
            at, day = np.nonzero(view.deliveries)
            frames.append(
                self._frame(
                    at,
                    day,
                    destination=np.full(len(at), fed.feed.name, dtype=object),
                    event_name=names[at],
                    deliveries=view.deliveries[at, day],
                    routable=np.ones(len(at), dtype=bool),
                    event=np.array(fed.events, dtype=object)[at],
                )
            )
            for fault in fed.wrong:
                counts = view.wrong(fault)
                day = np.flatnonzero(counts)
                frames.append(
                    self._frame(
                        None,
                        day,
                        destination=np.full(len(day), fed.feed.name, dtype=object),
                        event_name=np.full(len(day), self.world.faults[fault].wrong_name, dtype=object),
                        deliveries=counts[day],
                        routable=np.zeros(len(day), dtype=bool),
                        event=np.full(len(day), None, dtype=object),
                    )
                )
        return pd.concat(frames, ignore_index=True)

    def _hours(self) -> pd.DataFrame:
        frames = []
        for view in self.views:
            if view.fed.contract.matching == "counts":
                expected = np.stack(
                    [dealt(n, w) for n, w in zip(view.expected.sum(axis=0), view._profiles, strict=True)]
                )
                delivered = np.zeros_like(expected)
            else:
                expected, delivered = view.hours
            day, hour = np.nonzero(expected)
            frames.append(
                self._frame(
                    None,
                    day,
                    destination=np.full(len(day), view.fed.feed.name, dtype=object),
                    hour=hour,
                    expected=expected[day, hour],
                    delivered=delivered[day, hour],
                )
            )
        return pd.concat(frames, ignore_index=True)

    def _delivery_hours(self) -> pd.DataFrame:
        frames = [pd.DataFrame()]
        for view in self.views:
            if view.fed.contract.grain != "event":
                continue
            there = view.delivery_hours
            day, hour = np.nonzero(there)
            frames.append(
                self._frame(
                    None,
                    day,
                    destination=np.full(len(day), view.fed.feed.name, dtype=object),
                    hour=hour,
                    deliveries=there[day, hour],
                )
            )
        return pd.concat(frames, ignore_index=True)

    def _shapes(self) -> pd.DataFrame:
        source, event, _, _ = self._stream_columns
        frames = []
        streams = np.arange(len(source))
        for shape, values in zip(SHAPES, self.contents.shapes(self.world.zone), strict=True):
            if not values.any():
                continue
            counts = self.of_streams(
                np.stack([self.traffic.by_stream(values[0]), self.traffic.by_stream(values[1])]), streams
            )
            at, day = np.nonzero(counts)
            frames.append(
                self._frame(
                    at,
                    day,
                    source=source[at],
                    event=event[at],
                    identifier=np.full(len(at), "user_id", dtype=object),
                    shape=np.full(len(at), shape, dtype=object),
                    messages=counts[at, day],
                )
            )
        return pd.concat(frames, ignore_index=True)

    def _by_property(self, values: dict[Any, Ints]) -> tuple[list[Any], Ints]:
        keys = list(values)
        if not keys:
            return [], np.zeros((0, self.today + 1), dtype=np.int64)
        streams = np.array([key[0] for key in keys])
        return keys, self.of_streams(np.stack([values[key] for key in keys], axis=1), streams)

    def _violations(self) -> pd.DataFrame:
        source, event, _, planned = self._stream_columns
        keys, counts = self._by_property(
            {
                key: values
                for key, values in self.contents.broken.items()
                if self.world.sender(self.traffic.streams[key[0]].source).has_plan
            }
        )
        at, day = np.nonzero(counts)
        stream = np.array([key[0] for key in keys], dtype=np.int64)
        frames = []
        if keys:
            frames.append(
                self._frame(
                    at,
                    day,
                    source=source[stream[at]],
                    event=event[stream[at]],
                    property=np.array([key[1] for key in keys], dtype=object)[at],
                    rule=np.array([key[2] for key in keys], dtype=object)[at],
                    messages=counts[at, day],
                    sample_message_id=np.full(len(at), "bench", dtype=object),
                )
            )
        names = np.where(planned[:, None], 0, self.traffic.by_stream(self.sent))
        at, day = np.nonzero(names)
        frames.append(
            self._frame(
                at,
                day,
                source=source[at],
                event=event[at],
                property=np.full(len(at), None, dtype=object),
                rule=np.full(len(at), "unplanned_event", dtype=object),
                messages=names[at, day],
                sample_message_id=np.full(len(at), "bench", dtype=object),
            )
        )
        return pd.concat(frames, ignore_index=True)

    def _fill(self) -> pd.DataFrame:
        source, event, _, _ = self._stream_columns
        keys, counts = self._by_property(self.contents.filled)
        stream = np.array([key[0] for key in keys], dtype=np.int64)
        sent = self.traffic.by_stream(self.sent)[stream]
        # A column exists from the first value on.
        known = np.maximum.accumulate(counts > 0, axis=1)
        at, day = np.nonzero((sent > 0) & known)
        return self._frame(
            at,
            day,
            source=source[stream[at]],
            event_text=event[stream[at]],
            property=np.array([key[1] for key in keys], dtype=object)[at],
            filled=np.minimum(counts, sent)[at, day],
            messages=sent[at, day],
        )

    def _property_names(self) -> pd.DataFrame:
        seen = self.traffic.by_stream(self.sent).sum(axis=1) > 0
        rows = {
            (stream.source, stream.slug, each.name)
            for n, stream in enumerate(self.traffic.streams)
            if seen[n]
            for each in stream.properties
        }
        for number, name in self.contents.filled:
            stream = self.traffic.streams[number]
            if self.contents.filled[number, name][:, : self.last + 1].any():
                rows.add((stream.source, stream.slug, name))
        return pd.DataFrame(sorted(rows), columns=["source", "event_slug", "property"])

    def _source_health(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "source": sender.name,
                    "status": "ok",
                    "problem": None,
                    "last_received_at": self.traffic.last_received(sender.name, self.run),
                    "messages": int(self.sent[self.traffic.rows(sender.name)].sum()),
                }
                for sender in self.world.senders
            ]
        )

    def _export_health(self) -> pd.DataFrame:
        rows = []
        for view in self.views:
            there = np.flatnonzero(view.exported)
            broken = view.fed.unreadable(self.run)
            rows.append(
                {
                    "destination": view.fed.feed.name,
                    "status": "broken" if broken else "ok",
                    "problem": "column event_name is absent" if broken else None,
                    "last_day": self.world.day(int(there[-1])) if len(there) else None,
                    "deliveries": int(view.deliveries.sum()),
                }
            )
        return pd.DataFrame(rows)
