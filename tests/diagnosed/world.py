"""A small healthy workspace as evidence frames, with faults that tests plant one by one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from dagster_project.core.contracts import Destination, Identifier, Route, Source, Workspace
from dagster_project.core.diagnosis import Diagnosis, Evidence, Finding, diagnose
from dagster_project.core.diagnosis.evidence import COLUMNS
from dagster_project.core.diagnosis.witness import NoWitness, Witness
from dagster_project.core.plan import PlannedEvent, TrackingPlan
from dagster_project.core.slug import slug

FIRST, LAST = date(2026, 9, 28), date(2026, 11, 8)  # a Monday, a Sunday
AS_OF = datetime(2026, 11, 9, 12)
CURVE = np.array([1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 6, 5, 5, 4, 3, 2, 1], dtype=float)


def day(text: str) -> date:
    """`20 Oct` of the year of the tests."""
    return datetime.strptime(f"{text} 2026", "%d %b %Y").date()


class World:
    """Volumes by source and name; deliveries follow the contracts; every change is a method."""

    def __init__(
        self, *, seed: int = 7, first: date = FIRST, last: date = LAST, as_of: datetime = AS_OF
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.first, self.last, self.as_of = first, last, as_of
        self.days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        self.volume: dict[tuple[str, str], np.ndarray] = {}
        self.planned: dict[str, set[str]] = {}
        self.properties: dict[tuple[str, str], list[str]] = {}
        self.destinations: list[Destination] = []
        self.health: dict[str, dict] = {}
        self.export: dict[str, dict] = {}
        self.extra: dict[str, list[dict]] = {name: [] for name in COLUMNS}
        self.faults: list = []
        self.sources: dict[str, timedelta | None] = {}
        self.base_loss = 0.003
        self.releases: dict[str, dict[str, np.ndarray]] = {}  # share of each app version of a source, by day
        self.by_version: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        self.filled: dict[tuple[str, str], dict[str, np.ndarray]] = {}  # share of messages with a property
        self.witness: Witness = NoWitness()

    # --- a healthy world ----------------------------------------------------------------------------------

    def at(self, when: date | str) -> int:
        return ((day(when) if isinstance(when, str) else when) - self.first).days

    def sends(
        self,
        source: str,
        event: str,
        per_day: float,
        *,
        planned: bool = True,
        weekend: float = 0.7,
        properties: Iterable[str] | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> World:
        self.sources.setdefault(source, None)
        self.planned.setdefault(source, set())
        if planned:
            self.planned[source].add(event)
        rate = np.array([per_day * (weekend if d.weekday() >= 5 else 1.0) for d in self.days])
        rate[: self.at(since) if since else 0] = 0
        if until:
            rate[self.at(until) + 1 :] = 0
        # Days differ by more than chance: campaigns, weather.
        noisy = rate * self.random.normal(1, 0.05, len(rate)).clip(0.7, 1.3)
        counts = self.random.poisson(noisy)
        self.volume[source, event] = self.volume.get((source, event), 0) + counts
        if properties is not None:
            self.properties[source, slug(event)] = list(properties)
        return self

    def feeds(
        self,
        name: str,
        sources: Iterable[str],
        events: Iterable[str | tuple[str, str]] | None,
        **contract: object,
    ) -> World:
        routes = (
            None
            if events is None
            else tuple(
                Route(event=e, destination_name=e)
                if isinstance(e, str)
                else Route(event=e[0], destination_name=e[1])
                for e in events
            )
        )
        self.destinations.append(Destination(name=name, sources=tuple(sources), events=routes, **contract))
        return self

    # --- faults in the sources ----------------------------------------------------------------------------

    def renames(
        self,
        source: str,
        old: str,
        new: str,
        on: str,
        *,
        over_days: int = 0,
        share: float = 1.0,
        until: str | None = None,
        version: str | None = None,
    ) -> World:
        if version is not None:
            return self._renames_in(source, old, new, version)
        counts = self.volume[source, old]
        moved = np.zeros(len(counts))
        start = self.at(on)
        for n in range(start, len(counts)):
            moved[n] = share * min(1.0, (n - start + 1) / (over_days + 1))
        if until:
            moved[self.at(until) + 1 :] = 0
        taken = np.rint(counts * moved).astype(np.int64)
        self.volume[source, old] = counts - taken
        self.volume[source, new] = self.volume.get((source, new), 0) + taken
        if (source, slug(old)) in self.properties:
            self.properties.setdefault((source, slug(new)), self.properties[source, slug(old)])
        return self

    def rolls_out(self, source: str, version: str, on: str, *, over_days: int = 14, before: str) -> World:
        """A new version of an app takes the place of the one before, by and by."""
        at = np.arange(len(self.days)) - self.at(on)
        share = np.clip((at + 1) / over_days, 0, 1) * (at >= 0)
        known = self.releases.setdefault(source, {before: np.ones(len(self.days))})
        known[version] = known[before] * share
        known[before] = known[before] * (1 - share)
        return self

    def _split_by_version(self, source: str, event: str) -> dict[str, np.ndarray]:
        if (source, event) not in self.by_version:
            random = np.random.default_rng([len(event), len(self.days)])
            shares = np.array(list(self.releases[source].values()))
            counts = random.multinomial(self.volume[source, event], shares.T).T
            self.by_version[source, event] = dict(zip(self.releases[source], counts, strict=True))
        return self.by_version[source, event]

    def _renames_in(self, source: str, old: str, new: str, version: str) -> World:
        mine = self._split_by_version(source, old)
        taken = mine[version]
        mine[version] = np.zeros_like(taken)
        self.by_version[source, new] = {version: taken}
        self.volume[source, old] = self.volume[source, old] - taken
        self.volume[source, new] = taken
        if (source, slug(old)) in self.properties:
            self.properties.setdefault((source, slug(new)), self.properties[source, slug(old)])
        return self

    def fills(self, source: str, event: str, **shares: float) -> World:
        """How many messages of an event have each property."""
        own = self.filled.setdefault((source, event), {})
        own |= {name: np.full(len(self.days), share) for name, share in shares.items()}
        return self

    def renames_property(
        self,
        source: str,
        event: str,
        old: str,
        new: str,
        on: str,
        *,
        over_days: int = 0,
        share: float = 1.0,
        until: str | None = None,
    ) -> World:
        at = np.arange(len(self.days)) - self.at(on)
        moved = np.clip((at + 1) / (over_days + 1), 0, 1) * (at >= 0) * share
        moved[self.at(until) + 1 if until else len(at) :] = 0
        own = self.filled[source, event]
        own[new] = own[old] * moved
        own[old] = own[old] * (1 - moved)
        return self

    def stops(self, source: str, event: str, on: str) -> World:
        self.volume[source, event][self.at(on) :] = 0
        return self

    def source_silent(self, source: str, since: datetime) -> World:
        for (name, _), counts in self.volume.items():
            if name == source:
                counts[(since.date() - self.first).days + 1 :] = 0
                counts[(since.date() - self.first).days] //= 2
        self.health[source] = {"last_received_at": since}
        return self

    def source_broken(self, source: str, problem: str) -> World:
        self.health[source] = {"status": "broken", "problem": problem, "last_received_at": None}
        return self

    # --- faults in the deliveries -------------------------------------------------------------------------

    def fault(
        self, destination: str, event: str | None, first: str, last: str | None = None, **change: object
    ) -> World:
        """change: shares of missing, duplicates, unexpected; exported=False, mature=False, cut_at=hour."""
        self.faults.append((destination, event, self.at(first), self.at(last or first), change))
        return self

    def holds(self, destination: str, name: str, per_day: int, first: str, last: str | None = None) -> World:
        for n in range(self.at(first), self.at(last) + 1 if last else len(self.days)):
            self.extra["delivery_names"].append(
                {
                    "day": self.days[n],
                    "destination": destination,
                    "event_name": name,
                    "deliveries": per_day,
                    "routable": False,
                    "event": None,
                }
            )
        return self

    def refuses(
        self, destination: str, source: str, event: str, share: float, first: str, last: str | None = None
    ) -> World:
        for n in range(self.at(first), self.at(last) + 1 if last else len(self.days)):
            self.extra["not_expected"].append(
                {
                    "day": self.days[n],
                    "destination": destination,
                    "source": source,
                    "event": event,
                    "reason": "bad_identifier",
                    "messages": int(share * self.volume[source, event][n]),
                }
            )
        return self

    def shapes(self, source: str, event: str, identifier: str, shape: str, share: float, first: str) -> World:
        for n in range(self.at(first), len(self.days)):
            self.extra["identifier_shapes"].append(
                {
                    "day": self.days[n],
                    "source": source,
                    "event": event,
                    "identifier": identifier,
                    "shape": shape,
                    "messages": int(share * self.volume[source, event][n]),
                }
            )
        return self

    def violates(
        self,
        source: str,
        event: str,
        name: str,
        share: float,
        first: str,
        last: str | None = None,
        rule: str = "type",
    ) -> World:
        for n in range(self.at(first), self.at(last) + 1 if last else len(self.days)):
            self.extra["violations"].append(
                {
                    "day": self.days[n],
                    "source": source,
                    "event": event,
                    "property": name,
                    "rule": rule,
                    "messages": round(share * self.volume[source, event][n]),
                    "sample_message_id": "m-1",
                }
            )
        return self

    # --- what the rules see -------------------------------------------------------------------------------

    def evidence(self, *, history_from: date | None = None) -> Evidence:
        start = max(0, (history_from - self.first).days) if history_from else 0
        frames = {name: pd.DataFrame(rows) for name, rows in self._rows().items()}
        for name, frame in frames.items():
            if len(frame) and "day" in frame.columns and start:
                frames[name] = frame[pd.to_datetime(frame["day"]) >= pd.Timestamp(history_from)]
        return Evidence(
            **frames,
            workspace=self.workspace(),
            as_of=self.as_of,
            history_from=history_from or self.first,
            witness=self.witness,
        )

    def diagnosis(self, **options: object) -> Diagnosis:
        return diagnose(self.evidence(**options))

    def findings(self, *kinds: str) -> list[Finding]:
        return [f for f in self.diagnosis().findings if not kinds or f.kind in kinds]

    def only(self, kind: str) -> Finding:
        """The one finding there is, which is of this kind: one cause, one incident."""
        findings = self.findings()
        told = [f for f in findings if f.severity != "info"]
        assert [f.kind for f in told] == [kind], [(f.kind, f.source, f.event, f.destinations) for f in told]
        return told[0]

    def workspace(self) -> Workspace:
        return Workspace(
            name="acme",
            sources=tuple(Source(name=name, freshness=fresh) for name, fresh in self.sources.items()),
            destinations=tuple(self.destinations),
            plans={
                source: TrackingPlan(events={name: PlannedEvent(name=name) for name in names})
                for source, names in self.planned.items()
            },
        )

    def _rows(self) -> dict[str, list[dict]]:
        rows: dict[str, list[dict]] = {name: list(extra) for name, extra in self.extra.items()}
        for (source, event), counts in self.volume.items():
            for n in np.flatnonzero(counts):
                rows["names"].append(
                    {
                        "day": self.days[n],
                        "source": source,
                        "event_text": event,
                        "event_slug": slug(event),
                        "messages": int(counts[n]),
                        "planned": event in self.planned[source],
                    }
                )
        for source, event in self.volume:
            if source in self.releases:
                for version, counts in self._split_by_version(source, event).items():
                    rows["versions"] += [
                        {
                            "day": self.days[n],
                            "source": source,
                            "event_text": event,
                            "app_version": version,
                            "messages": int(counts[n]),
                        }
                        for n in np.flatnonzero(counts)
                    ]
        random = np.random.default_rng(len(self.days))
        for (source, event), own in self.filled.items():
            for name, share in own.items():
                rows["fill"] += [
                    {
                        "day": self.days[n],
                        "source": source,
                        "event_text": event,
                        "property": name,
                        "filled": int(random.binomial(self.volume[source, event][n], min(1.0, share[n]))),
                        "messages": int(self.volume[source, event][n]),
                    }
                    for n in np.flatnonzero(self.volume[source, event])
                ]
        for (source, slug_of), names in self.properties.items():
            rows["properties"] += [
                {"source": source, "event_slug": slug_of, "property": name} for name in names
            ]
        for source in self.sources:
            rows["source_health"].append(
                {
                    "source": source,
                    "status": "ok",
                    "problem": None,
                    "last_received_at": self.as_of - timedelta(minutes=10),
                    "messages": 1000,
                }
                | self.health.get(source, {})
            )
        for destination in self.destinations:
            self._deliver(destination, rows)
        return rows

    def _deliver(self, destination: Destination, rows: dict[str, list[dict]]) -> None:
        name = destination.name
        rows["export_health"].append(
            {
                "destination": name,
                "status": "ok",
                "problem": None,
                "last_day": self.last,
                "deliveries": 1000,
            }
            | self.export.get(name, {})
        )
        events = (
            [route.event for route in destination.events]
            if destination.events is not None
            else sorted({event for source, event in self.volume if source in destination.sources})
        )
        refused: dict[tuple[str, date], int] = {}
        for row in self.extra["not_expected"]:
            if row["destination"] == name:
                refused[row["event"], row["day"]] = (
                    refused.get((row["event"], row["day"]), 0) + row["messages"]
                )
        random = np.random.default_rng(len(name))
        expected_hours = np.zeros((len(self.days), 24), dtype=np.int64)
        delivered_hours = np.zeros((len(self.days), 24), dtype=np.int64)
        for event in events:
            sent = sum(
                (c for (s, e), c in self.volume.items() if s in destination.sources and e == event),
                np.zeros(len(self.days), dtype=np.int64),
            )
            for n, today in enumerate(self.days):
                expected = max(0, int(sent[n]) - refused.get((event, today), 0))
                by_hour = np.bincount(random.choice(24, expected, p=CURVE / CURVE.sum()), minlength=24)
                share, duplicates, unexpected = self.base_loss, 0.0, 0.0
                exported, mature, cut, as_unexpected = True, True, 24, False
                for place, what, first, last, change in self.faults:
                    if place == name and what in (None, event) and first <= n <= last:
                        share = change.get("missing", share)
                        duplicates = change.get("duplicates", duplicates)
                        unexpected = change.get("unexpected", unexpected)
                        exported = change.get("exported", exported)
                        mature = change.get("mature", mature)
                        cut = change.get("cut_at", cut)
                        as_unexpected = change.get("as_unexpected", as_unexpected)
                kept = by_hour.copy()
                kept[cut:] = 0
                kept = random.binomial(kept, 1 - share if exported else 0)
                delivered = int(kept.sum())
                expected_hours[n] += by_hour
                delivered_hours[n] += kept
                missing = expected - delivered
                surplus = missing if as_unexpected else round(unexpected * expected)
                rows["cells"].append(
                    {
                        "day": today,
                        "destination": name,
                        "event": event,
                        "expected": expected,
                        "delivered": delivered,
                        "missing": missing if mature else 0,
                        "pending": 0 if mature else missing,
                        "duplicates": round(duplicates * expected),
                        "unexpected": surplus,
                        "matched_by": "counts" if destination.grain == "daily_counts" else "message_id",
                        "mature": mature,
                        "exported": exported,
                    }
                )
                if destination.grain == "event" and mature:
                    for difference, count in (
                        ("missing", missing),
                        ("duplicate", round(duplicates * expected)),
                        ("unexpected", surplus),
                    ):
                        if count:
                            rows["differences"].append(
                                {
                                    "day": today,
                                    "destination": name,
                                    "source": destination.sources[0] if difference != "unexpected" else None,
                                    "event": event,
                                    "difference": difference,
                                    "messages": count,
                                }
                            )
        # Names that a destination with a list does not take are not expected there.
        for (source, event), counts in self.volume.items():
            if source in destination.sources and event not in events:
                for n in np.flatnonzero(counts):
                    rows["not_expected"].append(
                        {
                            "day": self.days[n],
                            "destination": name,
                            "source": source,
                            "event": event,
                            "reason": "not_routed",
                            "messages": int(counts[n]),
                        }
                    )
        if destination.grain == "event":
            for n, today in enumerate(self.days):
                for hour in range(24):
                    rows["hours"].append(
                        {
                            "day": today,
                            "destination": name,
                            "hour": hour,
                            "expected": int(expected_hours[n, hour]),
                            "delivered": int(delivered_hours[n, hour]),
                        }
                    )


def shop(seed: int = 7) -> World:
    """Two sources, seven planned events, four destinations; nothing is wrong in it."""
    world = World(seed=seed)
    order = ["amount", "currency", "order_id", "coupon", "items"]
    world.sends("web_app", "Purchase Completed", 300, properties=order)
    world.sends("web_app", "Signup Completed", 120, properties=["plan", "referrer", "method"])
    world.sends("web_app", "Product Viewed", 900, properties=["sku", "price", "category", "position"])
    world.sends("web_app", "Cart Updated", 200, properties=["sku", "quantity", "cart_id"])
    world.sends("ios_app", "Purchase Completed", 150, properties=order)
    world.sends("ios_app", "Trial Started", 80, properties=["plan", "period", "trial_days"])
    world.sends("ios_app", "App Opened", 700, weekend=1.1, properties=["from_push", "version"])
    world.feeds(
        "email",
        ["web_app", "ios_app"],
        [("Purchase Completed", "Purchase"), "Signup Completed", "Trial Started"],
        identifiers=(Identifier(name="user_id", format="uuid"),),
    )
    world.feeds(
        "ads",
        ["web_app"],
        ["Purchase Completed", "Signup Completed"],
        grain="daily_counts",
        matching="counts",
    )
    world.feeds(
        "analytics",
        ["web_app", "ios_app"],
        ["Product Viewed", "Cart Updated", "App Opened", "Signup Completed"],
    )
    world.feeds("lake", ["web_app", "ios_app"], None)
    return world
