"""Random small worlds for the matching: contracts, messages and what the destinations made of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from dagster_project.core.oracle import Count, Delivery, Message

# A zone with its clock change, as naive UTC: half an hour in Lord Howe, none in Kolkata.
CLOCK_CHANGES: Final = (
    datetime(2026, 10, 25, 1),  # Europe/Berlin, an hour twice
    datetime(2026, 11, 1, 6),  # America/New_York, an hour twice
    datetime(2026, 4, 4, 15),  # Australia/Lord_Howe, half an hour twice
    datetime(2026, 10, 3, 15, 30),  # Australia/Lord_Howe, half an hour left out
    datetime(2026, 3, 8, 7),  # America/New_York, an hour left out
    datetime(2026, 3, 29, 1),  # Europe/Berlin, an hour left out
)
ZONES: Final = ("Asia/Kolkata", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC")
EVENTS: Final = (
    "Order Completed",
    "order_completed",  # one slug with the one above, another event
    "OrderCompleted",
    "Signed Up",
    "Robert'); drop table tracks; --",
    "He said \"hi\" {{ ref('x') }}",
    "Ünïcode 🎉 :name %s \\n",
    "ORDER COMPLETED",
)
CONSENTS: Final = ("advertising", "Marketing Analytics")


@dataclass(frozen=True)
class World:
    """One contract and everything that is landed for it by the end."""

    contract: dict[str, Any]
    messages: list[Message]
    deliveries: list[Delivery]
    counts: list[Count]
    as_of: datetime


def destination(name: str, **more: Any) -> dict[str, Any]:
    """The file of a destination that is matched by message id, with these keys instead of the usual ones."""
    usual: dict[str, Any] = {
        "name": name,
        "timezone": "UTC",
        "grain": "event",
        "complete_after": "6h",
        "receives": {"sources": "all", "events": "all"},
        "export": {
            "table": f"exports.{name}",
            "columns": {"event_name": "event_name", "event_time": "event_time", "message_id": "message_id"},
        },
    }
    return usual | more


def by_user(name: str, *ids: str, **more: Any) -> dict[str, Any]:
    """The file of a destination whose export has these ids of the person and no message id."""
    columns = {"event_name": "event_name", "event_time": "event_time"} | {each: each for each in ids}
    return destination(name, **{"export": {"table": f"exports.{name}", "columns": columns}} | more)


def by_count(name: str, **more: Any) -> dict[str, Any]:
    """The file of a destination that exports daily counts."""
    columns = {"event_name": "event_name", "day": "day", "count": "count"}
    export = {"table": f"exports.{name}", "columns": columns}
    return destination(name, **{"grain": "daily_counts", "export": export} | more)


def contract(
    *destinations: Mapping[str, Any], sources: tuple[str, ...] = ("web",), **more: Any
) -> dict[str, Any]:
    """A workspace of these destinations and sources."""
    return {
        "name": "acme",
        "timezone": "UTC",
        "sources": {name: {} for name in sources},
        "destinations": [dict(each) for each in destinations],
    } | more


# ---------------------------------------------------------------------------------------------- random worlds


def random_world(random: Random, *, days: float = 2.5) -> World:
    """Two to four sources, two to six destinations, some hundred messages `days` around a clock change."""
    change = random.choice(CLOCK_CHANGES)
    sources = [f"app_{number}" for number in range(random.randint(2, 4))]
    kinds = ["message_id", "user_time", "counts", "event_counts"]
    wanted = random.sample(kinds, 2) + random.choices(kinds, k=random.randint(0, 4))
    destinations = [_destination(random, f"tool_{n}", kind, sources) for n, kind in enumerate(wanted)]
    messages = _messages(random, sources, change, days)
    as_of = change + timedelta(days=random.randint(1, 4), seconds=random.randint(0, 86_399))
    deliveries: list[Delivery] = []
    counts: list[Count] = []
    for each in destinations:
        rows = _deliveries(random, each, messages, change)
        if each["grain"] == "event":
            deliveries += rows
        else:
            counts += _counts(random, rows)
    top = {
        "name": "acme",
        "timezone": random.choice(ZONES),
        "sources": {name: {} for name in sources},
        "destinations": destinations,
    }
    return World(top, messages, deliveries, counts, as_of)


def _destination(random: Random, name: str, kind: str, sources: list[str]) -> dict[str, Any]:
    columns = {"event_name": "event_name", "event_time": "event_time"}
    if kind == "message_id":
        columns["message_id"] = "message_id"
    if kind != "counts":
        ids = random.choice([["user_id"], ["anonymous_id"], ["user_id", "anonymous_id"]])
        columns |= {each: each for each in ids}
    if kind == "counts":
        columns = {"event_name": "event_name", "day": "day", "count": "count"}
    receives: dict[str, Any] = {
        "sources": "all"
        if random.random() < 0.4
        else random.sample(sources, random.randint(1, len(sources))),
        "events": "all" if random.random() < 0.3 else _routes(random),
    }
    if random.random() < 0.4:
        receives["consent"] = random.choice(CONSENTS)
    identifiers: dict[str, Any] = {}
    if random.random() < 0.5:
        identifiers["user_id"] = {"required": random.random() < 0.5}
        if random.random() < 0.7:
            identifiers["user_id"]["format"] = random.choice(["uuid", "email", "uuid_or_email", "/u-[0-9]+/"])
    if random.random() < 0.3:
        identifiers["anonymous_id"] = {"required": True}
    made: dict[str, Any] = {
        "name": name,
        "timezone": random.choice(ZONES),
        "grain": "daily_counts" if kind == "counts" else "event",
        "complete_after": random.choice(["30m", "6h", "24h", "2d"]),
        "clock": random.choice(["timestamp", "timestamp", "received_at", "sent_at", "original_timestamp"]),
        "receives": receives,
        "export": {"table": f"exports.{name}", "columns": columns},
    }
    if identifiers:
        made["identifiers"] = identifiers
    if kind == "event_counts":
        made["matching"] = "counts"
    return made


def _routes(random: Random) -> list[Any]:
    routes: list[Any] = []
    for event in random.sample(EVENTS, random.randint(1, len(EVENTS))):
        shared = random.choice(["purchase", "Über'name", event.upper()])
        routes.append({event: shared} if random.random() < 0.4 else event)
    return routes


def _messages(random: Random, sources: list[str], change: datetime, days: float) -> list[Message]:
    people = [_uuid(random) for _ in range(4)] + ["ann@example.com", "u-7", "O'Neil", ""]
    devices = [_uuid(random) for _ in range(3)] + ["", None]
    messages: list[Message] = []
    for number in range(random.randint(80, 240)):
        at = _moment(random, change, days)
        delay = timedelta(seconds=random.choice([0.2, 1, 30, 3_600]) * random.random())
        if random.random() < 0.08:
            delay += timedelta(days=3) * random.random()  # a phone that was offline
        messages.append(
            Message(
                source=random.choice(sources),
                message_id=_message_id(random, number),
                event_text=random.choice(EVENTS) if random.random() < 0.97 else "",
                received_at=at + delay,
                timestamp=at if random.random() < 0.95 else None,
                sent_at=at + delay / 2 if random.random() < 0.9 else None,
                original_timestamp=at + timedelta(seconds=random.randint(-90_000, 90_000))
                if random.random() < 0.9
                else None,
                user_id=random.choice(people) if random.random() < 0.8 else None,
                anonymous_id=random.choice(devices),
                refused=frozenset(each for each in CONSENTS if random.random() < 0.15),
            )
        )
    # Segment delivers at least once: the same id again, later, now and then through another source.
    for each in random.choices(messages, k=len(messages) // 15):
        source = each.source if random.random() < 0.7 else random.choice(sources)
        later = timedelta(seconds=random.choice([0, 5, 90_000, 3 * 86_400]))
        messages.append(replace(each, source=source, received_at=each.received_at + later))
    random.shuffle(messages)
    return messages


def _moment(random: Random, change: datetime, days: float) -> datetime:
    """Anywhere in these days, and often where a day or an hour is decided."""
    where = random.random()
    if where < 0.5:
        at = change + timedelta(seconds=random.uniform(-days, days) * 86_400)
    elif where < 0.75:
        at = change + timedelta(seconds=random.uniform(-3_700, 3_700))
    else:
        zone = ZoneInfo(random.choice(ZONES))
        day = change.date() + timedelta(days=random.randint(-2, 2))
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
        at = midnight + timedelta(seconds=random.choice([-1, 0, 0, 1]), milliseconds=random.randint(-20, 20))
    # Often to the second, so that people do things at the same moment.
    return at.replace(microsecond=random.choice([0, 0, at.microsecond // 1000 * 1000, at.microsecond]))


def _message_id(random: Random, number: int) -> str | None:
    draw = random.random()
    if draw < 0.01:
        return None
    if draw < 0.05:
        return random.choice(["it's", 'a"b', "Z-", "{{ x }}", "ü-🎉-"]) + str(number)
    return _uuid(random) if draw < 0.6 else f"ajs-next-17{number:011d}-{_uuid(random)}"


def _uuid(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _deliveries(
    random: Random, tool: Mapping[str, Any], messages: list[Message], change: datetime
) -> list[Delivery]:
    """What the tool holds: most of what it was sent, once; some lost, twice, late, changed, or never sent."""
    zone = ZoneInfo(tool["timezone"])
    events = tool["receives"]["events"]
    names: dict[str, str] = {}
    for route in EVENTS if events == "all" else events:
        names |= route if isinstance(route, dict) else {route: route}
    broken_id = random.choice([None, None, str.upper, lambda text: text[-36:], _sha256])
    cuts = random.choice([1, 1_000, 1_000_000])  # microseconds that the tool's clock can tell
    rows: list[Delivery] = []
    for message in messages:
        routed = message.event_text in names
        if not routed and random.random() > 0.03:
            continue
        copies = random.choices([0, 1, 2, 3], [8, 84, 6, 2])[0]
        clock = tool["clock"]
        at = getattr(message, clock) or message.timestamp or message.received_at
        local = at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
        local = local.replace(microsecond=local.microsecond // cuts * cuts)
        for _ in range(copies):
            shift = random.choices([0, 1, -1, 4, 86_400], [88, 4, 4, 2, 2])[0]
            message_id = message.message_id
            if message_id is not None and random.random() < 0.1:
                change_id = random.choice([str.upper, lambda text: text[-36:], _sha256, _wrapped, _nothing])
                message_id = change_id(message_id)
            elif message_id is not None and broken_id is not None and random.random() < 0.7:
                message_id = broken_id(message_id)
            rows.append(
                Delivery(
                    tool["name"],
                    names.get(message.event_text, message.event_text),
                    local + timedelta(seconds=shift),
                    message.user_id,
                    message.anonymous_id,
                    message_id,
                )
            )
    for _ in range(random.randint(0, 12)):  # what nobody sent
        rows.append(
            Delivery(
                tool["name"],
                random.choice([*names.values(), "never heard of", "", "purchase", "it's"]),
                _moment(random, change, 2).replace(microsecond=0) if random.random() < 0.9 else None,
                random.choice([None, "", "somebody"]),
                None,
                random.choice([None, "", _uuid(random), f"extra-{random.randint(0, 3)}"]),
            )
        )
    random.shuffle(rows)
    return rows


def _wrapped(message_id: str) -> str:
    return f"tool:{message_id}:1"


def _nothing(_: str) -> None:
    return None


def _sha256(message_id: str) -> str:
    return hashlib.sha256(message_id.encode()).hexdigest()


def _counts(random: Random, rows: list[Delivery]) -> list[Count]:
    held: Counter[tuple[str, str, date]] = Counter(
        (row.destination, row.event_name, row.event_time.date()) for row in rows if row.event_time
    )
    counts = []
    for (name, event, day), messages in held.items():
        first = random.randint(0, messages) if random.random() < 0.2 else messages
        counts.append(Count(name, event, day, first))
        if first < messages:
            counts.append(Count(name, event, day, messages - first))
        if random.random() < 0.05:
            counts.append(Count(name, event, day, random.randint(0, 3)))
    return counts
