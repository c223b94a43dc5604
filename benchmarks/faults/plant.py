"""Puts harmless changes and faults into a drawn workspace; the dice of the seed decide which and where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.faults.vocabulary import ACTIONS, OBJECTS, PROPERTIES, SYNONYMS
from benchmarks.faults.world import FIRST_RUN_SEES, Change, Fault, Feed, Sender, Stream, Version, World
from dagster_project.core.slug import slug

KINDS = (
    "event_renamed",
    "event_stopped",
    "unplanned_event",
    "property_violation",
    "identifier_format",
    "duplicate_events",
    "volume_anomaly",
    "source_stopped",
    "delivery_stopped",
    "delivery_loss",
    "duplicate_delivery",
    "name_mismatch",
    "export_incomplete",
    "export_late",
    "timezone_shift",
    "unexplained",
)
# Kinds with many ways to happen come more often.
WEIGHTS = (4, 2, 1, 2, 2, 1, 2, 1, 2, 3, 1, 1, 2, 1, 1, 1)
LEAST = 80.0  # messages that a fault should touch by the last run, with some to spare over the 50 that count


@dataclass
class Bed:
    """A workspace into which things are planted: what is taken already stays free of a second fault."""

    world: World
    dice: np.random.Generator
    streams: set[tuple[str, str]] = field(default_factory=set)
    feeds: dict[str, bool] = field(default_factory=dict)  # True: only single events of it are hit
    feed_events: set[tuple[str, str]] = field(default_factory=set)
    pinned: set[str] = field(default_factory=set)  # sources of which a release is part of a fault
    dead: set[str] = field(default_factory=set)  # sources that stop, or of which everything changes
    causes: int = 0

    def start(self, *, least: int = 0) -> int:
        """A day for a fault to begin: a quarter lie in the history that the first run finds."""
        first_run = FIRST_RUN_SEES
        if self.dice.random() < 0.25:
            return int(self.dice.integers(max(16, least), first_run))
        return int(self.dice.integers(max(first_run, least), self.world.days - 4))

    def hour(self) -> int:
        return 0 if self.dice.random() < 0.4 else int(self.dice.integers(1, 21))

    def left(self, start: int, hour: int = 0) -> float:
        """Days from here to the end of the last day that is seen."""
        return self.world.days - 1 - start - hour / 24

    def stream(
        self,
        *,
        least: float,
        most: float = 1e9,
        planned: bool = False,
        accept: Callable[[Stream], bool] | None = None,
    ) -> Stream | None:
        found = [
            s
            for s in self.world.streams
            if least <= s.level <= most
            and (s.source, s.event) not in self.streams
            and s.source not in self.dead
            and s.launched is None
            and s.planned
            and (not planned or self.world.sender(s.source).has_plan)
            and (accept is None or accept(s))
        ]
        if not found:
            return None
        chosen = found[int(self.dice.integers(len(found)))]
        self.streams.add((chosen.source, chosen.event))
        return chosen

    def feed(self, accept: Callable[[Feed], bool] | None = None, *, one_event: bool = False) -> Feed | None:
        """A feed for a fault: an untouched one, or for a single event one of which single events are hit."""
        found = [
            f
            for f in self.world.feeds
            if (f.name not in self.feeds or (one_event and self.feeds[f.name]))
            and (accept is None or accept(f))
        ]
        if not found:
            return None
        chosen = found[int(self.dice.integers(len(found)))]
        self.feeds[chosen.name] = one_event
        return chosen

    def level(self, feed: Feed, event: str | None = None) -> float:
        """Messages a day that a feed takes, of one event or of all."""
        return sum(s.level for s in self.taken(feed) if event in (None, s.event))

    def taken(self, feed: Feed) -> list[Stream]:
        routes = feed.contract.events
        names = None if routes is None else {route.event for route in routes}
        return [
            s
            for s in self.world.streams
            if s.source in feed.contract.sources and (names is None or s.event in names)
        ]

    def event_of(self, feed: Feed, *, least: float) -> str | None:
        """An event that a feed takes, large enough, which no other fault touches."""
        events = sorted({s.event for s in self.taken(feed)})
        found = [
            e
            for e in events
            if self.level(feed, e) >= least
            and (feed.name, e) not in self.feed_events
            and not any(s.event == e and (s.source, s.event) in self.streams for s in self.taken(feed))
            and not any(s.event == e and (s.source in self.dead or s.launched) for s in self.taken(feed))
        ]
        if not found:
            return None
        chosen = found[int(self.dice.integers(len(found)))]
        self.feed_events.add((feed.name, chosen))
        return chosen

    def alone(self, stream: Stream) -> bool:
        """Whether nothing else is planted in this stream's source, so that all of it may change."""
        return not any(source == stream.source and event != stream.event for source, event in self.streams)

    def releases(self, source: str) -> bool:
        """Whether a source has app versions, and a new one may be made a part of a fault."""
        return source not in self.pinned and self.world.sender(source).platform != "server"

    def choose(self, *what: str) -> str:
        return what[int(self.dice.integers(len(what)))]

    def cause(self) -> int:
        self.causes += 1
        return self.causes

    def swap(self, old: Sender | Stream | Feed, new: Sender | Stream | Feed) -> None:
        name = {Sender: "senders", Stream: "streams", Feed: "feeds"}[type(old)]
        self.world = self.world.change(
            **{name: tuple(new if each is old else each for each in getattr(self.world, name))}
        )


# --- what is harmless -------------------------------------------------------------------------------------


def with_changes(world: World) -> World:
    """Campaigns, holidays, launches and the like, each switched by the dice."""
    bed = Bed(world, np.random.default_rng([world.seed, 2]))
    dice = bed.dice
    changes: list[Change] = []
    for sender in world.senders:
        if dice.random() < 0.3:
            first = int(dice.integers(8, world.days - 2))
            changes.append(
                Change(
                    "campaign",
                    first,
                    first + int(dice.integers(1, 5)),
                    sender.name,
                    amount=dice.uniform(2, 4),
                )
            )
        changes += [
            Change("roll-out", v.released, v.released + v.ramp_days, sender.name, event=v.name)
            for v in sender.versions
            if v.released >= 0
        ]
    for _ in range(int(dice.integers(0, 3))):
        day = int(dice.integers(8, world.days))
        changes.append(Change("holiday", day, day, amount=dice.uniform(0.3, 0.6)))
    for sender in world.senders:
        if dice.random() < 0.25:
            day = int(dice.integers(22, world.days - 4))
            changes.append(Change("back-fill", day, day, sender.name, amount=dice.uniform(0.02, 0.08)))
    for stream in list(bed.world.streams):
        if dice.random() < 0.03:
            first = int(dice.integers(5, world.days - 2))
            bed.swap(stream, replace(stream, launched=first))
            changes.append(Change("launch", first, world.days, stream.source, stream.event))
        elif dice.random() < 0.04 and stream.properties:
            name = stream.properties[0].name
            worn = tuple(
                replace(p, broken=float(dice.uniform(0.01, 0.04)), rule="type") if p.name == name else p
                for p in stream.properties
            )
            bed.swap(stream, replace(stream, properties=worn))
            changes.append(Change("steady violation", 0, world.days, stream.source, stream.event))
        elif dice.random() < 0.05:
            bed.swap(stream, replace(stream, level=3.0))
            changes.append(Change("three a day", 0, world.days, stream.source, stream.event))
    for feed in list(bed.world.feeds):
        if dice.random() < 0.06:
            bed.swap(feed, replace(feed, loss=dice.uniform(0.3, 0.5), loss_cv=dice.uniform(0.02, 0.06)))
            changes.append(Change("sampling", 0, world.days, destination=feed.name))
        elif feed.loss >= 0.02:
            changes.append(Change("steady loss", 0, world.days, destination=feed.name))
        if not feed.streaming and feed.lands_after > 20:
            changes.append(Change("late within allowance", 0, world.days, destination=feed.name))
    return bed.world.change(changes=tuple(changes))


# --- what is not ------------------------------------------------------------------------------------------


def with_faults(world: World) -> World:
    """One fault in a third of the worlds, three to six in the others."""
    dice = np.random.default_rng([world.seed, 3])
    many = 1 if dice.random() < 0.3 else int(dice.integers(3, 7))
    weights = np.array(WEIGHTS, dtype=float)
    # The seed's own turn first, so that twenty seeds have every kind.
    kinds = [KINDS[world.seed % len(KINDS)]]
    kinds += [str(kind) for kind in dice.choice(KINDS, many - 1, p=weights / weights.sum())]
    return plant(world, kinds, dice)


def plant(world: World, kinds: Sequence[str], dice: np.random.Generator | None = None) -> World:
    """A fault of each of these kinds, where the workspace has a place for it."""
    bed = Bed(world, dice if dice is not None else np.random.default_rng([world.seed, 4]))
    faults: list[Fault] = list(world.faults)
    # What silences a whole source comes last, so that it cannot hide another fault of the source.
    for kind in sorted(kinds, key=lambda kind: kind == "source_stopped"):
        for _ in range(4):
            found = PLANTERS[kind](bed)
            if found:
                faults += found
                break
    return bed.world.change(faults=tuple(faults))


def _renamed(bed: Bed) -> list[Fault]:
    variant = bed.choose("same slug", "other slug", "other slug", "at a version", "gradual", "split", "merge")
    start, hour = bed.start(), bed.hour()
    mobile = variant in ("at a version", "gradual")
    old = bed.stream(
        least=max(20.0, (2.5 if mobile else 1.2) * LEAST / bed.left(start, hour)),
        accept=lambda s: not mobile or bed.releases(s.source),
    )
    if old is None:
        return []
    fault = Fault(
        "event_renamed",
        variant,
        start,
        hour=hour,
        source=old.source,
        event=old.event,
        cause=bed.cause(),
    )
    if variant == "merge":
        other = bed.stream(least=old.level / 4, most=old.level * 4, accept=lambda s: s.source == old.source)
        if other is None:
            return []
        new = _other_name(bed, old)
        # What becomes one event had like properties before.
        bed.swap(other, replace(other, properties=old.properties))
        return [replace(fault, renamed_to=new), replace(fault, event=other.event, renamed_to=new)]
    if variant == "split":
        part = bed.dice.uniform(0.35, 0.65)
        one, two = f"{_other_name(bed, old)} New", f"{old.event} Again"
        return [
            replace(fault, renamed_to=one, share=part),
            # The second takes all of what the first has left.
            replace(fault, renamed_to=two, share=1.0),
        ]
    same = variant == "same slug" or (mobile and bed.dice.random() < 0.5)
    new = _same_slug(bed, old.event) if same else _other_name(bed, old)
    if not mobile:
        return [replace(fault, renamed_to=new)]
    sender = bed.world.sender(old.source)
    bed.pinned.add(old.source)
    ramp = 14 if variant == "gradual" else int(bed.dice.integers(1, 5))
    reach = 0.95 if variant == "gradual" else bed.dice.uniform(0.3, 0.9)
    version = f"{int(bed.dice.integers(20, 99))}.{len(sender.versions)}.1"
    bed.swap(
        sender,
        replace(
            sender,
            # No other release on top of it, or its users would leave it again before the last run.
            versions=(
                *(v for v in sender.versions if v.released <= start - 3),
                Version(version, start, ramp, reach),
            ),
        ),
    )
    return [replace(fault, renamed_to=new, version=version, hour=0)]


def _same_slug(bed: Bed, name: str) -> str:
    words = slug(name).split("_")
    forms = [
        slug(name),
        "".join(word.title() for word in words),
        " ".join(words),
        " ".join(word.title() for word in words),
        name.replace(" ", "-"),
    ]
    return bed.choose(*[form for form in dict.fromkeys(forms) if form != name and slug(form) == slug(name)])


def _other_name(bed: Bed, stream: Stream) -> str:
    words = slug(stream.event).split("_")
    action = SYNONYMS.get(words[-1].title(), "Done")
    taken = {s.event for s in bed.world.streams}
    forms = [
        f"{words[0].title()} {action}",
        f"{stream.event} V2",
        f"{action.split()[0]} {words[0].title()}",
        f"{OBJECTS[int(bed.dice.integers(len(OBJECTS)))]} Flow {ACTIONS[int(bed.dice.integers(len(ACTIONS)))]}",
    ]
    return bed.choose(*[form for form in forms if form not in taken])


def _stopped(bed: Bed) -> list[Fault]:
    start, hour = bed.start(), bed.hour()
    stream = bed.stream(least=max(20.0, 1.3 * LEAST / bed.left(start, hour)))
    if stream is None:
        return []
    fault = Fault(
        "event_stopped",
        bed.choose("silent", "silent", "stragglers", "after an outage", "after an outage"),
        start,
        hour=hour,
        source=stream.source,
        event=stream.event,
        cause=bed.cause(),
    )
    if fault.variant == "stragglers":
        return [replace(fault, share=0.99)]
    if fault.variant == "after an outage":
        length = int(bed.dice.integers(2, 7))
        first = int(bed.dice.integers(max(6, start - 18), start - length - 2))
        earlier = replace(
            fault, variant="earlier outage", start=first, hour=0, end=first + length - 1, optional=True
        )
        return [earlier, fault]
    return [fault]


def _unplanned(bed: Bed) -> list[Fault]:
    senders = [s for s in bed.world.senders if s.has_plan and s.name not in bed.dead]
    if not senders:
        return []
    sender = senders[int(bed.dice.integers(len(senders)))]
    start, hour = bed.start(), bed.hour()
    level = float(
        np.exp(bed.dice.uniform(np.log(max(20, 1.3 * LEAST / bed.left(start, hour))), np.log(3000)))
    )
    taken = {s.event for s in bed.world.streams}
    names = [f"{bed.choose('debug', 'Test', 'tmp', 'Experiment')} {bed.choose(*OBJECTS)} {n}" for n in "ABC"]
    name = bed.choose(*[n for n in names if n not in taken])
    bed.streams.add((sender.name, name))
    return [
        Fault(
            "unplanned_event",
            "new name",
            start,
            hour=hour,
            source=sender.name,
            event=name,
            factor=level,
            cause=bed.cause(),
        )
    ]


def _violated(bed: Bed) -> list[Fault]:
    variant = bed.choose(
        "type", "required", "one version", "property renamed", "property renamed", "rejected"
    )
    start, hour = bed.start(), bed.hour()
    feed = None
    if variant == "rejected":
        # A tool refuses exactly the messages that break the plan.
        feed = bed.feed(lambda f: f.contract.matching == "message_id", one_event=True)
        if feed is None:
            return []
    share = bed.dice.uniform(0.25, 1.0) if bed.dice.random() < 0.7 else bed.dice.uniform(0.08, 0.25)
    if variant == "property renamed":
        share = 1.0
    stream = bed.stream(
        least=max(20.0, 2 * LEAST / share / bed.left(start, hour)),
        planned=True,
        accept=lambda s: (
            len(s.properties) > 2
            and (variant != "one version" or bed.world.sender(s.source).platform != "server")
        ),
    )
    if stream is None:
        return []
    name = stream.properties[1].name
    clean = tuple(replace(p, broken=0.0) if p.name == name else p for p in stream.properties)
    bed.swap(stream, replace(stream, properties=clean))
    fault = Fault(
        "property_violation",
        variant,
        start,
        hour=hour,
        source=stream.source,
        event=stream.event,
        property=name,
        rule="type" if variant in ("type", "rejected") else "required",
        share=share,
        destination=feed.name if feed is not None else None,
        cause=bed.cause(),
    )
    if variant == "property renamed":
        own = {p.name for p in stream.properties}
        new = bed.choose(*[p for p in (f"{name}_new", f"{name}Value", *PROPERTIES) if p not in own])
        return [replace(fault, new_property=new, ramp_days=7 if bed.dice.random() < 0.3 else 0)]
    if variant == "one version":
        sender = bed.world.sender(stream.source)
        bed.pinned.add(stream.source)
        version = f"{int(bed.dice.integers(20, 99))}.{len(sender.versions)}.2"
        kept = tuple(v for v in sender.versions if v.released <= start - 3)
        bed.swap(
            sender,
            replace(sender, versions=(*kept, Version(version, start, int(bed.dice.integers(2, 10)), 0.9))),
        )
        return [replace(fault, version=version, share=1.0, hour=0)]
    return [fault]


def _identifier(bed: Bed) -> list[Fault]:
    """A source sends another form of user id; some destination refuses it."""
    checking = [f for f in bed.world.feeds if f.contract.identifiers]
    variant = bed.choose("one event", "one event", "whole source", "refused silently")
    start, hour = bed.start(), bed.hour()
    share = bed.dice.uniform(0.3, 1.0)
    least = max(20.0, 2 * LEAST / share / bed.left(start, hour))
    if variant == "refused silently":
        # The contract says nothing of a form; the tool refuses it all the same.
        feed = bed.feed(
            lambda f: not f.contract.identifiers and f.contract.matching == "message_id", one_event=True
        )
        if feed is None:
            return []
        events = {s.event for s in bed.taken(feed)}
        stream = bed.stream(
            least=least, accept=lambda s: s.source in feed.contract.sources and s.event in events
        )
        if stream is None:
            return []
        destination = feed.name
    else:
        stream = bed.stream(
            least=least,
            accept=lambda s: any(f in checking for f in bed.world.takers(s.source, s.event)),
        )
        if stream is None:
            return []
        destination = None
    if variant == "whole source":
        if not bed.alone(stream):
            return []
        bed.dead.add(stream.source)
    return [
        Fault(
            "identifier_format",
            variant,
            start,
            hour=hour,
            source=stream.source,
            event=None if variant == "whole source" else stream.event,
            identifier="user_id",
            shape=bed.choose("email", "integer"),
            destination=destination,
            share=share,
            cause=bed.cause(),
        )
    ]


def _doubled(bed: Bed) -> list[Fault]:
    start, hour = bed.start(), bed.hour()
    stream = bed.stream(least=max(20.0, 1.5 * LEAST / bed.left(start, hour)))
    if stream is None:
        return []
    end = None if bed.dice.random() < 0.7 else start + int(bed.dice.integers(2, 6))
    whole = bed.dice.random() < 0.25 and bed.alone(stream)
    if whole:
        bed.dead.add(stream.source)
    return [
        Fault(
            "duplicate_events",
            "whole source" if whole else "one event",
            start,
            hour=hour,
            end=end,
            source=stream.source,
            event=None if whole else stream.event,
            share=bed.dice.uniform(0.9, 1.0) if bed.dice.random() < 0.7 else bed.dice.uniform(0.4, 0.9),
            cause=bed.cause(),
        )
    ]


def _anomaly(bed: Bed) -> list[Fault]:
    variant = bed.choose("drop", "drop that lasts", "spike", "spike")
    start = bed.start()
    stream = bed.stream(least=200.0 if variant == "spike" else 150.0)
    if stream is None:
        return []
    factor = bed.dice.uniform(0.2, 0.5) if "drop" in variant else bed.dice.uniform(3, 6)
    end = None if variant == "drop that lasts" else start + int(bed.dice.integers(0, 4))
    return [
        Fault(
            "volume_anomaly",
            variant,
            start,
            end=end,
            source=stream.source,
            event=stream.event,
            factor=factor,
            cause=bed.cause(),
        )
    ]


def _source_stopped(bed: Bed) -> list[Fault]:
    busy = {source for source, _ in bed.streams}
    found = [
        s
        for s in bed.world.senders
        if s.name not in bed.dead | busy
        and sum(x.level for x in bed.world.streams if x.source == s.name) >= 100
    ]
    if not found:
        return []
    sender = found[int(bed.dice.integers(len(found)))]
    bed.dead.add(sender.name)
    start = int(bed.dice.integers(FIRST_RUN_SEES - 1, bed.world.days - 4))
    return [
        Fault(
            "source_stopped",
            "silent",
            start,
            hour=int(bed.dice.integers(0, 24)),
            source=sender.name,
            cause=bed.cause(),
        )
    ]


def _delivery_stopped(bed: Bed) -> list[Fault]:
    variant = bed.choose("one event", "one event", "whole destination")
    start = bed.start()
    least = max(20.0, 1.5 * LEAST / bed.left(start))
    feed = bed.feed(lambda f: bed.level(f) >= 3 * least, one_event=variant == "one event")
    if feed is None:
        return []
    fault = Fault(
        "delivery_stopped",
        variant,
        start,
        destination=feed.name,
        end=None if bed.dice.random() < 0.7 else start + int(bed.dice.integers(2, 6)),
        cause=bed.cause(),
    )
    if variant == "whole destination":
        # In the middle of a day: at midnight it would look like a late export at first. And for long enough
        # that it is no late export in the end.
        start = min(start, bed.world.days - 8)
        end = None if fault.end is None else start + int(bed.dice.integers(3, 6))
        return [replace(fault, start=start, end=end, hour=int(bed.dice.integers(5, 19)))]
    event = bed.event_of(feed, least=least)
    return [] if event is None else [replace(fault, hour=bed.hour(), event=event)]


def _loss(bed: Bed) -> list[Fault]:
    variant = bed.choose(
        "one event", "one event", "whole destination", "one source", "one version", "gradual"
    )
    start = bed.start()
    share = bed.dice.uniform(0.1, 0.6)
    least = max(20.0, 2 * LEAST / share / bed.left(start))
    feed = bed.feed(
        lambda f: bed.level(f) >= least and f.loss < 0.2,
        one_event=variant in ("one event", "one version", "gradual"),
    )
    if feed is None:
        return []
    fault = Fault(
        "delivery_loss",
        variant,
        start,
        hour=bed.hour(),
        destination=feed.name,
        share=share,
        end=None if bed.dice.random() < 0.7 else start + int(bed.dice.integers(1, 6)),
        cause=bed.cause(),
    )
    if variant == "whole destination":
        return [fault]
    if variant == "one source":
        live = [s for s in feed.contract.sources if s not in bed.dead]
        mine = {s: sum(x.level for x in bed.taken(feed) if x.source == s) for s in live}
        large = [s for s in live if mine[s] >= least and mine[s] >= 0.25 * bed.level(feed)]
        if len(feed.contract.sources) < 2 or not large:
            return []
        return [replace(fault, source=bed.choose(*large), share=max(share, 0.3))]
    event = bed.event_of(feed, least=least)
    if event is None:
        return []
    if variant == "one version":
        senders = [
            bed.world.sender(s.source)
            for s in bed.taken(feed)
            if s.event == event and bed.world.sender(s.source).platform != "server"
        ]
        if len({s.name for s in senders}) != 1 or len([s for s in bed.taken(feed) if s.event == event]) > 1:
            return []
        released = [v for v in senders[0].versions if v.released <= start]
        if not released:
            return []
        bed.pinned.add(senders[0].name)
        return [
            replace(fault, event=event, version=released[-1].name, share=bed.dice.uniform(0.6, 1.0), end=None)
        ]
    ramp = int(bed.dice.integers(4, 9)) if variant == "gradual" else 0
    return [replace(fault, event=event, ramp_days=ramp, end=None if ramp else fault.end)]


def _duplicate_delivery(bed: Bed) -> list[Fault]:
    variant = bed.choose("one day twice", "a rate")
    start = bed.start()
    share = 1.0 if variant == "one day twice" else bed.dice.uniform(0.08, 0.5)
    least = 1.5 * LEAST / share
    feed = bed.feed(lambda f: bed.level(f) >= least)
    if feed is None:
        return []
    return [
        Fault(
            "duplicate_delivery",
            variant,
            start,
            end=start if variant == "one day twice" else None,
            destination=feed.name,
            share=share,
            cause=bed.cause(),
        )
    ]


def _mismatch(bed: Bed) -> list[Fault]:
    start = bed.start()
    least = max(20.0, 1.5 * LEAST / bed.left(start))
    feed = bed.feed(lambda f: f.contract.events is not None and bed.level(f) >= least, one_event=True)
    if feed is None:
        return []
    event = bed.event_of(feed, least=least)
    if event is None:
        return []
    there = next(r.destination_name for r in feed.contract.events or () if r.event == event)
    wrong = bed.choose(
        there.upper(), f"{there}_v2", f"{bed.choose(*OBJECTS)} thing", there.replace("_", "-") + " "
    )
    known = {r.destination_name for r in feed.contract.events or ()}
    if wrong in known:
        return []
    return [
        Fault(
            "name_mismatch",
            "wrong name",
            start,
            hour=bed.hour(),
            destination=feed.name,
            event=event,
            wrong_name=wrong,
            cause=bed.cause(),
        )
    ]


def _incomplete(bed: Bed) -> list[Fault]:
    variant = bed.choose("cut", "cut", "day missing", "day missing", "unreadable")
    feed = bed.feed(lambda f: bed.level(f) >= 4 * LEAST and (variant != "cut" or f.contract.grain == "event"))
    if feed is None:
        return []
    start = bed.start()
    return [
        Fault(
            "export_incomplete",
            variant,
            start,
            end=None if variant == "unreadable" else start,
            destination=feed.name,
            from_hour=int(bed.dice.integers(8, 19)) if variant == "cut" else 0,
            cause=bed.cause(),
        )
    ]


def _late(bed: Bed) -> list[Fault]:
    feed = bed.feed(lambda f: bed.level(f) >= 2 * LEAST)
    if feed is None:
        return []
    start = int(bed.dice.integers(FIRST_RUN_SEES, bed.world.days - 5))
    days = int(bed.dice.integers(1, 3))
    return [
        Fault(
            "export_late",
            "late",
            start,
            end=start + days - 1,
            destination=feed.name,
            lasts_days=days,
            cause=bed.cause(),
        )
    ]


def _shifted(bed: Bed) -> list[Fault]:
    feed = bed.feed(lambda f: bed.level(f) >= 1000)
    if feed is None:
        return []
    return [
        Fault(
            "timezone_shift",
            feed.contract.matching,
            bed.start(),
            destination=feed.name,
            shift_hours=int(bed.choose("-8", "-5", "-3", "2", "5", "7")),
            cause=bed.cause(),
        )
    ]


def _surplus(bed: Bed) -> list[Fault]:
    feed = bed.feed(lambda f: bed.level(f) >= 100, one_event=True)
    if feed is None:
        return []
    start = bed.start()
    event = bed.event_of(feed, least=60)
    if event is None:
        return []
    return [
        Fault(
            "unexplained",
            "surplus",
            start,
            end=None if bed.dice.random() < 0.6 else start + int(bed.dice.integers(0, 4)),
            destination=feed.name,
            event=event,
            share=bed.dice.uniform(0.15, 0.7),
            cause=bed.cause(),
        )
    ]


PLANTERS: dict[str, Callable[[Bed], list[Fault]]] = {
    "event_renamed": _renamed,
    "event_stopped": _stopped,
    "unplanned_event": _unplanned,
    "property_violation": _violated,
    "identifier_format": _identifier,
    "duplicate_events": _doubled,
    "volume_anomaly": _anomaly,
    "source_stopped": _source_stopped,
    "delivery_stopped": _delivery_stopped,
    "delivery_loss": _loss,
    "duplicate_delivery": _duplicate_delivery,
    "name_mismatch": _mismatch,
    "export_incomplete": _incomplete,
    "export_late": _late,
    "timezone_shift": _shifted,
    "unexplained": _surplus,
}
