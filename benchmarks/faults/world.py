"""What a workspace of the bench is made of, as plain data: no counts, no frames, no statistics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property

from dagster_project.core.contracts import Destination, Source, Workspace
from dagster_project.core.plan import PlannedEvent, PropertyRule, TrackingPlan
from dagster_project.core.slug import slug

FIRST_RUN_SEES = 30  # days of history that the first run finds
RUN_HOUR = 6  # UTC, of the day after the last day that a run sees


@dataclass(frozen=True)
class Version:
    """One app version. `released` and the days of its roll-out count from the first day of the world."""

    name: str | None
    released: int
    ramp_days: int = 10
    reach: float = 1.0  # the part of all users that takes it in the end


@dataclass(frozen=True)
class Property:
    """One property of an event, and how it usually is."""

    name: str
    required: bool = False
    filled: float = 1.0
    broken: float = 0.0  # steady share of messages that break `rule`
    rule: str = "type"


@dataclass(frozen=True)
class Stream:
    """One event of one source. `level` is its messages on an average day."""

    source: str
    event: str
    level: float
    cv: float = 0.04  # its own day-to-day noise, beside the source's
    twins: float = 0.0  # steady share of messages that are double clicks
    properties: tuple[Property, ...] = ()
    launched: int | None = None  # first day, when it begins within the history
    planned: bool = True

    @property
    def slug(self) -> str:
        return slug(self.event)


@dataclass(frozen=True)
class Sender:
    """One Segment source."""

    name: str
    platform: str  # web | mobile | server
    zone: str  # where its users live: decides the shape of the day
    weekday: tuple[float, ...]  # seven factors, Monday first
    hours: tuple[float, ...]  # 24 weights on the users' own clock
    cv: float  # noise that all its events share on a day
    trend: float  # growth a day
    versions: tuple[Version, ...]
    has_plan: bool = True
    freshness: timedelta | None = None
    late_share: float = 0.0  # of messages, sent while offline
    late_days: int = 2  # and received so many days later
    shapes: tuple[tuple[str, float], ...] = (("uuid", 1.0),)
    refused: float = 0.0  # share of users who refuse marketing
    audience: int = 10_000  # users of a month


@dataclass(frozen=True)
class Feed:
    """One destination: its contract, and how well it usually works."""

    contract: Destination
    loss: float = 0.003
    loss_cv: float = 0.2  # of the rate, from day to day
    event_spread: float = 0.3  # of the rate, from event to event (log-normal)
    duplicates: float = 0.0005
    unexpected: float = 0.0002
    streaming: bool = True  # else a file a day
    lands_after: float = 3.0  # hours after the day (file) or the message (streaming)

    @property
    def name(self) -> str:
        return self.contract.name


@dataclass(frozen=True)
class Change:
    """Something harmless: a campaign, a holiday, a launch ... Kept to see what a false incident was near."""

    kind: str
    first: int
    last: int
    source: str | None = None
    event: str | None = None
    destination: str | None = None
    amount: float = 1.0


@dataclass(frozen=True)
class Fault:
    """A planted incident. Days count from the first day, in the zone of the place where it happens."""

    kind: str
    variant: str
    start: int
    hour: int = 0  # of the first day, when it does not begin at midnight
    end: int | None = None  # the last day hit; None: it goes on
    source: str | None = None
    event: str | None = None
    renamed_to: str | None = None
    property: str | None = None
    new_property: str | None = None
    rule: str = "type"
    identifier: str | None = None
    shape: str | None = None
    destination: str | None = None
    version: str | None = None  # only this app version
    share: float = 1.0  # of the messages
    factor: float = 1.0  # of the volume
    ramp_days: int = 0  # grows to its full share over so many days
    from_hour: int = 0  # a day is cut here
    shift_hours: int = 0
    wrong_name: str | None = None
    lasts_days: int = 0  # a late export comes so many days after it is due
    cause: int = 0  # faults of one cause share this number: the halves of a split
    optional: bool = False  # history, which a run may tell or not


@dataclass(frozen=True)
class World:
    """A workspace for some weeks: all of it follows from the seed."""

    seed: int
    first_day: date
    runs: int
    zone: str
    senders: tuple[Sender, ...]
    streams: tuple[Stream, ...]
    feeds: tuple[Feed, ...]
    changes: tuple[Change, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: dict[str, object] = field(default_factory=dict)

    @cached_property
    def days(self) -> int:
        """All days that any run can see, the last one in part."""
        return FIRST_RUN_SEES + self.runs

    def day(self, number: int) -> date:
        return self.first_day + timedelta(days=number)

    def last_seen(self, run: int) -> int:
        """The last whole day that a run sees."""
        return FIRST_RUN_SEES - 1 + run

    def as_of(self, run: int) -> datetime:
        return datetime.combine(self.day(self.last_seen(run) + 1), datetime.min.time()) + timedelta(
            hours=RUN_HOUR
        )

    def sender(self, name: str) -> Sender:
        return next(each for each in self.senders if each.name == name)

    def feed(self, name: str) -> Feed:
        return next(each for each in self.feeds if each.name == name)

    def stream(self, source: str, event: str) -> Stream | None:
        return next((s for s in self.streams if s.source == source and s.event == event), None)

    def change(self, **fields: object) -> World:
        return replace(self, **fields)  # type: ignore[arg-type]

    @cached_property
    def workspace(self) -> Workspace:
        """The contract that the product is given."""
        plans = {}
        for sender in self.senders:
            if not sender.has_plan:
                continue
            plans[sender.name] = TrackingPlan(
                events={
                    stream.event: PlannedEvent(
                        name=stream.event,
                        rules=tuple(
                            PropertyRule(
                                event=stream.event, property=p.name, required=p.required, types=("string",)
                            )
                            for p in stream.properties
                        ),
                    )
                    for stream in self.streams
                    if stream.source == sender.name and stream.planned
                }
            )
        return Workspace(
            name=f"bench_{self.seed}",
            timezone=self.zone,
            sources=tuple(Source(name=s.name, freshness=s.freshness) for s in self.senders),
            destinations=tuple(feed.contract for feed in self.feeds),
            plans=plans,
        )

    def planned(self, source: str, event: str) -> bool:
        return self.workspace.plan_for(source).planned(event)

    def takers(self, source: str, event: str) -> list[Feed]:
        """Feeds whose contract expects this name of this source."""
        return [
            feed
            for feed in self.feeds
            if source in feed.contract.sources
            and (feed.contract.events is None or any(route.event == event for route in feed.contract.events))
        ]

    def waiting(self, source: str, event: str) -> tuple[str, ...]:
        """Who is hit when an event fails: who names it; where nobody does, who takes every name."""
        takers = self.takers(source, event)
        naming = [feed.name for feed in takers if feed.contract.events is not None]
        return tuple(sorted(naming or [feed.name for feed in takers]))
