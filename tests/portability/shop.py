"""A small shop for both engines: two sources, three destinations of the three matchings, the same rows in each."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from dagster_project.core.contracts import Workspace
from dagster_project.core.load import load_workspace
from dagster_project.resources.warehouse import Warehouse, WarehouseSession

AS_OF = datetime(2026, 11, 6, 12)
# The days around New York's clock change of 2026-11-01, Kolkata's half hour all the while.
FIRST_DAY = date(2026, 10, 30)

# The emoji and the quotes are a name that somebody once typed into an event.
HOSTILE = 'Cart\'s "Viewed"; drop table x -- 🛒 :now %s \\'

FILES = {
    "workspace.yml": """\
name: shop
timezone: Asia/Kolkata
tracking_plan: tracking_plan.json
starts_on: 2026-10-01
sources:
  web: {}
  ios: {schema: ios_production}
violations: protocols
quarantine:
  - {event: Order Completed, property: total}
  - {rule: [type, enum], source: web}
  - {rule: unplanned_event}
""",
    "destinations/mail.yml": """\
name: mail
timezone: America/New_York
grain: event
complete_after: 6h
matching: message_id
receives:
  sources: all
  consent: advertising
  events:
    - Signup Completed
    - {Order Completed: Purchase}
identifiers:
  user_id: {required: true, format: uuid_or_email}
export:
  table: export_mail.events
  columns: {event_name: name, event_time: sent, user_id: person, message_id: insert_id}
""",
    "destinations/analytics.yml": """\
name: analytics
timezone: Europe/Berlin
grain: event
clock: received_at
matching: user_time
receives: {sources: [web], events: all}
export:
  table: export_analytics.events
  columns: {event_name: event_type, event_time: event_time, user_id: user_id, anonymous_id: device_id}
""",
    "destinations/ads.yml": """\
name: ads
timezone: Asia/Kolkata
grain: daily_counts
receives: {sources: [ios, web], events: [{Order Completed: purchase}, {Signup Completed: purchase}, App Opened]}
export:
  table: export_ads.conversions
  columns: {event_name: conversion, day: day, count: total}
""",
}


def _planned(name: str, properties: dict[str, object], required: list[str]) -> dict[str, object]:
    return {
        "type": "TRACK",
        "key": name,
        "version": 1,
        "jsonSchema": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {
                "properties": {"type": "object", "properties": properties, "required": required},
            },
        },
    }


PLAN = {
    "data": {
        "rules": [
            _planned(
                "Order Completed",
                {
                    "total": {"type": "number", "minimum": 0},
                    "coupon": {"type": "string", "enum": ["SPRING", "it's", "back\\slash"]},
                    "quantity": {"type": "integer"},
                    "gift": {"type": "boolean"},
                },
                ["total", "order_id"],
            ),
            _planned("Signup Completed", {"method": {"type": "string"}}, ["method"]),
            _planned("App Opened", {}, []),
            {
                "type": "IDENTIFY",
                "version": 1,
                "jsonSchema": {
                    "type": "object",
                    "properties": {
                        "traits": {
                            "type": "object",
                            "properties": {"email": {"type": "string", "pattern": "^[^@]+@[a-z]+[.]com$"}},
                            "additionalProperties": False,
                        }
                    },
                },
            },
        ]
    }
}


def write_workspace(folder: Path) -> Workspace:
    """The contract files in this folder, and what the loader makes of them."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    (folder / "tracking_plan.json").write_text(json.dumps(PLAN), "utf-8")
    return load_workspace(folder)


@dataclass
class Table:
    """A landed table: columns with the type each engine gives them, and rows of texts, numbers and nulls."""

    columns: Mapping[str, str]
    rows: list[dict[str, object]] = field(default_factory=list)


TYPES = {
    "duckdb": {"time": "timestamp", "time_with_zone": "timestamptz", "number": "double"},
    "snowflake": {"time": "timestamp_ntz", "time_with_zone": "timestamp_tz", "number": "float"},
}


def landed(until: datetime = AS_OF, *, lost: bool = True, messages: int = 200) -> dict[str, Table]:
    """The shop's tables as they stand at a time: rows that were received, or exported, later are not there."""
    dice = random.Random(20261106)
    web = _tracks("time")
    ios = _tracks("time_with_zone")
    orders = {"web": _orders("time"), "ios_production": _orders("time_with_zone")}
    mail = Table({"name": "varchar", "sent": "varchar", "person": "varchar", "insert_id": "varchar"})
    analytics = Table(
        {"event_type": "varchar", "event_time": "time", "user_id": "varchar", "device_id": "varchar"}
    )
    counts: dict[tuple[str, date], int] = {}
    people = [str(uuid.UUID(int=dice.getrandbits(128))) for _ in range(12)]
    start = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day)
    for number in range(messages):
        at = start + timedelta(seconds=dice.randrange(7 * 86_400), milliseconds=dice.randrange(1000))
        received = at + timedelta(seconds=dice.choice([1, 2, 40, 90_000 if number % 37 == 0 else 3]))
        schema, table = ("web", web) if dice.random() < 0.6 else ("ios_production", ios)
        name = dice.choice(["Order Completed", "Order Completed", "Signup Completed", "App Opened", HOSTILE])
        # The same slug as Order Completed and another name.
        name = "order_completed" if number % 53 == 7 else name
        user = dice.choice([*people, *people, "not an id", "ann@example.com", None, ""])
        message = str(uuid.UUID(int=dice.getrandbits(128)))
        row: dict[str, object] = {
            "id": message,
            "event_text": name,
            "event": "order_completed" if name.lower().startswith("order") else "something",
            "user_id": user,
            "anonymous_id": f"anon-{number % 9}",
            "received_at": received,
            "sent_at": received if number % 11 else None,
            "original_timestamp": at.isoformat() + "Z" if number % 3 else at.isoformat() + "+00:00",
            "timestamp": at,
            "context_consent_category_preferences_advertising": dice.choice([True, True, False, None]),
            "context_app_version": f"{number % 3}.0" if number % 4 else None,
        }
        if received <= until:
            table.rows.append(row)
            if number % 23 == 5:  # sent a second time under another id
                again = {"id": f"{message} again", "timestamp": at + timedelta(seconds=number % 12)}
                table.rows.append(row | again)
            if number % 19 == 0:  # an at-least-once copy
                table.rows.append(row | {"received_at": received + timedelta(seconds=5)})
            if row["event"] == "order_completed":
                orders[schema].rows.append(
                    {key: row[key] for key in ("id", "event_text", "received_at", "timestamp")}
                    | {
                        "total": dice.choice([1.5, 20.0, -3.0, None]),
                        "coupon": dice.choice(["SPRING", "it's", "back\\slash", "'; drop", "emoji 🛒", None]),
                        "quantity": dice.choice([1.0, 2.5, None]),
                        "gift": dice.choice(["true", "perhaps", None]),
                        "order_id": f"o-{number}" if number % 5 else None,
                        # Named as one of the words that the rules use themselves.
                        "slot": "a property",
                    }
                )
        if received > until or (lost and dice.random() < 0.15):
            continue
        if name in ("Order Completed", "Signup Completed"):
            there = "Purchase" if name == "Order Completed" else name
            told = message if number % 7 else message.upper()  # a mutilated id
            local = at.replace(tzinfo=UTC).astimezone(ZoneInfo("America/New_York"))
            for _ in range(2 if number % 31 == 0 else 1):
                mail.rows.append(
                    {"name": there, "sent": local.isoformat(), "person": user, "insert_id": told}
                )
        if schema == "web":
            local = received.replace(tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
            analytics.rows.append(
                {
                    "event_type": name,
                    # A tool that rounds to the second.
                    "event_time": (local.replace(tzinfo=None) + timedelta(milliseconds=500)).replace(
                        microsecond=0
                    ),
                    "user_id": user,
                    "device_id": row["anonymous_id"],
                }
            )
        if name in ("Order Completed", "Signup Completed", "App Opened"):
            day = at.replace(tzinfo=UTC).astimezone(ZoneInfo("Asia/Kolkata")).date()
            there = name if name == "App Opened" else "purchase"
            counts[there, day] = counts.get((there, day), 0) + 1
    mail.rows += [
        {"name": "Purchase", "sent": "1793500000", "person": None, "insert_id": "nobody sent this"},
        {"name": "Nobody Named This", "sent": "2026-11-02 10:00:00", "person": None, "insert_id": "x"},
        {"name": "Purchase", "sent": "2026-11-02 10:00:00", "person": None, "insert_id": None},
    ]
    ads = Table({"conversion": "varchar", "day": "varchar", "total": "varchar"})
    for (there, day), count in sorted(counts.items()):
        ads.rows.append({"conversion": there, "day": f"{day:%Y%m%d}", "total": str(count + (day.day == 3))})
    return {
        "web.identifies": _identifies(web),
        "protocols.violation_generated": _violations(orders["web"]),
        "web.tracks": web,
        "web.order_completed": orders["web"],
        "ios_production.tracks": ios,
        "ios_production.order_completed": orders["ios_production"],
        "export_mail.events": mail,
        "export_analytics.events": analytics,
        "export_ads.conversions": ads,
    }


def _identifies(tracks: Table) -> Table:
    """An identify call beside every fourth track call, one of them for a word in the place of an id."""
    found = Table(
        {
            **dict.fromkeys(
                ("id", "anonymous_id", "user_id", "email", "plan", "context_library_version"), "varchar"
            ),
            **dict.fromkeys(("received_at", "timestamp"), "time"),
        }
    )
    for number, row in enumerate(tracks.rows[::4]):
        found.rows.append(
            {
                "id": f"i-{row['id']}",
                "anonymous_id": row["anonymous_id"],
                "user_id": "undefined" if number % 7 == 3 else row["user_id"],
                "email": ["ann@example.com", "Jürgen", "b@example.org", None][number % 4],
                "plan": "pro" if number % 3 else None,
                "context_library_version": f"1.{number % 2}",
                "received_at": row["received_at"],
                "timestamp": row["timestamp"],
            }
        )
    return found


def _violations(orders: Table) -> Table:
    """What Segment says of some orders: half of it is broken here, too."""
    found = Table(
        {
            **dict.fromkeys(("id", "event_message_id", "event_name", "event_type", "source_slug"), "varchar"),
            **dict.fromkeys(("violation_field", "violation_type"), "varchar"),
            **dict.fromkeys(("received_at", "event_timestamp"), "time"),
        }
    )
    for number, row in enumerate(orders.rows[::3]):
        found.rows.append(
            {
                "id": f"sch-{number}",
                "event_message_id": row["id"],
                "event_name": row["event_text"],
                "event_type": "track",
                "source_slug": "web",
                "violation_field": "properties.total" if number % 2 else "properties.products.0.sku",
                "violation_type": "Required",
                "received_at": row["received_at"],
                "event_timestamp": row["timestamp"] if number % 5 else datetime(1970, 1, 2),
            }
        )
    return found


def land(warehouse: Warehouse, tables: Mapping[str, Table]) -> None:
    """Make these rows the tables, as the engine's own SQL; values are written as literals, texts are bound."""
    kinds = TYPES[warehouse.dialect]
    with warehouse.transaction() as session:
        for name, table in tables.items():
            columns = ", ".join(f"{column} {kinds.get(kind, kind)}" for column, kind in table.columns.items())
            session.execute(f"create schema if not exists {name.split('.')[0]}")
            session.execute(f"create or replace table {name} ({columns})")
            _insert(session, name, table, kinds)


def _insert(session: WarehouseSession, name: str, table: Table, kinds: Mapping[str, str]) -> None:
    columns = list(table.columns)
    for start in range(0, len(table.rows), 50):
        chunk = table.rows[start : start + 50]
        texts: dict[str, str] = {}
        lines = [
            "("
            + ", ".join(_value(row[column], texts, table.columns[column], kinds) for column in columns)
            + ")"
            for row in chunk
        ]
        session.execute(f"insert into {name} ({', '.join(columns)}) values {', '.join(lines)}", **texts)


def _value(value: object, texts: dict[str, str], kind: str, kinds: Mapping[str, str]) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime):
        # A zone that is not UTC, so that a reader who forgets it is found out.
        text = (
            (value - timedelta(hours=5)).isoformat(sep=" ") + "-05:00"
            if kind == "time_with_zone"
            else str(value)
        )
        return f"cast('{text}' as {kinds[kind]})"
    key = f"t{len(texts)}"
    texts[key] = str(value)
    return f":{key}"


def _tracks(time: str) -> Table:
    return Table(
        {
            "id": "varchar",
            "event_text": "varchar",
            "event": "varchar",
            "user_id": "varchar",
            "anonymous_id": "varchar",
            "received_at": time,
            "sent_at": time,
            "original_timestamp": "varchar",
            "timestamp": time,
            "context_consent_category_preferences_advertising": "boolean",
            "context_app_version": "varchar",
        }
    )


def _orders(time: str) -> Table:
    return Table(
        {
            "id": "varchar",
            "event_text": "varchar",
            "received_at": time,
            "timestamp": time,
            "total": "number",
            "coupon": "varchar",
            "quantity": "number",
            "gift": "varchar",
            "order_id": "varchar",
            "slot": "varchar",
        }
    )
