"""A small shop, quiet and complete: messages that every tool holds, and tables and files that tests then break."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from recon_project import ReconProject

from dagster_project.core.contracts import Destination
from dagster_project.core.load import load_workspace
from dagster_project.core.oracle import Count, Delivery, Message
from dagster_project.flow.census import as_day
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import open_warehouse

FIRST: Final = date(2026, 11, 2)
HEADER: Final = ("event", "at", "id")
# When things happened to be found; a mended run finds the same things later.
CLOCKS: Final = frozenset(
    {
        *("detected_at", "resolved_at", "decided_at", "created_at", "sent_at", "next_try_at", "landed_at"),
        "run_id",
    }
)
PUBLIC: Final = (
    "reconciliation.event_names_daily",
    "reconciliation.reconciliation_daily",
    "reconciliation.message_differences",
    "reconciliation.plan_violations_daily",
    "reconciliation_published.event_counts_daily",
    "reconciliation_published.window_status",
    "reconciliation_work.int_cells_daily",
    "reconciliation_work.int_delivery_names_daily",
    "reconciliation_work.int_not_expected_daily",
)


class Shop(ReconProject):
    """A project whose destinations may be fed by files as well as by tables."""

    def land(
        self, messages: Iterable[Message], deliveries: Iterable[Delivery], counts: Iterable[Count] = ()
    ) -> None:
        deliveries = list(deliveries)
        whole = self.workspace
        by_table = tuple(each for each in whole.destinations if each.export.table)
        self.workspace = whole.model_copy(update={"destinations": by_table})
        super().land(messages, deliveries, counts)
        self.workspace = whole
        for destination in whole.destinations:
            if destination.export.files:
                self.write_day_files(
                    destination, [d for d in deliveries if d.destination == destination.name]
                )

    def write_day_files(self, destination: Destination, deliveries: list[Delivery]) -> None:
        """A csv file a day, with the columns event, at and id."""
        days: dict[date, list[Delivery]] = {}
        for each in deliveries:
            assert each.event_time is not None
            days.setdefault(each.event_time.date(), []).append(each)
        for day, rows in days.items():
            self.write_file(destination.name, f"{day}.csv", csv_of(rows))

    def path(self, destination: str, file: str) -> Path:
        return self.folder / "exports" / destination / file

    def write_file(self, destination: str, file: str, content: bytes | str) -> None:
        """Put a file there; untouched when it already says that."""
        path, data = self.path(destination, file), content.encode() if isinstance(content, str) else content
        if path.exists() and path.read_bytes() == data:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def copy_to(self, folder: Path) -> Shop:
        """The same project with all that it holds, elsewhere."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("logs"))
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made.moved(folder)

    def moved(self, folder: Path) -> Shop:
        path = folder / "warehouse.duckdb"
        environment = {**self.dbt.environment, "RECON_DUCKDB_PATH": str(path)}
        self.folder = folder
        self.workspace = load_workspace(folder / "expectations")
        self.warehouse = open_warehouse("duckdb", path, {})
        self.dbt = DbtProject(self.dbt.source, folder / "state" / "dbt", environment)
        self.landed = dict(self.landed)
        return self

    def health(self, kind: str) -> dict[str, str]:
        """What cannot be read: name to its problem. `kind` is source or export."""
        name = {"source": "source", "export": "destination"}[kind]
        frame = self.frame(
            f"select {name} as name, problem from reconciliation_work.{kind}_health where status <> 'ok'"
        )
        return dict(zip(frame["name"], frame["problem"], strict=True))

    def cells(self, *destinations: str) -> Counter[tuple[Any, ...]]:
        """The books of these destinations."""
        columns = ["destination", "day", "event", "expected", "delivered", "missing", "pending", "duplicates"]
        rows = self.rows("reconciliation_work.int_cells_daily", [*columns, "unexpected"])
        return Counter({row: n for row, n in rows.items() if row[0] in destinations})

    def incidents(self, status: str = "open") -> list[dict[str, Any]]:
        """Incidents of this status as rows, worst first."""
        frame = self.frame(
            "select * from reconciliation.incidents where status = :status "
            "order by case severity when 'critical' then 0 when 'error' then 1 when 'warning' then 2 else 3 end, "
            "messages_affected desc, incident_id",
            status=status,
        )
        return frame.astype(object).where(frame.notna(), None).to_dict("records")

    def held(self, destination: str) -> list[date]:
        """Complete days that are held."""
        frame = self.frame(
            "select day from reconciliation_work.gate_current where destination = :name and verdict = 'held' "
            "and reasons not like '%not complete yet%' order by 1",
            name=destination,
        )
        return [as_day(day) for day in frame["day"]]

    def public(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """The contract's tables as they stand now, but for clocks and runs."""
        found = {name: self.without_clocks(name) for name in PUBLIC}
        found["open incidents"] = self.without_clocks(
            "reconciliation.incidents", "status = 'open'", also={"told"}
        )
        return found

    def without_clocks(self, table: str, where: str = "true", also: Iterable[str] = ()) -> Counter[Any]:
        schema, name = table.split(".")
        columns = self.frame(
            "select column_name as c from information_schema.columns where table_schema = :schema "
            "and table_name = :name order by ordinal_position",
            schema=schema,
            name=name,
        )["c"]
        kept = [each for each in columns if each not in {*CLOCKS, *also}]
        return self.rows(f"(select {', '.join(kept)} from {table} where {where})", kept)


def differing(found: Mapping[str, Counter[Any]], told: Mapping[str, Counter[Any]]) -> list[str]:
    """Tables that do not hold the same rows, with some of what differs."""
    return [
        f"{name}: only here {list((found[name] - told[name]).elements())[:3]}, "
        f"only there {list((told[name] - found[name]).elements())[:3]}"
        for name in told
        if found[name] != told[name]
    ]


def by_file(name: str, **more: Any) -> dict[str, Any]:
    """The file of a destination that is fed by csv files with the columns event, at and id."""
    usual: dict[str, Any] = {
        "name": name,
        "timezone": "UTC",
        "grain": "event",
        "complete_after": "6h",
        "receives": {"sources": "all", "events": "all"},
        "export": {
            "files": f"../exports/{name}/*",
            "columns": {"event_name": "event", "event_time": "at", "message_id": "id"},
        },
    }
    return usual | more


def csv_of(deliveries: Iterable[Delivery], header: tuple[str, ...] = HEADER) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    for each in deliveries:
        assert each.event_time is not None
        writer.writerow([each.event_name, each.event_time.isoformat(sep=" "), each.message_id])
    return text.getvalue()


def messages(
    source: str, event: str, *, days: int, a_day: int, first: date = FIRST, start: int = 0
) -> list[Message]:
    """`a_day` messages of an event over each day, evenly through it, by a few people."""
    made = []
    for number in range(days * a_day):
        day, index = divmod(number, a_day)
        at = datetime.combine(first, datetime.min.time()) + timedelta(
            days=day, seconds=60 + index * (86_000 // a_day)
        )
        digest = f"{source}|{event}|{start + number}"
        made.append(
            Message(
                source=source,
                message_id=uuid_of(digest),
                event_text=event,
                received_at=at + timedelta(seconds=2),
                timestamp=at,
                sent_at=at,
                original_timestamp=at,
                user_id=uuid_of(f"person {index % 7}"),
                anonymous_id=uuid_of(f"device {index % 9}"),
            )
        )
    return made


def uuid_of(text: str) -> str:
    return str(UUID(hashlib.md5(text.encode("utf-8", "surrogatepass")).hexdigest(), version=4))


def delivered(project: ReconProject, rows: list[Message]) -> tuple[list[Delivery], list[Count]]:
    """What every destination holds when nothing is lost on the way."""
    deliveries: list[Delivery] = []
    counts: Counter[tuple[str, str, date]] = Counter()
    for destination in project.workspace.destinations:
        zone = ZoneInfo(destination.timezone)
        routes = (
            None if destination.events is None else {r.event: r.destination_name for r in destination.events}
        )
        for each in rows:
            if each.source not in destination.sources:
                continue
            if routes is not None and each.event_text not in routes:
                continue
            name = each.event_text if routes is None else routes[each.event_text]
            assert each.timestamp is not None
            local = each.timestamp.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
            if destination.grain == "daily_counts":
                counts[destination.name, name, local.date()] += 1
                continue
            deliveries.append(
                Delivery(destination.name, name, local, each.user_id, each.anonymous_id, each.message_id)
            )
    return deliveries, [Count(*key, number) for key, number in counts.items()]


def land_all(project: ReconProject, rows: list[Message]) -> None:
    """Land these messages, and in every destination what it was sent."""
    deliveries, counts = delivered(project, rows)
    project.land(rows, deliveries, counts)
