"""Lands export files in the warehouse, each once, and keeps a ledger of what landed and what could not."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from dagster_project.core.contracts import Destination, Workspace
from dagster_project.core.presets import PRESETS
from dagster_project.resources.export_columns import (
    IDENTIFIERS,
    LOGICAL_COLUMNS,
    ExportFileError,
    Wanted,
    shown,
)
from dagster_project.resources.export_files import ExportFile, FileProblem, find_files, read_batches
from dagster_project.resources.warehouse import Warehouse, WarehouseSession

SCHEMA: Final = "reconciliation_landing"
LEDGER: Final = "reconciliation_work.landed_files"

LANDED_COLUMNS: Final[Mapping[str, str]] = {
    **dict.fromkeys(LOGICAL_COLUMNS, "varchar"),
    "_file": "varchar",
    "_row": "bigint",
}
LEDGER_COLUMNS: Final[Mapping[str, str]] = {
    "destination": "varchar",
    "file": "varchar",
    "size": "bigint",
    "mtime": "timestamp",
    "sha256": "varchar",  # null: nothing is known about the content, look again
    "row_count": "bigint",  # rows that the landing table holds of this file; ROWS is reserved on Snowflake
    "landed_at": "timestamp",
    "run_id": "varchar",
    "status": "varchar",  # ok | broken
    "problem": "varchar",
    "next_step": "varchar",
    "columns_read": "varchar",  # JSON; a contract that names other columns reads the file again
}

# What is held in memory at a time, and so what one insert carries.
_CHUNK_ROWS: Final = 200_000
_CHUNK_BYTES: Final = 128 << 20
# A transaction costs tens of milliseconds; exports of a file every five minutes come by the thousands.
_FILES_PER_TRANSACTION: Final = 500
_LAST_MICROSECOND: Final = 253_402_300_799_000_000  # year 9999
_EPOCH: Final = datetime(1970, 1, 1)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class LandedDestination:
    """What one run did with the files of one destination."""

    destination: str
    status: Literal["ok", "broken", "empty"]  # broken: some file could not be landed; empty: no file matches
    files_new: int = 0
    files_changed: int = 0
    rows: int = 0  # landed by this run
    problems: list[FileProblem] = field(default_factory=list)
    notes: list[FileProblem] = field(default_factory=list)  # worth saying, nothing is wrong


@dataclass(frozen=True)
class LedgerEntry:
    """What is known of one file: its row of the ledger."""

    file: str
    size: int | None
    mtime: datetime | None
    sha256: str | None
    row_count: int
    landed_at: datetime | None
    run_id: str
    status: Literal["ok", "broken"]
    columns_read: str
    problem: str | None = None
    next_step: str | None = None


def land_files(
    warehouse: Warehouse,
    workspace: Workspace,
    as_of: datetime,
    run_id: str,
    progress: Progress | None = None,
) -> list[LandedDestination]:
    """Bring the landing tables of all destinations with files up to what is on disk.

    Each file is landed in one transaction with its ledger entry, so a run that is killed leaves whole files
    behind and the next one goes on from there. A file that cannot be read keeps the rows of its last good
    version. Only the warehouse's own errors end the run.
    """
    landing = [destination for destination in workspace.destinations if destination.export.files is not None]
    with warehouse.transaction() as session:
        session.ensure(LEDGER, LEDGER_COLUMNS)
        for destination in landing:
            session.ensure(f"{SCHEMA}.{destination.name}", LANDED_COLUMNS)
    now = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    return [
        _Landing(warehouse, workspace, destination, now, run_id, progress or _silent).land()
        for destination in landing
    ]


def wanted_columns(destination: Destination) -> Wanted:
    """Which columns the files of a destination must and may have.

    What the grain and the matching need is required. An identifier that only the preset names may be absent:
    not every export of a tool has every column.
    """
    columns = destination.export.columns
    counts = destination.grain == "daily_counts"
    of_grain = ("event_name", "day", "count") if counts else ("event_name", "event_time")
    read = of_grain if counts else (*of_grain, *IDENTIFIERS)
    named = {logical: name for logical in read if (name := getattr(columns, logical)) is not None}
    preset = PRESETS.get(destination.export.format) if destination.export.format else None
    explicit = {
        logical for logical, name in named.items() if not preset or getattr(preset.columns, logical) != name
    }
    required = set(of_grain)
    one_of: set[str] = set()
    if not counts and destination.matching == "message_id":
        required.add("message_id")
    if not counts and destination.matching == "user_time":
        one_of = {"user_id", "anonymous_id"} & named.keys()
    return Wanted(
        columns=named,
        required=frozenset(required & named.keys()),
        explicit=frozenset(explicit),
        one_of=frozenset(one_of),
        contract=f"destinations/{destination.name}.yml",
    )


def _silent(message: str) -> None:
    return None


@dataclass
class _Pending:
    """Changes that are written together: small files whose rows are already read, and ledger entries."""

    tables: list[pa.Table] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)  # files whose rows go away first
    entries: list[LedgerEntry] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)  # files whose ledger entries go away

    @property
    def full(self) -> bool:
        return (
            sum(table.num_rows for table in self.tables) >= _CHUNK_ROWS
            or sum(table.nbytes for table in self.tables) >= _CHUNK_BYTES
            or len(self.entries) + len(self.stale) >= _FILES_PER_TRANSACTION
        )


class _Landing:
    """The work on one destination in one run."""

    def __init__(
        self,
        warehouse: Warehouse,
        workspace: Workspace,
        destination: Destination,
        now: datetime,
        run_id: str,
        progress: Progress,
    ) -> None:
        assert destination.export.files is not None
        self._warehouse = warehouse
        self._root = workspace.root
        self._destination = destination.name
        self._pattern = destination.export.files
        self._table = f"{SCHEMA}.{destination.name}"
        self._wanted = wanted_columns(destination)
        self._columns_read = json.dumps(dict(self._wanted.columns), sort_keys=True, ensure_ascii=False)
        self._now = now
        self._run_id = run_id
        self._progress = progress
        self._pending = _Pending()
        self._known: dict[str, LedgerEntry] = {}
        self._gone: dict[str, list[str]] = {}  # content -> files with it that were landed and left the disk
        self._new = self._changed = self._rows = 0
        self._problems: list[FileProblem] = []
        self._notes: list[FileProblem] = []

    def land(self) -> LandedDestination:
        files, unreachable = find_files(self._pattern, self._root)
        self._known = self._ledger()
        here = {file.name for file in files} | {problem.file for problem in unreachable}
        if not here:
            return self._nothing_matches()
        for entry in self._known.values():
            if entry.file not in here and entry.status == "ok" and entry.sha256 and entry.row_count:
                self._gone.setdefault(entry.sha256, []).append(entry.file)
        for problem in unreachable:
            self._broken(problem.file, None, ExportFileError(problem.fact, problem.next_step, settled=False))
        for number, file in enumerate(files, start=1):
            self._progress(f"{self._destination}: file {number:,} of {len(files):,}, {shown(file.name)}")
            self._look_at(file)
        self._forget_broken_files_not_in(here)
        self._write()
        return LandedDestination(
            self._destination,
            "broken" if self._problems else "ok",
            self._new,
            self._changed,
            self._rows,
            self._problems,
            self._notes,
        )

    def _nothing_matches(self) -> LandedDestination:
        kept = sum(entry.row_count for entry in self._known.values())
        landed = f"; the {kept:,} rows landed earlier stay" if kept else ""
        problem = FileProblem(
            self._pattern,
            f"no file matches {self._pattern!r} in {self._root}{landed}",
            f"deliver the export there, or correct export.files in {self._wanted.contract}",
        )
        return LandedDestination(self._destination, "empty", problems=[problem])

    def _look_at(self, file: ExportFile) -> None:
        """Land the file when it is new or its content changed; tell what is wrong with it otherwise."""
        entry = self._known.get(file.name)
        seen: _Seen | None = None
        try:
            seen = _Seen.of(file.path)
            comparable = entry is not None and entry.columns_read == self._columns_read and entry.sha256
            if entry and comparable and (entry.size, entry.mtime) == (seen.size, seen.mtime):
                self._still(entry)
                return
            with _opened(file.path) as handle:
                seen = _Seen.of(handle.fileno())
                seen.sha256 = _sha256(handle)
                if entry and comparable and entry.sha256 == seen.sha256:
                    self._pending.entries.append(replace(entry, size=seen.size, mtime=seen.mtime))
                    self._still(entry)
                else:
                    self._read(file.name, handle, seen)
        except ExportFileError as error:
            self._broken(file.name, seen, error)
        if self._pending.full:
            self._write()

    def _still(self, entry: LedgerEntry) -> None:
        if entry.status == "broken":
            self._problems.append(FileProblem(entry.file, entry.problem or "", entry.next_step or ""))

    def _read(self, name: str, handle: BinaryIO, seen: _Seen) -> None:
        """Land the rows of a file in place of those that it had."""
        # A file that was renamed, or that a corrected glob finds under another name, is not landed twice.
        moved = self._gone.pop(seen.sha256 or "", [])
        chunks = _chunks(_reading(handle, name, seen.size, self._wanted))
        try:
            first, second = next(chunks, None), next(chunks, None)
            if second is None:
                rows = 0 if first is None else first.num_rows
                seen.must_be_unchanged(handle)
                if first is not None:
                    self._pending.tables.append(_numbered(first, name, 0))
                self._pending.stale += [name, *moved]
                self._pending.entries.append(self._landed(name, seen, rows))
                self._pending.forgotten += moved
            else:
                assert first is not None
                rows = self._stream(name, handle, seen, itertools.chain((first, second), chunks), moved)
        except ExportFileError:
            if moved:
                self._gone[seen.sha256 or ""] = moved
            raise
        known = self._known.get(name)
        if moved or (known is not None and (known.status == "ok" or known.row_count)):
            self._changed += 1
        else:
            self._new += 1
        self._rows += rows
        if not rows:
            self._notes.append(
                FileProblem(name, "it holds no rows", "nothing to do, unless rows were expected in it")
            )

    def _stream(
        self, name: str, handle: BinaryIO, seen: _Seen, chunks: Iterator[pa.Table], moved: list[str]
    ) -> int:
        """A file that does not fit in one piece: written while it is read, undone when its end is bad."""
        rows = 0
        with self._warehouse.transaction() as session:
            self._delete_rows(session, [name, *moved])
            for chunk in chunks:
                session.append(self._table, _numbered(chunk, name, rows).to_pandas())
                rows += chunk.num_rows
                self._progress(f"{self._destination}: {shown(name)}, {rows:,} rows")
            seen.must_be_unchanged(handle)
            self._record(session, [self._landed(name, seen, rows)], moved)
        return rows

    def _broken(self, name: str, seen: _Seen | None, error: ExportFileError) -> None:
        self._problems.append(FileProblem(name, error.fact, error.next_step))
        known = self._known.get(name)
        entry = LedgerEntry(
            file=name,
            size=seen.size if seen else None,
            mtime=seen.mtime if seen else None,
            sha256=seen.sha256 if seen and error.settled else None,
            # The last good version stays in the landing table.
            row_count=known.row_count if known else 0,
            landed_at=known.landed_at if known else None,
            run_id=self._run_id,
            status="broken",
            columns_read=self._columns_read,
            problem=error.fact,
            next_step=error.next_step,
        )
        if known is None or replace(known, run_id=self._run_id) != entry:
            self._pending.entries.append(entry)

    def _forget_broken_files_not_in(self, here: set[str]) -> None:
        """A broken file that was taken away is no problem any more; rows of its last good version stay."""
        for entry in self._known.values():
            if entry.file in here or entry.status != "broken":
                continue
            if entry.row_count:
                blank = replace(entry, size=None, mtime=None, sha256=None, status="ok")
                self._pending.entries.append(replace(blank, problem=None, next_step=None))
            else:
                self._pending.forgotten.append(entry.file)

    # The tables.

    def _landed(self, name: str, seen: _Seen, rows: int) -> LedgerEntry:
        return LedgerEntry(
            file=name,
            size=seen.size,
            mtime=seen.mtime,
            sha256=seen.sha256,
            row_count=rows,
            landed_at=self._now,
            run_id=self._run_id,
            status="ok",
            columns_read=self._columns_read,
        )

    def _write(self) -> None:
        """Everything pending, in one transaction."""
        pending, self._pending = self._pending, _Pending()
        if not (pending.entries or pending.forgotten):
            return
        with self._warehouse.transaction() as session:
            self._delete_rows(session, pending.stale)
            if pending.tables:
                session.append(self._table, pa.concat_tables(pending.tables).to_pandas())
            self._record(session, pending.entries, pending.forgotten)

    def _delete_rows(self, session: WarehouseSession, files: list[str]) -> None:
        for start in range(0, len(files), _FILES_PER_TRANSACTION):
            session.execute(
                f"delete from {self._table} where _file in :files",
                files=files[start : start + _FILES_PER_TRANSACTION],
            )

    def _record(self, session: WarehouseSession, entries: list[LedgerEntry], forgotten: list[str]) -> None:
        names = [entry.file for entry in entries] + forgotten
        for start in range(0, len(names), _FILES_PER_TRANSACTION):
            session.execute(
                f"delete from {LEDGER} where destination = :destination and file in :files",
                destination=self._destination,
                files=names[start : start + _FILES_PER_TRANSACTION],
            )
        rows = pd.DataFrame([{"destination": self._destination, **asdict(entry)} for entry in entries])
        if entries:
            for column, kind in LEDGER_COLUMNS.items():
                rows[column] = rows[column].astype("datetime64[us]" if kind == "timestamp" else object)
            session.append(LEDGER, rows[list(LEDGER_COLUMNS)])

    def _ledger(self) -> dict[str, LedgerEntry]:
        rows = self._warehouse.frame(
            f"select {', '.join(LEDGER_COLUMNS)} from {LEDGER} where destination = :destination",
            destination=self._destination,
        )
        entries = (
            LedgerEntry(
                file=row["file"],
                size=None if pd.isna(row["size"]) else int(row["size"]),
                mtime=_time(row["mtime"]),
                sha256=_text(row["sha256"]),
                row_count=int(row["row_count"]),
                landed_at=_time(row["landed_at"]),
                run_id=row["run_id"],
                status=row["status"],
                columns_read=row["columns_read"],
                problem=_text(row["problem"]),
                next_step=_text(row["next_step"]),
            )
            for row in rows.to_dict("records")
        )
        return {entry.file: entry for entry in entries}


@dataclass
class _Seen:
    """A file as it was when it was opened."""

    size: int
    mtime: datetime
    mtime_ns: int
    sha256: str | None = None

    @classmethod
    def of(cls, file: Path | int) -> _Seen:
        try:
            status = os.fstat(file) if isinstance(file, int) else file.stat()
        except OSError as error:
            raise _unreadable(error) from error
        # Microseconds since 1970, as finely as the warehouse keeps it.
        since = min(status.st_mtime_ns // 1000, _LAST_MICROSECOND)
        return cls(status.st_size, _EPOCH + timedelta(microseconds=since), status.st_mtime_ns)

    def must_be_unchanged(self, handle: BinaryIO) -> None:
        now = os.fstat(handle.fileno())
        if (now.st_size, now.st_mtime_ns) != (self.size, self.mtime_ns):
            raise ExportFileError(
                "it was being written while it was read",
                "nothing to do if the upload goes on: the next run reads it again",
                settled=False,
            )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        handle = path.open("rb")
    except OSError as error:
        raise _unreadable(error) from error
    with handle:
        yield handle


def _sha256(handle: BinaryIO) -> str:
    try:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()  # type: ignore[arg-type]
        handle.seek(0)
    except OSError as error:
        raise _unreadable(error) from error
    return digest


def _unreadable(error: OSError) -> ExportFileError:
    return ExportFileError(
        f"it cannot be read ({error.strerror or error})",
        "let the job read it (owner, permissions, mount); the next run tries again",
        settled=False,
    )


def _reading(handle: BinaryIO, name: str, size: int, wanted: Wanted) -> Iterator[pa.Table]:
    """The batches of a file; whatever goes wrong in reading concerns that file alone."""
    try:
        yield from read_batches(handle, name, size, wanted)
    except (ExportFileError, GeneratorExit):
        raise
    except Exception as error:
        raise ExportFileError(
            f"reading it failed unexpectedly ({type(error).__name__}: {str(error)[:200]!r})",
            "export it again; if that fails too, report this message",
            settled=False,
        ) from error


def _chunks(batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Batches put together up to what one insert carries."""
    held: list[pa.Table] = []
    rows = size = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
            yield pa.concat_tables(held)
            held, rows, size = [], 0, 0
    if rows:
        yield pa.concat_tables(held)


def _numbered(table: pa.Table, name: str, before: int) -> pa.Table:
    """The rows with where they come from: the file, and their place in it counted from 1."""
    files = pa.repeat(pa.scalar(name, pa.large_string()), table.num_rows)
    places = pa.array(np.arange(before + 1, before + table.num_rows + 1))
    return table.append_column("_file", files).append_column("_row", places)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: Any) -> datetime | None:
    return None if pd.isna(value) else pd.Timestamp(value).to_pydatetime()
