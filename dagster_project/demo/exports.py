"""What acme's destinations hold: the deliveries each contract promises, in the shape each vendor exports."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from dagster_project.demo.dice import hexes, number_of, roll, uuids
from dagster_project.demo.traffic import landing_times

UTC = ZoneInfo("UTC")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class DemoDestination:
    """One destination as its vendor sees it.

    The same promises stand in expectations/destinations/<name>.yml. They are written down twice on
    purpose: the answer key must not lean on the code that it is there to check.
    """

    name: str
    timezone: str
    grain: Literal["event", "daily_counts"]
    clock: Literal["timestamp", "received_at"]
    complete_after: timedelta
    sources: tuple[str, ...]
    events: Mapping[str, str] | None  # Segment's name -> the destination's; None: everything, unchanged
    steady_loss: float  # the share that always goes missing, as in every integration
    ads_consent: bool = False
    uuid_users_only: bool = False
    table: str | None = None
    suffix: str | None = None  # of the daily file

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


DESTINATIONS: tuple[DemoDestination, ...] = (
    DemoDestination(
        name="lifecycle_email",
        timezone="America/New_York",
        grain="event",
        clock="received_at",
        complete_after=timedelta(hours=6),
        sources=("web_app", "ios_app", "android_app", "orders_service", "billing_service"),
        events={
            **_same("Signed Up", "Trial Started", "Product Added", "Checkout Started"),
            "Purchase Completed": "Purchase",
            **_same("Order Shipped", "Subscription Renewed", "Subscription Cancelled"),
        },
        steady_loss=0.003,
        uuid_users_only=True,
        table="export_braze.events",
    ),
    DemoDestination(
        name="product_analytics",
        timezone="Europe/Berlin",
        grain="event",
        clock="timestamp",
        complete_after=timedelta(hours=6),
        sources=("web_app", "ios_app", "android_app", "orders_service"),
        events=_same(
            "Signed Up",
            "Signed In",
            "Application Opened",
            "Product Viewed",
            "Products Searched",
            "Product Added",
            "Product Removed",
            "Cart Viewed",
            "Checkout Started",
            "Feature Used",
            "Order Completed",
        ),
        steady_loss=0.004,
        suffix="jsonl.gz",
    ),
    DemoDestination(
        name="attribution",
        timezone="Asia/Kolkata",
        grain="event",
        clock="timestamp",
        complete_after=timedelta(hours=8),
        sources=("ios_app", "android_app", "web_app"),
        events=_same(
            "Application Installed",
            "Signed Up",
            "Trial Started",
            "In-App Purchase Made",
            "Purchase Completed",
            "Deep Link Opened",
        ),
        steady_loss=0.005,
        ads_consent=True,
        suffix="parquet",
    ),
    DemoDestination(
        name="ads_conversions",
        timezone="America/Los_Angeles",
        grain="daily_counts",
        clock="timestamp",
        complete_after=timedelta(hours=6),
        sources=("web_app", "marketing_site"),
        events={
            "Signed Up": "sign_up",
            "Purchase Completed": "purchase",
            "Lead Submitted": "generate_lead",
            "Demo Requested": "book_demo",
        },
        steady_loss=0.004,
        ads_consent=True,
        suffix="csv.gz",
    ),
    DemoDestination(
        name="cdp_archive",
        timezone="UTC",
        grain="event",
        clock="timestamp",
        complete_after=timedelta(hours=4),
        sources=(
            "web_app",
            "marketing_site",
            "ios_app",
            "android_app",
            "orders_service",
            "billing_service",
            "support_service",
        ),
        events=None,
        steady_loss=0.002,
        table="export_cdp.events",
    ),
    DemoDestination(
        name="support_desk",
        timezone="Europe/London",
        grain="event",
        clock="timestamp",
        complete_after=timedelta(hours=6),
        sources=("support_service", "web_app"),
        events=_same(
            "Ticket Created",
            "Ticket Replied",
            "Ticket Escalated",
            "Ticket Solved",
            "Chat Started",
            "Satisfaction Rated",
            "Help Article Viewed",
        ),
        steady_loss=0.003,
        table="export_support.events",
    ),
    DemoDestination(
        name="finance_reports",
        timezone="UTC",
        grain="daily_counts",
        clock="timestamp",
        complete_after=timedelta(hours=6),
        sources=("orders_service", "billing_service"),
        events=_same(
            "Order Completed",
            "Order Refunded",
            "Payment Captured",
            "Invoice Paid",
            "Payment Failed",
            "Subscription Renewed",
            "Subscription Upgraded",
        ),
        steady_loss=0.002,
        suffix="csv.zst",
    ),
)


def deliveries(destination: DemoDestination, sources: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What the contract promises `destination`, a row each, with the steady loss already marked in `lost`.

    `local` is the destination's clock in its own zone, `day` its day, `landed_at` when a row or its
    file arrives.
    """
    parts = []
    for name in destination.sources:
        sent = sources[name]
        wanted = sent["sent"].to_numpy(copy=True)
        if destination.events is not None:
            wanted &= sent["event_text"].isin(list(destination.events)).to_numpy()
        if destination.ads_consent:
            wanted &= sent["consents"].to_numpy()
        if destination.uuid_users_only:
            wanted &= sent["user_id"].map(_is_uuid).to_numpy(dtype=bool)
        parts.append(sent.loc[wanted].drop(columns=["sent", "consents"]).assign(source=name))
    rows = pd.concat(parts, ignore_index=True)
    routes = destination.events
    rows["name"] = rows["event_text"] if routes is None else rows["event_text"].map(routes)
    rows["event_text"] = rows["event_text"].astype("category")
    rows["local"] = local_time(rows[destination.clock], destination.zone)
    rows["day"] = rows["local"].dt.floor("D")
    rows["lost"] = roll(rows["dice"].to_numpy(), f"lost/{destination.name}") < destination.steady_loss
    # When Segment's own row of the message lands: from then on its delivery can be missed.
    rows["sent_landed_at"] = landing_times(rows["received_at"])
    rows["landed_at"] = _landing(destination, rows)
    rows["landed_again_at"] = np.datetime64("NaT", "us")
    return rows


def local_time(moments: pd.Series, zone: ZoneInfo) -> pd.Series:
    """UTC moments as wall-clock times of `zone`."""
    wall: pd.Series = moments.dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    return wall


def day_end(day: date, zone: ZoneInfo) -> datetime:
    """The naive UTC moment at which a local day is over, 23 and 25 hour days included."""
    following = datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=zone)
    return following.astimezone(UTC).replace(tzinfo=None)


def file_landing(destination: DemoDestination, day: date) -> datetime:
    """When the file of a day lands: two hours after the day, and now and then close to the promised limit."""
    late = number_of(f"{destination.name}/{day.isoformat()}") % 9 == 0
    return day_end(day, destination.zone) + timedelta(hours=5 if late else 2)


def file_day(destination: DemoDestination, rows: pd.DataFrame) -> pd.Series:
    """The day whose file holds a row: totals are booked by the clock, rows by the day of their upload."""
    if destination.grain == "daily_counts":
        return rows["day"]
    uploaded: pd.Series = local_time(rows["received_at"], destination.zone).dt.floor("D")
    return uploaded


def _landing(destination: DemoDestination, rows: pd.DataFrame) -> pd.Series:
    if destination.table:
        return rows["sent_landed_at"] + pd.Timedelta(hours=1)
    days = file_day(destination, rows)
    landings = {day: file_landing(destination, day.date()) for day in days.unique()}
    return days.map(landings).astype("datetime64[us]")


def _is_uuid(user_id: object) -> bool:
    return isinstance(user_id, str) and UUID.fullmatch(user_id) is not None


# --- the shapes of the exports --------------------------------------------------------------------


def braze_currents(rows: pd.DataFrame) -> pa.Table:
    """Currents' custom events: ids of Braze's own, seconds since 1970, and no message id of Segment's."""
    dice = rows["dice"].to_numpy()
    return pa.table(
        {
            "id": pa.array(uuids(dice, "braze row"), pa.string()),
            "name": _text(rows["name"]),
            "time": pa.array(rows["received_at"].astype("datetime64[s]").astype("int64"), pa.int64()),
            "timezone": pa.array(
                np.where(roll(dice, "zone") < 0.6, "America/New_York", "Europe/Berlin"), pa.string()
            ),
            "user_id": pa.array(hexes(dice, "braze user", 16), pa.string()),
            "external_user_id": _text(rows["user_id"]),
            "platform": _text(rows["source"].map({"ios_app": "ios", "android_app": "android"}).fillna("web")),
        }
    )


def archive_rows(rows: pd.DataFrame) -> pa.Table:
    return pa.table(
        {
            "message_id": _text(rows["id"]),
            "event_name": _text(rows["name"]),
            "occurred_at": pa.array(rows["timestamp"], pa.timestamp("us")),
            "user_id": _text(rows["user_id"]),
            "anonymous_id": _text(rows["anonymous_id"]),
            "source": _text(rows["source"]),
            "ingested_at": pa.array(rows["landed_at"], pa.timestamp("us")),
        }
    )


def help_desk_rows(rows: pd.DataFrame) -> pa.Table:
    moments = np.datetime_as_string(rows["timestamp"].to_numpy().astype("datetime64[ms]"))
    return pa.table(
        {
            "external_ref": _text(rows["id"].str[-36:]),
            "title": _text(rows["name"]),
            "happened_at": pa.array(np.char.add(moments, "Z"), pa.string()),
            "requester_id": _text(rows["user_id"]),
        }
    )


TABLES: dict[str, Callable[[pd.DataFrame], pa.Table]] = {
    "lifecycle_email": braze_currents,
    "cdp_archive": archive_rows,
    "support_desk": help_desk_rows,
}


def analytics_lines(rows: pd.DataFrame) -> bytes:
    """JSON lines, times as local time with their offset."""
    wall = np.datetime_as_string(rows["local"].to_numpy().astype("datetime64[ms]")).tolist()
    ahead = ((rows["local"] - rows["timestamp"]).dt.total_seconds() // 60).astype(int).tolist()
    offsets = [f"{'-' if m < 0 else '+'}{abs(m) // 60:02d}:{abs(m) % 60:02d}" for m in ahead]
    columns = (rows["name"], rows["user_id"], rows["anonymous_id"], rows["id"])
    names, users, devices, ids = (_text(column).to_pylist() for column in columns)
    lines = [
        json.dumps(
            {
                "event_type": name,
                "event_time": time + offset,
                "user_id": user,
                "device_id": device,
                "insert_id": message_id,
            }
        )
        for name, time, offset, user, device, message_id in zip(
            names, wall, offsets, users, devices, ids, strict=True
        )
    ]
    return ("\n".join(lines) + "\n" if lines else "").encode()


def attribution_parquet(rows: pd.DataFrame) -> bytes:
    """Parquet with wall-clock times and no offset."""
    table = pa.table(
        {
            "event_id": _text(rows["id"]),
            "event_name": _text(rows["name"]),
            "event_time": pa.array(rows["local"], pa.timestamp("us")),
            "customer_user_id": _text(rows["user_id"]),
            "device_id": _text(rows["anonymous_id"]),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="snappy")
    return buffer.getvalue()


def daily_csv(rows: pd.DataFrame, day: date, header: tuple[str, str, str]) -> bytes:
    """One line for each name: a destination that counts does not tell what it counted."""
    totals = rows.groupby("name", observed=True).size().sort_index()
    lines = [",".join(header), *(f"{name},{day.isoformat()},{total}" for name, total in totals.items())]
    return ("\n".join(lines) + "\n").encode()


def write_file(destination: DemoDestination, folder: Path, day: date, rows: pd.DataFrame) -> Path:
    """One daily file, complete or not there: it is written beside its place and then moved into it."""
    rows = rows.sort_values(["received_at", "id"])
    target = folder / destination.name / f"{day.isoformat()}.{destination.suffix}"
    target.parent.mkdir(parents=True, exist_ok=True)
    if destination.name == "product_analytics":
        # mtime 0: a gzip header would otherwise carry the time of writing, and no two runs would be the same.
        content = gzip.compress(analytics_lines(rows), compresslevel=6, mtime=0)
    elif destination.name == "attribution":
        content = attribution_parquet(rows)
    elif destination.name == "ads_conversions":
        content = gzip.compress(daily_csv(rows, day, ("conversion_action", "date", "conversions")), mtime=0)
    else:
        content = zstandard.compress(daily_csv(rows, day, ("report_line", "report_date", "quantity")))
    half_written = target.with_name(f".{target.name}.part")
    half_written.write_bytes(content)
    half_written.replace(target)
    return target


def _text(column: pd.Series) -> pa.Array:
    return pa.array(column, pa.string(), from_pandas=True)
