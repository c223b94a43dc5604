"""A folder of export files, a workspace that names them and a DuckDB file: what the landing tests work on."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import zstandard

from dagster_project.core.contracts import Columns, Destination, Export, Workspace
from dagster_project.flow.landing import LandedDestination, land_files
from dagster_project.resources.warehouse import Warehouse, open_warehouse

NOON = datetime(2026, 11, 22, 12)
HEADER = ("event", "at", "user", "anon", "id")
COLUMNS = Columns(event_name="event", event_time="at", user_id="user", anonymous_id="anon", message_id="id")
LANDED = ["event_name", "event_time", "user_id", "anonymous_id", "message_id"]


def events(name: str = "email", files: str = "exports/*", **changes: Any) -> Destination:
    """A destination of event grain whose files have the columns event, at, user, anon, id."""
    export = Export(files=files, columns=changes.pop("columns", COLUMNS), format=changes.pop("format", None))
    return Destination(name=name, export=export, **changes)


def daily_counts(name: str = "counts", files: str = "exports/*") -> Destination:
    columns = Columns(event_name="event", day="day", count="n")
    return Destination(
        name=name, grain="daily_counts", matching="counts", export=Export(files=files, columns=columns)
    )


class Desk:
    """One workspace over one folder; `land()` is one run of the landing."""

    def __init__(self, folder: Path, *destinations: Destination) -> None:
        self.root = folder / "expectations"
        (self.root / "exports").mkdir(parents=True)
        self.destinations = destinations or (events(),)
        self.warehouse: Warehouse = open_warehouse("duckdb", folder / "warehouse.duckdb", {})
        self._clock = 1_700_000_000

    @property
    def workspace(self) -> Workspace:
        return Workspace(name="acme", root=self.root, destinations=self.destinations)

    def path(self, name: str) -> Path:
        return self.root / "exports" / name

    def write(self, name: str, content: bytes | str) -> Path:
        """Put a file there, later than every file before it (file systems may count in whole ticks)."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self._clock += 60
        os.utime(path, (self._clock, self._clock))
        return path

    def land(self, run_id: str = "run", as_of: datetime = NOON) -> LandedDestination:
        return self.land_all(run_id, as_of)[0]

    def land_all(self, run_id: str = "run", as_of: datetime = NOON) -> list[LandedDestination]:
        return land_files(self.warehouse, self.workspace, as_of, run_id)

    def rows(self, columns: Sequence[str] = LANDED, destination: str | None = None) -> list[tuple[Any, ...]]:
        """Landed rows in the order of their files."""
        table = f"reconciliation_landing.{destination or self.destinations[0].name}"
        return plain(self.warehouse.frame(f"select {', '.join(columns)} from {table} order by _file, _row"))

    def names(self) -> list[str]:
        return [row[0] for row in self.rows(["event_name"])]

    def ledger(self) -> list[dict[str, Any]]:
        frame = self.warehouse.frame(
            "select * from reconciliation_work.landed_files order by destination, file"
        ).astype(object)
        return [
            {key: None if pd.isna(value) else value for key, value in row.items()}
            for row in frame.to_dict("records")
        ]

    def tables(self) -> list[Any]:
        """Everything that a run leaves behind, except which run it was."""
        landed = [
            self.rows([*LANDED, "day", '"count"', "_file", "_row"], each.name) for each in self.destinations
        ]
        return [*landed, [{**row, "run_id": None} for row in self.ledger()]]


def plain(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [
        tuple(None if pd.isna(value) else value for value in row)
        for row in frame.astype(object).itertuples(index=False, name=None)
    ]


def event(name: str = "Order Completed", number: int = 1) -> dict[str, str]:
    return {"event": name, "at": "2026-11-20T10:00:00Z", "user": "u1", "anon": "a1", "id": f"m{number}"}


def csv_text(rows: Iterable[Mapping[str, str]], header: Sequence[str] = HEADER) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def some_events(*names: str) -> str:
    """A good csv file with one delivery of each name."""
    return csv_text(event(name, number) for number, name in enumerate(names, start=1))


def gz(content: bytes | str) -> bytes:
    # mtime=0: the same content is the same file, whenever it was written.
    return gzip.compress(content.encode() if isinstance(content, str) else content, mtime=0)


def zst(content: bytes | str) -> bytes:
    return zstandard.compress(content.encode() if isinstance(content, str) else content)
