"""Random sources as evidence frames: noisy, with campaigns, launches and roll-outs; a rename on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from dagster_project.core.contracts import Destination, Route, Source, Workspace
from dagster_project.core.diagnosis.evidence import Evidence
from dagster_project.core.plan import PlannedEvent, TrackingPlan
from dagster_project.core.slug import slug

FIRST = date(2026, 3, 2)  # a Monday
THINGS = (
    *("Order", "Cart", "Product", "Page", "Video", "Ticket", "Invoice", "Trial", "Coupon", "Wishlist"),
    *("Search", "Profile", "Plan", "Team"),
)
DEEDS = (
    *("Viewed", "Added", "Removed", "Started", "Completed", "Failed", "Shared", "Opened", "Closed"),
    *("Updated", "Refunded"),
)
RENAMED_TO = ["Zephyr", "Quartz", "Nimbus", "Maple", "Falcon"]
COMMON = ["page_url", "locale", "channel"]


@dataclass
class Planted:
    """What was renamed, and from which day on messages stand under the new name."""

    old: tuple[str, ...]
    new: tuple[str, ...]
    onset: int
    messages: np.ndarray  # by day, under the new names

    def told_by(self) -> int:
        """The day by whose end fifty messages were affected."""
        return int(np.argmax(np.cumsum(self.messages) >= 50))


@dataclass
class Simulated:
    """One source as counts by name, version and day."""

    seed: int
    days: int = 45
    names: list[str] = field(default_factory=list)
    planned: set[str] = field(default_factory=set)
    counts: dict[str, np.ndarray] = field(default_factory=dict)  # versions x days
    versions: list[str | None] = field(default_factory=list)
    properties: dict[str, dict[str, float]] = field(default_factory=dict)
    people: int = 20_000

    def __post_init__(self) -> None:
        self.random = random = np.random.default_rng(self.seed)
        events = int(random.integers(5, 60))
        every = [f"{thing} {deed}" for thing in THINGS for deed in DEEDS]
        self.names = [str(each) for each in random.choice(every, events, replace=False)]
        self.planned = set(self.names)
        mobile = random.random() < 0.6
        share = self._rollout() if mobile else np.ones((1, self.days))
        self.versions = ["1.0", "1.1", "1.2"] if mobile else [None]
        weekday = 1 + random.uniform(-0.5, 0.2) * np.array([(d % 7) >= 5 for d in range(self.days)])
        traffic = weekday * random.normal(1, random.uniform(0.03, 0.1), self.days).clip(0.5, 1.5)
        if random.random() < 0.4:  # a campaign
            start = int(random.integers(5, self.days - 3))
            traffic[start : start + int(random.integers(2, 6))] *= random.uniform(1.8, 4)
        if random.random() < 0.4:  # a holiday
            traffic[int(random.integers(5, self.days))] *= random.uniform(0.3, 0.6)
        for name in self.names:
            level = float(np.exp(random.uniform(np.log(3), np.log(20_000))))
            own = random.normal(1, random.uniform(0.02, 0.08), self.days).clip(0.5, 1.5)
            self.counts[name] = random.poisson(level * traffic * own * share)
            rare = [f"{slug(name)}_{n}" for n in range(int(random.integers(0, 5)))]
            mixed = [slug(str(each)) for each in random.choice(THINGS, int(random.integers(0, 3)))]
            self.properties[name] = dict.fromkeys([*COMMON, *mixed, *rare], 1.0)
        self._traffic, self._share = traffic, share
        for n in range(int(random.integers(0, 3))):
            self.launch(f"Launch {n} {random.choice(DEEDS)}")

    def _rollout(self) -> np.ndarray:
        """Three versions, of which the later two come by and by."""
        share = np.zeros((3, self.days))
        at = np.arange(self.days)
        second = 1 / (1 + np.exp(-(at - self.random.uniform(5, 20)) / 2))
        third = 1 / (1 + np.exp(-(at - self.random.uniform(25, 40)) / 2)) * (at > 22)
        share[2], share[1] = third, second * (1 - third)
        share[0] = 1 - share[1] - share[2]
        return share

    def launch(self, name: str) -> None:
        """A planned event that begins within history."""
        start = int(self.random.integers(4, self.days - 1))
        level = float(np.exp(self.random.uniform(np.log(10), np.log(10_000))))
        counts = self.random.poisson(level * self._traffic * self._share)
        counts[:, :start] = 0
        if len(self.versions) > 1 and self.random.random() < 0.5:
            counts[0] = 0  # only in the newer versions
        self.names.append(name)
        self.planned.add(name)
        self.counts[name] = counts
        self.properties[name] = dict.fromkeys([*COMMON, *(f"{slug(name)}_{n}" for n in range(3))], 1.0)

    def renamed(self, *, how: str, same_slug: bool, planned: bool = False) -> Planted:
        """Rename one name, split one in two, or merge two; `how` is at_once, by_version, slowly or partly."""
        random = self.random
        sizes = {name: self.counts[name].sum() / self.days for name in self.names if "Launch" not in name}
        olds = [name for name, size in sizes.items() if 20 <= size <= 8_000]
        (old,) = random.choice(olds, 1) if olds else [max(sizes, key=lambda name: sizes[name])]
        old = str(old)
        new = slug(old) if same_slug else f"{random.choice(RENAMED_TO)} {old.split()[1]}"
        onset = int(random.integers(15, self.days - 4))
        share = np.zeros((len(self.versions), self.days))
        at = np.arange(self.days)
        if how == "by_version":
            share[2] = 1.0
            share[:, : int(np.argmax(self._share[2] > 0))] = 0
        elif how == "slowly":
            share[:] = np.clip((at - onset + 1) / 14, 0, 1)
        else:
            share[:, onset:] = 1.0 if how == "at_once" else random.uniform(0.3, 0.7)
        taken = random.binomial(self.counts[old], share)
        self.counts[old] = self.counts[old] - taken
        self.counts[new] = taken
        self.names.append(new)
        self.planned |= {new} if planned else set()
        self.properties[new] = dict(self.properties[old])
        messages = taken.sum(axis=0)
        return Planted((old,), (new,), int(np.argmax(messages > 0)), messages)

    def split(self) -> Planted:
        whole = self.renamed(how="at_once", same_slug=False)
        (new,) = whole.new
        other = f"{new} Again"
        part = self.random.binomial(self.counts[new], self.random.uniform(0.3, 0.7))
        self.counts[new] = self.counts[new] - part
        self.counts[other] = part
        self.names.append(other)
        self.properties[other] = dict(self.properties[new])
        return Planted(whole.old, (new, other), whole.onset, whole.messages)

    def merge(self) -> Planted:
        sizes = {name: self.counts[name].sum() / self.days for name in self.names if "Launch" not in name}
        olds = sorted((name for name in sizes if sizes[name] >= 20), key=lambda name: sizes[name])
        at = int(self.random.integers(0, max(1, len(olds) - 1)))
        old = tuple(olds[at : at + 2])
        onset = int(self.random.integers(15, self.days - 4))
        new, taken = "Zephyr Happened", np.zeros_like(self.counts[old[0]])
        self.properties[new] = {}
        for name in old:
            taken[:, onset:] += self.counts[name][:, onset:]
            self.counts[name] = np.concatenate(
                [self.counts[name][:, :onset], np.zeros_like(taken[:, onset:])], axis=1
            )
            self.properties[new] |= self.properties[name]
        self.counts[new] = taken
        self.names.append(new)
        return Planted(old, (new,), onset, taken.sum(axis=0))

    def evidence(self, *, through: int | None = None) -> Evidence:
        """What is known at the end of a day."""
        last = self.days if through is None else through + 1
        rows: dict[str, list[dict]] = {name: [] for name in ("names", "versions", "fill")}
        for name, counts in self.counts.items():
            of_table = slug(name)
            for day in np.flatnonzero(counts[:, :last].sum(axis=0)).tolist():
                place = {"day": FIRST + timedelta(days=day), "source": "app", "event_text": name}
                whole = int(counts[:, day].sum())
                rows["names"].append(
                    {**place, "event_slug": of_table, "messages": whole, "planned": name in self.planned}
                )
                rows["versions"] += [
                    {**place, "app_version": version, "messages": int(counts[at, day])}
                    for at, version in enumerate(self.versions)
                    if counts[at, day]
                ]
            whole = int(counts[:, :last].sum())
            rows["fill"] += [
                {
                    "day": FIRST + timedelta(days=last - 1),
                    "source": "app",
                    "event_text": name,
                    "property": each,
                    "filled": round(rate * whole),
                    "messages": whole,
                }
                for each, rate in self.properties[name].items()
                if whole
            ]
        frames = {name: pd.DataFrame(each) for name, each in rows.items()}
        empty = pd.DataFrame()
        return Evidence(
            **frames,
            cells=empty,
            delivery_names=empty,
            not_expected=empty,
            hours=empty,
            differences=empty,
            identifier_shapes=empty,
            violations=empty,
            properties=empty,
            source_health=empty,
            export_health=empty,
            workspace=Workspace(
                name="acme",
                sources=(Source(name="app"),),
                destinations=(
                    Destination(
                        name="email",
                        sources=("app",),
                        events=tuple(
                            Route(event=name, destination_name=name) for name in sorted(self.planned)
                        ),
                    ),
                ),
                plans={"app": TrackingPlan(events={n: PlannedEvent(name=n) for n in self.planned})},
            ),
            as_of=datetime.combine(FIRST + timedelta(days=last), datetime.min.time().replace(hour=6)),
            history_from=FIRST,
        )
