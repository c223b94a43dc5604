"""A whole reconciliation in a temporary folder: rows in, real dbt on a DuckDB file, frames out."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Final

import pandas as pd

from dagster_project.core.contracts import Workspace
from dagster_project.core.load import load_workspace
from dagster_project.core.oracle import Books, Cell, Count, Delivery, Message, reconcile
from dagster_project.core.slug import slug
from dagster_project.flow import diagnosed, exported, gated, judged, matched, normalised, published, sources
from dagster_project.flow.context import RunContext
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import Warehouse, open_warehouse

DBT: Final = Path(__file__).parents[1] / "dbt"
WORK: Final = "reconciliation_work"
# Judging changes no evidence, and importing Great Expectations takes seconds: only when it is asked for.
STAGES: Final = {
    "sources": sources.read_sources,
    "exported": exported.read_exports,
    "normalised": normalised.normalise,
    "matched": matched.match,
    "diagnosed": diagnosed.diagnose_window,
    "judged": judged.judge_window,
    "gated": gated.gate,
    "published": published.publish,
}
_TRACKS: Final = {
    "id": "varchar",
    "event_text": "varchar",
    "event": "varchar",
    "user_id": "varchar",
    "anonymous_id": "varchar",
    "received_at": "timestamp",
    "sent_at": "timestamp",
    "original_timestamp": "timestamp",
    "timestamp": "timestamp",
}
# What says which run it was, of how many, and where rows lay when they were read.
_OF_THE_RUN: Final = ("run_id", "epoch", "ended", "read_epoch", "landed_position")
_EVENTS: Final = {
    "event_name": "varchar",
    "event_time": "timestamp",
    "user_id": "varchar",
    "anonymous_id": "varchar",
    "message_id": "varchar",
}
_COUNTS: Final = {"event_name": "varchar", "day": "date", "count": "bigint"}
CONSENT: Final = "context_consent_category_preferences_"


class Killed(Exception):
    """A run that was ended from outside after one of its stages."""


class ParsedOnce(DbtProject):
    """A dbt project that another one of this process with the same files spares the parsing: 1.8 s each."""

    _parsed_of: ClassVar[dict[str, bytes]] = {}

    def manifest(self) -> Any:
        if self._manifest is None:
            files = sorted(each for each in self.rendered.rglob("*") if each.suffix in (".sql", ".yml"))
            digest = sha256()
            for each in files:
                if "target" not in each.relative_to(self.rendered).parts:
                    digest.update(
                        f"{each.relative_to(self.rendered)}\x1f{each.read_text('utf-8')}\x1e".encode()
                    )
            key = digest.hexdigest()
            if key in self._parsed_of:
                self._parsed.parent.mkdir(exist_ok=True)
                self._parsed.write_bytes(self._parsed_of[key])
                note = {"inputs": self._parse_inputs(), "parsed": sha256(self._parsed_of[key]).hexdigest()}
                self._parse_note.write_text(json.dumps(note), "utf-8")
            super().manifest()
            self._parsed_of[key] = self._parsed.read_bytes()
        return self._manifest


def write_expectations(folder: Path, contract: Mapping[str, Any]) -> Path:
    """`expectations/` files of a contract: the keys of workspace.yml, and `destinations`, a list of theirs.

    JSON is YAML, and its quoting leaves no doubt about hostile names.
    """
    (folder / "destinations").mkdir(parents=True, exist_ok=True)
    top = {key: value for key, value in contract.items() if key != "destinations"}
    (folder / "workspace.yml").write_text(json.dumps(top, indent=1, ensure_ascii=False), "utf-8")
    for destination in contract["destinations"]:
        text = json.dumps(destination, indent=1, ensure_ascii=False)
        (folder / "destinations" / f"{destination['name']}.yml").write_text(text, "utf-8")
    return folder


@dataclass
class ReconProject:
    """One workspace with its warehouse, dbt project and state, all below `folder`."""

    folder: Path
    workspace: Workspace
    warehouse: Warehouse
    dbt: DbtProject
    runs: int = 0
    limits: dict[str, int] = field(default_factory=dict)  # step_rows, grown_from of its runs
    landed: dict[str, list[Any]] = field(default_factory=dict)
    _kept: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def build(cls, folder: Path, contract: Mapping[str, Any]) -> ReconProject:
        """A project of this contract that has landed nothing yet."""
        workspace = load_workspace(write_expectations(folder / "expectations", contract))
        path = folder / "warehouse.duckdb"
        environment = {
            "RECON_TARGET": "duckdb",
            "RECON_DUCKDB_PATH": str(path),
            # dbt's artifacts on disk are a fifth of a small run's time, and nothing here reads them.
            "DBT_WRITE_JSON": "0",
        }
        project = cls(
            folder,
            workspace,
            open_warehouse("duckdb", path, {}),
            ParsedOnce(DBT, folder / "state" / "dbt", environment),
        )
        project.land([], [], [])
        return project

    def land(
        self, messages: Iterable[Message], deliveries: Iterable[Delivery], counts: Iterable[Count] = ()
    ) -> None:
        """Make these rows the ones that Segment and the exports hold; what was there before is gone."""
        with self.warehouse.held():  # opening and closing the file for each table took longer than writing it
            self._land(messages, deliveries, counts)

    def _land(
        self, messages: Iterable[Message], deliveries: Iterable[Delivery], counts: Iterable[Count]
    ) -> None:
        self.landed = {
            "messages": list(messages),
            "deliveries": list(deliveries),
            "counts": list(counts),
        }
        categories = sorted({each.consent for each in self.workspace.destinations if each.consent})
        consents = {CONSENT + slug(category): category for category in categories}
        for source in self.workspace.sources:
            rows = [
                {
                    "id": each.message_id,
                    "event_text": each.event_text,
                    "event": slug(each.event_text),
                    **{name: getattr(each, name) for name in list(_TRACKS)[3:]},
                    **{column: category not in each.refused for column, category in consents.items()},
                }
                for each in self.landed["messages"]
                if each.source == source.name
            ]
            columns = _TRACKS | dict.fromkeys(consents, "boolean")
            self._replace(f"{source.schema_name}.tracks", rows, columns)
        for destination in self.workspace.destinations:
            assert destination.export.table is not None
            if destination.grain == "event":
                rows = [
                    {name: getattr(each, name) for name in _EVENTS}
                    for each in self.landed["deliveries"]
                    if each.destination == destination.name
                ]
                self._replace(destination.export.table, rows, _EVENTS)
            else:
                rows = [
                    {"event_name": each.event_name, "day": each.day, "count": each.messages}
                    for each in self.landed["counts"]
                    if each.destination == destination.name
                ]
                self._replace(destination.export.table, rows, _COUNTS)

    def land_more(self, messages: Iterable[Message], deliveries: Iterable[Delivery]) -> None:
        """Append these rows to what Segment and the exports hold, as a loader does."""
        with self.warehouse.held():
            self._land_more(messages, deliveries)

    def _land_more(self, messages: Iterable[Message], deliveries: Iterable[Delivery]) -> None:
        more = {"messages": list(messages), "deliveries": list(deliveries)}
        for source in self.workspace.sources:
            rows = [
                {
                    "id": each.message_id,
                    "event_text": each.event_text,
                    "event": slug(each.event_text),
                    **{name: getattr(each, name) for name in list(_TRACKS)[3:]},
                }
                for each in more["messages"]
                if each.source == source.name
            ]
            self.warehouse.append(f"{source.schema_name}.tracks", self._table(rows, _TRACKS))
        for destination in self.workspace.destinations:
            rows = [
                {name: getattr(each, name) for name in _EVENTS}
                for each in more["deliveries"]
                if each.destination == destination.name
            ]
            if rows:
                self.warehouse.append(str(destination.export.table), self._table(rows, _EVENTS))
        for kind, rows_of_kind in more.items():
            self.landed[kind] += rows_of_kind

    def _replace(self, table: str, rows: list[dict[str, Any]], columns: Mapping[str, str]) -> None:
        self.warehouse.replace(table, self._table(rows, columns), columns)

    @staticmethod
    def _table(rows: list[dict[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
        frame = pd.DataFrame(rows, columns=list(columns), dtype=object)
        for name, kind in columns.items():
            if kind in ("timestamp", "date"):
                frame[name] = pd.to_datetime(frame[name]).astype("datetime64[us]")
        return frame.where(frame.notna(), None)

    def run(
        self,
        as_of: datetime,
        from_day: date | None = None,
        to_day: date | None = None,
        *,
        judge: bool = False,
        until: str = "published",
        kill_after: str | None = None,
        run_id: str | None = None,
    ) -> dict[str, Any]:
        """Every stage up to `until`, in order; what each returned. `kill_after` raises :class:`Killed`."""
        self.runs += 1
        context = RunContext(
            workspace=self.workspace,
            warehouse=self.warehouse,
            dbt=self.dbt,
            expectations_dir=self.folder / "expectations",
            state_dir=self.folder / "state",
            run_id=run_id or f"run_{self.runs}",
            as_of=as_of,
            from_day=from_day,
            to_day=to_day,
            **self.limits,
        )
        with self.warehouse.held():
            return self._stages(context, judge, until, kill_after)

    def _stages(self, context: RunContext, judge: bool, until: str, kill_after: str | None) -> dict[str, Any]:
        if not judge:
            self.warehouse.ensure(judged.CHECK_RESULTS, judged.CHECK_RESULTS_COLUMNS)
        returned = {}
        for name, stage in STAGES.items():
            if name != "judged" or judge:
                returned[name] = stage(context)
            if name == kill_after:
                raise Killed(name)
            if name == until:
                break
        return returned

    def keep(self) -> None:
        """Keep the warehouse as it is now, for :meth:`back`."""
        shutil.copy(self.folder / "warehouse.duckdb", self.folder / "kept.duckdb")
        self._kept = {kind: list(rows) for kind, rows in self.landed.items()}

    def back(self) -> None:
        """Everything as it was when it was kept."""
        shutil.copy(self.folder / "kept.duckdb", self.folder / "warehouse.duckdb")
        self.landed = {kind: list(rows) for kind, rows in self._kept.items()}

    def frame(self, sql: str, **params: Any) -> pd.DataFrame:
        return self.warehouse.frame(sql, **params)

    def rows(self, table: str, columns: Sequence[str] | None = None) -> Counter[tuple[Any, ...]]:
        """The rows of a table as a bag of tuples, days as dates and nothing as None."""
        frame = self.warehouse.frame(f"select {', '.join(columns) if columns else '*'} from {table}")
        return Counter(
            tuple(map(plain, row)) for row in frame.astype(object).itertuples(index=False, name=None)
        )

    def tables(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """Every table that a run leaves behind, but for which run it was, of how many, and where its rows landed.

        A day that is read again knows where its rows lie now, one that stays as it was need not.
        """
        with self.warehouse.held():
            return self._tables()

    def _tables(self) -> dict[str, Counter[tuple[Any, ...]]]:
        columns = self.warehouse.frame(
            "select table_schema || '.' || table_name as name, column_name as held "
            "from information_schema.columns where table_schema like 'reconciliation%' "
            "order by 1, ordinal_position"
        )
        found = {}
        for name, held in columns.groupby("name")["held"]:
            kept = [each for each in held if each not in _OF_THE_RUN]
            if kept and not name.startswith(f"{WORK}.stg_"):
                found[str(name)] = self.rows(str(name), kept)
        return found

    def expected(self, as_of: datetime) -> Books:
        """What the reference matcher makes of the rows that are landed now."""
        return reconcile(
            self.workspace,
            self.landed["messages"],
            self.landed["deliveries"],
            self.landed["counts"],
            as_of,
        )

    def books(self) -> Books:
        """What the SQL models made of them, in the reference's shape (without its single outcomes)."""
        books = Books()
        columns = [*("expected", "delivered", "missing", "pending", "duplicates", "unexpected")]
        columns += ["matched_by", "mature", "exported"]
        for row in self.rows(f"{WORK}.int_cells_daily", ["day", "destination", "event", *columns]).elements():
            assert row[:3] not in books.cells, f"two cells of {row[:3]}"
            books.cells[row[:3]] = Cell(*row[3:])
        for table, names, bag in (
            (
                f"{WORK}.int_not_expected_daily",
                ["day", "destination", "source", "event", "reason", "messages"],
                books.not_expected,
            ),
            (
                f"{WORK}.int_delivery_names_daily",
                ["day", "destination", "event_name", "event", "deliveries"],
                books.delivery_names,
            ),
            (
                "reconciliation.message_differences",
                ["destination", "day", "source", "event", "message_id", "difference", "messages"],
                books.differences,
            ),
        ):
            for row in self.rows(table, names).elements():
                bag[row[:-1]] += row[-1]
        return books


def plain(value: Any) -> Any:
    """A cell of a frame as Python writes it; a timestamp at midnight is taken for the day that it was."""
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, datetime):
        moment = value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
        return moment.date() if moment.time() == time() else moment
    return value.item() if hasattr(value, "item") else value
