"""What the messages of a world hold: shapes of user ids, filled and broken properties, double clicks."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.faults.traffic import Floats, Ints, Traffic
from benchmarks.faults.world import Fault

SHAPES = ("uuid", "null", "other", "email", "integer")


class Contents:
    """Drawn once for all of a world's messages; a run sees the part that has come."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic, self.world = traffic, traffic.world
        self._shapes: dict[str, Ints] = {}

    def share(self, fault: Fault) -> Floats:
        """The share of a fault on each day; its first day counts by the hours that are left of it."""
        days = np.arange(self.traffic.days)
        share = np.where(days >= fault.start, fault.share, 0.0)
        if fault.end is not None:
            share[fault.end + 1 :] = 0
        if fault.ramp_days:
            share *= np.clip((days - fault.start + 1) / fault.ramp_days, 0, 1)
        share[fault.start] *= 1 - fault.hour / 24
        return np.asarray(share)

    # --- user ids -----------------------------------------------------------------------------------------

    def shapes(self, zone: str) -> Ints:
        """Messages by shape, arrival, segment and local day; the shapes of a message add up to it."""
        if zone not in self._shapes:
            traffic, dice = self.traffic, np.random.default_rng([self.world.seed, 20])
            left = traffic.daily(zone).copy()
            chances = self.shape_shares
            rest = np.ones(chances.shape[1:])
            found = np.zeros((len(SHAPES), *left.shape), dtype=np.int64)
            for at in range(len(SHAPES) - 1, 0, -1):
                some = np.flatnonzero(chances[at].any(axis=1))
                if len(some):
                    chance = np.clip(chances[at, some] / np.maximum(rest[some], 1e-9), 0, 1)
                    found[at][:, some] = dice.binomial(left[:, some], chance[None])
                    left[:, some] -= found[at][:, some]
                rest -= chances[at]
            found[0] = left
            self._shapes[zone] = found
        return self._shapes[zone]

    @cached_property
    def shape_shares(self) -> Floats:
        """The chance of each shape by segment and day."""
        traffic = self.traffic
        shares = np.zeros((len(SHAPES), len(traffic.segments.stream), traffic.days))
        for sender in self.world.senders:
            rows = traffic.rows(sender.name)
            for shape, share in sender.shapes:
                shares[SHAPES.index(shape), rows] = share
        for fault in self.world.faults:
            if fault.kind != "identifier_format":
                continue
            assert fault.source and fault.shape
            rows = traffic.rows(fault.source, fault.event)
            moved = shares[0, rows] * self.share(fault)[None, :]
            shares[0, rows] -= moved
            shares[SHAPES.index(fault.shape), rows] += moved
        return shares

    # --- properties ---------------------------------------------------------------------------------------

    @cached_property
    def broken(self) -> dict[tuple[int, str, str], Ints]:
        """Messages that break a rule, by stream, property and rule: arrival x workspace day."""
        return self._properties[0]

    @cached_property
    def filled(self) -> dict[tuple[int, str], Ints]:
        """Messages with a value, by stream and property: arrival x workspace day."""
        return self._properties[1]

    @cached_property
    def broken_rows(self) -> dict[int, Ints]:
        """Of each planted fault the broken messages by segment: arrival x segment x day."""
        self._properties  # noqa: B018 drawn together
        return self._broken_rows

    @cached_property
    def _properties(self) -> tuple[dict[tuple[int, str, str], Ints], dict[tuple[int, str], Ints]]:
        traffic, dice = self.traffic, np.random.default_rng([self.world.seed, 21])
        daily = traffic.daily(self.world.zone)
        starts = traffic.segments.starts
        messages = np.add.reduceat(daily, starts, axis=1)
        broken: dict[tuple[int, str, str], Ints] = {}
        filled: dict[tuple[int, str], Ints] = {}
        self._broken_rows: dict[int, Ints] = {}
        for number, stream in enumerate(traffic.streams):
            for each in stream.properties:
                has = messages[:, number].copy()
                if each.broken and stream.planned:
                    bad = dice.binomial(has, each.broken)
                    broken[number, each.name, each.rule] = bad
                    if each.rule == "required":
                        has = has - bad
                if each.filled < 1:
                    has = dice.binomial(has, each.filled)
                filled[number, each.name] = has
        for at, fault in enumerate(self.world.faults):
            if fault.kind != "property_violation":
                continue
            assert fault.source and fault.event and fault.property
            number = traffic.at[fault.source, fault.event]
            rows = traffic.rows(fault.source, fault.event, fault.version)
            bad_rows = dice.binomial(daily[:, rows], self.share(fault)[None, None, :])
            every = np.zeros((2, len(traffic.segments.stream), traffic.days), dtype=np.int64)
            every[:, rows] = bad_rows
            self._broken_rows[at] = every
            bad = bad_rows.sum(axis=1)
            broken[number, fault.property, fault.rule] = bad
            if fault.rule == "required":
                filled[number, fault.property] = messages[:, number] - bad
            if fault.new_property is not None:
                filled[number, fault.new_property] = bad
                broken[number, fault.new_property, "unplanned_property"] = bad
        return broken, filled

    def affected(self) -> dict[int, Any]:
        """Messages that each fault of the contents touches, by workspace day."""
        found: dict[int, Any] = {at: rows.sum(axis=(0, 1)) for at, rows in self.broken_rows.items()}
        shapes = self.shapes(self.world.zone)
        for at, fault in enumerate(self.world.faults):
            if fault.kind == "identifier_format":
                assert fault.source and fault.shape
                rows = self.traffic.rows(fault.source, fault.event)
                odd = shapes[SHAPES.index(fault.shape)][:, rows].sum(axis=(0, 1))
                found[at] = odd
        return found

    # --- double clicks ------------------------------------------------------------------------------------

    @cached_property
    def twins(self) -> Ints:
        """Messages that repeat another one within seconds, by stream and workspace day."""
        traffic, dice = self.traffic, np.random.default_rng([self.world.seed, 22])
        messages = np.add.reduceat(
            traffic.daily(self.world.zone).sum(axis=0), traffic.segments.starts, axis=0
        )
        share = np.array([stream.twins for stream in traffic.streams])
        found = dice.binomial(messages, share[:, None])
        for number, added in traffic.twins_added.items():
            found[number] = np.minimum(found[number] + added, messages[number])
        return np.asarray(found)
