"""Draws a random healthy workspace for a seed."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np

from benchmarks.faults.vocabulary import ACTIONS, DESTINATIONS, OBJECTS, PROPERTIES, SOURCES
from benchmarks.faults.world import Feed, Property, Sender, Stream, Version, World
from dagster_project.core.contracts import COMPLETE_AFTER, Destination, Identifier, Route
from dagster_project.core.slug import slug

ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
# In half of the worlds New York changes its clock while the runs go on: 8 March and 1 November 2026.
CHANGE_OVERS = (date(2026, 3, 8), date(2026, 11, 1))
CALM = date(2026, 5, 4)


def draw(
    seed: int,
    *,
    events: int | None = None,
    destinations: int | None = None,
    sources: int | None = None,
    runs: int | None = None,
) -> World:
    dice = np.random.default_rng([seed, 1])
    many = {
        "events": events or _log_uniform(dice, 20, 200),
        "destinations": destinations or _log_uniform(dice, 3, 30),
        "sources": sources or int(dice.integers(2, 13)),
    }
    if dice.random() < 0.5:
        first = CHANGE_OVERS[int(dice.integers(2))] - timedelta(days=int(dice.integers(16, 40)))
    else:
        first = CALM + timedelta(days=int(dice.integers(0, 60)))
    senders = tuple(_sender(dice, *SOURCES[n]) for n in range(many["sources"]))
    streams = _streams(dice, senders, many["events"])
    feeds = _feeds(dice, senders, streams, many["destinations"])
    return World(
        seed=seed,
        first_day=first,
        runs=runs or int(dice.integers(11, 15)),
        zone="America/New_York" if dice.random() < 0.2 else "UTC",
        senders=senders,
        streams=streams,
        feeds=feeds,
    )


def _log_uniform(dice: np.random.Generator, low: float, high: float) -> int:
    return round(math.exp(dice.uniform(math.log(low), math.log(high))))


def _sender(dice: np.random.Generator, name: str, platform: str) -> Sender:
    kind = dice.choice(["office", "consumer", "flat"], p=[0.4, 0.4, 0.2])
    weekend = {"office": dice.uniform(0.15, 0.5), "consumer": dice.uniform(1.05, 1.5), "flat": 1.0}[str(kind)]
    weekday = np.array([1, 1, 1, 1, 1, weekend, weekend]) * dice.normal(1, 0.05, 7).clip(0.8, 1.2)
    hour = np.arange(24)
    if platform == "server" and dice.random() < 0.5:
        hours = np.ones(24)
    else:
        peak, night = dice.uniform(11, 20), dice.uniform(0.03, 0.25)
        hours = night + (0.5 + 0.5 * np.cos((hour - peak) / 24 * 2 * np.pi)) ** 1.5
    versions: tuple[Version, ...] = (Version(None, -100),)
    if platform != "server":
        # A release every one to four weeks; mobile takes longer to spread.
        at, number = -int(dice.integers(10, 40)), int(dice.integers(1, 9))
        found = [Version(f"{number}.0.0", -100, 1)]
        while at < 44:
            number += 1
            ramp = int(dice.integers(7, 18)) if platform == "mobile" else int(dice.integers(1, 4))
            found.append(
                Version(f"{number}.{int(dice.integers(0, 5))}.0", at, ramp, dice.uniform(0.75, 0.97))
            )
            at += int(dice.integers(10, 30))
        versions = tuple(found)
    null = dice.uniform(0.0, 0.4) if platform == "web" else dice.uniform(0.0, 0.05)
    other = dice.uniform(0, 0.004)
    return Sender(
        name=name,
        platform=platform,
        zone=str(dice.choice(ZONES, p=[0.4, 0.4, 0.2])),
        weekday=tuple(weekday / weekday.mean()),
        hours=tuple(hours / hours.sum()),
        cv=dice.uniform(0.03, 0.12),
        trend=dice.normal(0, 0.003),
        versions=versions,
        has_plan=bool(dice.random() < 0.85),
        freshness=None if dice.random() < 0.6 else timedelta(hours=int(dice.choice([12, 24]))),
        late_share={"web": 0.002, "mobile": dice.uniform(0.005, 0.025), "server": 0.0}[platform],
        late_days=int(dice.integers(1, 4)),
        shapes=(("uuid", 1 - null - other), ("null", null), ("other", other)),
        refused=dice.uniform(0.1, 0.4) if platform != "server" else 0.0,
    )


def _streams(dice: np.random.Generator, senders: tuple[Sender, ...], events: int) -> tuple[Stream, ...]:
    every = [f"{thing} {action}" for thing in OBJECTS for action in ACTIONS]
    names = [str(name) for name in dice.permutation(every)[:events]]
    streams = []
    for name in names:
        style = dice.random()
        raw = slug(name) if style < 0.15 else name.replace(" ", "") if style < 0.2 else name
        count = min(len(senders), 1 + int(dice.geometric(0.6)) - 1)
        properties = _properties(dice)
        for at in sorted(dice.choice(len(senders), max(1, count), replace=False).tolist()):
            streams.append(
                Stream(
                    source=senders[at].name,
                    event=raw,
                    level=math.exp(dice.uniform(math.log(3), math.log(30_000))),
                    cv=dice.uniform(0.01, 0.06),
                    twins=dice.choice(
                        [0.0, dice.uniform(0, 0.02), dice.uniform(0.03, 0.1)], p=[0.5, 0.4, 0.1]
                    ),
                    properties=properties,
                )
            )
    # Every source sends something.
    silent = [s for s in senders if all(stream.source != s.name for stream in streams)]
    streams += [Stream(s.name, names[0], 500.0, properties=_properties(dice)) for s in silent]
    return tuple(streams)


def _properties(dice: np.random.Generator) -> tuple[Property, ...]:
    names = dice.choice(PROPERTIES, int(dice.integers(3, 8)), replace=False)
    found = []
    for at, name in enumerate(names.tolist()):
        required = at < 2
        found.append(
            Property(
                name=str(name),
                required=required,
                filled=1.0 if required else float(dice.choice([1.0, dice.uniform(0.2, 0.95)])),
                broken=float(dice.choice([0.0, dice.uniform(0.0005, 0.008)], p=[0.85, 0.15])),
                rule=str(dice.choice(["required", "type"])) if required else "type",
            )
        )
    return tuple(found)


def _feeds(
    dice: np.random.Generator, senders: tuple[Sender, ...], streams: tuple[Stream, ...], count: int
) -> tuple[Feed, ...]:
    feeds = []
    for name in dice.permutation(DESTINATIONS)[:count].tolist():
        chosen = dice.choice(len(senders), int(dice.integers(1, len(senders) + 1)), replace=False)
        sources = tuple(senders[at].name for at in sorted(chosen.tolist()))
        offered = sorted({s.event for s in streams if s.source in sources})
        everything = dice.random() < 0.2
        routes = None if everything else _routes(dice, offered)
        wait = COMPLETE_AFTER
        if dice.random() < 0.5:
            wait = timedelta(hours=int(dice.choice([6, 12, 24, 36, 48])))
        counts = bool(dice.random() < 0.3)
        matching = "counts" if counts else "user_time" if dice.random() < 0.3 else "message_id"
        checks = bool(dice.random() < 0.35) and not counts
        streaming = bool(dice.random() < 0.5)
        hours = wait / timedelta(hours=1)
        loss = math.exp(dice.uniform(math.log(1e-4), math.log(0.01)))
        loss_cv = dice.uniform(0.05, 0.3)
        if dice.random() < 0.2:
            # Lost consent, blockers: much, and nearly the same every day.
            loss, loss_cv = dice.uniform(0.02, 0.08), dice.uniform(0.03, 0.12)
        feeds.append(
            Feed(
                contract=Destination(
                    name=str(name),
                    owner=f"@{name}",
                    timezone=str(dice.choice(ZONES, p=[0.5, 0.3, 0.2])),
                    grain="daily_counts" if counts else "event",
                    complete_after=wait,
                    sources=sources,
                    events=routes,
                    consent="marketing" if dice.random() < 0.15 else None,
                    identifiers=(Identifier(name="user_id", format="uuid"),) if checks else (),
                    matching=matching,  # type: ignore[arg-type]
                ),
                loss=loss,
                loss_cv=loss_cv,
                event_spread=dice.uniform(0.1, 0.4),
                duplicates=float(dice.choice([0.0, dice.uniform(0, 0.003)])),
                unexpected=float(dice.choice([0.0, dice.uniform(0, 0.001)]))
                + (dice.uniform(0.0005, 0.003) if matching == "user_time" else 0.0),
                streaming=streaming,
                lands_after=dice.uniform(0.2, 4.0) if streaming else dice.uniform(0.2, 0.95) * hours,
            )
        )
    return tuple(feeds)


def _routes(dice: np.random.Generator, offered: list[str]) -> tuple[Route, ...]:
    most = min(len(offered), 60)
    taken = dice.choice(offered, max(1, _log_uniform(dice, min(3, most), most)), replace=False)
    style = dice.random()
    routes, there = [], set()
    for event in sorted(taken.tolist()):
        name = str(event)
        if style < 0.3:
            name = slug(name)
        elif style < 0.4:
            name = f"seg_{slug(name)}"
        # Two events under one name there are possible, and not what this bench is about.
        name = name if name not in there else str(event)
        there.add(name)
        routes.append(Route(event=str(event), destination_name=name))
    return tuple(routes)
