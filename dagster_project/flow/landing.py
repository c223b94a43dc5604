"""Lands export files in the warehouse, each once, and keeps a ledger of what landed and what could not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from dagster_project.core.contracts import Destination, Workspace
from dagster_project.core.presets import PRESETS
from dagster_project.resources.export_ahead import Ahead, processors
from dagster_project.resources.export_columns import (
    IDENTIFIERS,
    LOGICAL_COLUMNS,
    ExportFileError,
    Wanted,
    by_folders,
    shown,
)
from dagster_project.resources.export_files import find_files, read_batches, without_compression
from dagster_project.resources.export_place import ExportFile, FileProblem, OpenedFile, Seen
from dagster_project.resources.warehouse import Warehouse, WarehouseSession
from dagster_project.settings import Settings

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
    "etag": "varchar",  # an object store's own mark of a version
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
# Bytes of rows that are read before their turn, by all threads together.
_ROOM: Final = 64 << 20
# A request to an object store is waiting, not work: more of them go on at a time than there are processors.
_STORE_THREADS: Final = 8

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
    etag: str | None
    sha256: str | None
    row_count: int
    landed_at: datetime | None
    run_id: str
    status: Literal["ok", "broken"]
    columns_read: str
    problem: str | None = None
    next_step: str | None = None

    def looks_like(self, seen: Seen) -> bool:
        return (self.size, self.mtime, self.etag) == (seen.size, seen.mtime, seen.etag)


def land_files(
    warehouse: Warehouse,
    workspace: Workspace,
    as_of: datetime,
    run_id: str,
    progress: Progress | None = None,
    threads: int | None = None,
) -> list[LandedDestination]:
    """Bring the landing tables of all destinations with files up to what is there.

    Each file is landed in one transaction with its ledger entry, so a run that is killed leaves whole files
    behind and the next one goes on from there. A file that cannot be read keeps the rows of its last good
    version. Only the warehouse's own errors end the run. ``threads`` read and decode; what they say is the
    same for any number of them, ``RECON_THREADS`` by default.
    """
    threads = threads or Settings.from_environment().threads
    landing = [destination for destination in workspace.destinations if destination.export.files is not None]
    with warehouse.transaction() as session:
        session.ensure(LEDGER, LEDGER_COLUMNS)
        for destination in landing:
            session.ensure(f"{SCHEMA}.{destination.name}", LANDED_COLUMNS)
    now = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    return [
        _Landing(warehouse, workspace, destination, now, run_id, progress or _silent, threads).land()
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
    rows: int = 0  # of the tables, and their bytes; summed up here, for there are many small tables
    size: int = 0
    stale: list[str] = field(default_factory=list)  # files whose rows go away first
    entries: list[LedgerEntry] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)  # files whose ledger entries go away

    def add(self, table: pa.Table) -> None:
        self.tables.append(table)
        self.rows += table.num_rows
        self.size += table.nbytes

    @property
    def full(self) -> bool:
        changes = len(self.entries) + len(self.stale)
        return self.rows >= _CHUNK_ROWS or self.size >= _CHUNK_BYTES or changes >= _FILES_PER_TRANSACTION


@dataclass(frozen=True)
class _Piece:
    """What a thread hands over of a file: first how it was opened, then rows."""

    opened: OpenedFile | None = None
    rows: pa.Table | None = None

    @property
    def nbytes(self) -> int:
        return 0 if self.rows is None else int(self.rows.nbytes)


@dataclass(frozen=True)
class _Work:
    """A file that must be opened, for it is new or looks changed."""

    file: ExportFile
    seen: Seen
    entry: LedgerEntry | None  # what is known of it
    comparable: bool  # the entry's hash tells whether its rows are still right


class _Left:
    """Files of the ledger that are not there any more, until a file that is there takes their place."""

    def __init__(self, entries: list[LedgerEntry]) -> None:
        self._entries = {entry.file: entry for entry in entries}
        self._by_content: dict[str, list[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        for entry in entries:
            if entry.status == "ok" and entry.sha256:
                self._by_content.setdefault(entry.sha256, []).append(entry.file)
            self._by_name.setdefault(without_compression(entry.file), []).append(entry.file)

    def taken_over_by(self, name: str, sha256: str | None = None) -> list[str]:
        """Files that this one is in place of: of the same bytes, or of its name in another compression."""
        named = self._by_name.get(without_compression(name), [])
        taken = [file for file in (*self._by_content.get(sha256 or "", []), *named) if file in self._entries]
        return list(dict.fromkeys(taken))

    def remove(self, files: list[str]) -> None:
        for file in files:
            self._entries.pop(file, None)

    def __contains__(self, file: str) -> bool:
        return file in self._entries


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
        threads: int | None,
    ) -> None:
        assert destination.export.files is not None
        self._warehouse = warehouse
        self._root = workspace.root
        self._destination = destination.name
        self._pattern = destination.export.files
        self._threads = threads or (_STORE_THREADS if "://" in self._pattern else processors())
        self._table = f"{SCHEMA}.{destination.name}"
        self._wanted = wanted_columns(destination)
        self._columns_read = json.dumps(dict(self._wanted.columns), sort_keys=True, ensure_ascii=False)
        self._now = now
        self._run_id = run_id
        self._progress = progress
        self._pending = _Pending()
        self._known: dict[str, LedgerEntry] = {}
        self._left = _Left([])
        self._unchanged: list[str] = []  # files whose rows are landed and right
        self._new = self._changed = self._rows = 0
        self._problems: list[FileProblem] = []
        self._notes: list[FileProblem] = []

    def land(self) -> LandedDestination:
        try:
            files, unreachable = find_files(self._pattern, self._root)
        except ExportFileError as error:
            # Nothing is known of the files, so nothing is changed.
            problem = FileProblem(self._pattern, error.fact, error.next_step)
            return LandedDestination(self._destination, "broken", problems=[problem])
        self._known = self._ledger()
        here = {file.name for file in files} | {problem.file for problem in unreachable}
        if not here:
            return self._nothing_matches()
        self._left = _Left(
            [entry for entry in self._known.values() if entry.file not in here and entry.row_count]
        )
        for problem in unreachable:
            self._broken(problem.file, None, ExportFileError(problem.fact, problem.next_step, settled=False))
        work = list(self._to_open(files))
        with Ahead(
            work, self._pieces, threads=self._threads, room=_ROOM, weight=lambda piece: piece.nbytes
        ) as ahead:
            for number, (each, pieces) in enumerate(ahead, start=1):
                self._progress(
                    f"{self._destination}: file {number:,} of {len(work):,}, {shown(each.file.name)}"
                )
                self._take(each, pieces)
        self._drop_other_compressions()
        self._forget_broken_files_not_in(here)
        self._write()
        return LandedDestination(
            self._destination,
            "broken" if self._problems else "ok",
            self._new,
            self._changed,
            self._rows,
            sorted(self._problems, key=lambda problem: problem.file),
            self._notes,
        )

    def _nothing_matches(self) -> LandedDestination:
        kept = sum(entry.row_count for entry in self._known.values())
        landed = f"; the {kept:,} rows landed earlier stay" if kept else ""
        where = "" if "://" in self._pattern else f" in {self._root}"
        problem = FileProblem(
            self._pattern,
            f"no file matches {self._pattern!r}{where}{landed}",
            f"deliver the export there, or correct export.files in {self._wanted.contract}",
        )
        return LandedDestination(self._destination, "empty", problems=[problem])

    def _to_open(self, files: Sequence[ExportFile]) -> Iterator[_Work]:
        """The files that are new or look changed; what is wrong with the others is told again."""
        for file in files:
            entry = self._known.get(file.name)
            try:
                seen = file.look()
            except ExportFileError as error:
                self._broken(file.name, None, error)
                continue
            comparable = entry is not None and entry.columns_read == self._columns_read and bool(entry.sha256)
            if entry is not None and comparable and entry.looks_like(seen):
                self._still(entry)
            else:
                yield _Work(file, seen, entry, comparable)

    def _pieces(self, work: _Work) -> Generator[_Piece, None, None]:
        """What a thread reads of a file: how it was opened, then its rows unless they have landed already."""
        with work.file.opened() as opened:
            yield _Piece(opened=opened)
            if work.comparable and work.entry is not None and work.entry.sha256 == opened.sha256:
                return
            for rows in _chunks(_reading(opened, work.file, self._wanted)):
                yield _Piece(rows=rows)
            opened.must_be_unchanged()

    def _take(self, work: _Work, pieces: Iterator[_Piece]) -> None:
        """Land what was read of a file; tell what is wrong with it otherwise."""
        seen, sha256 = work.seen, None
        try:
            opened = next(pieces).opened
            assert opened is not None
            seen, sha256 = opened.seen, opened.sha256
            if work.comparable and work.entry is not None and work.entry.sha256 == sha256:
                same = replace(work.entry, size=seen.size, mtime=seen.mtime, etag=seen.etag)
                self._pending.entries.append(same)
                self._still(same)
            else:
                chunks = (piece.rows for piece in pieces if piece.rows is not None)
                self._read(work, opened, chunks)
        except ExportFileError as error:
            self._broken(work.file.name, seen, error, sha256)
        if self._pending.full:
            self._write()

    def _still(self, entry: LedgerEntry) -> None:
        if entry.status == "broken":
            self._problems.append(FileProblem(entry.file, entry.problem or "", entry.next_step or ""))
        else:
            self._unchanged.append(entry.file)

    def _read(self, work: _Work, opened: OpenedFile, chunks: Iterator[pa.Table]) -> None:
        """Land the rows of a file in place of those that it had, or that a file which left had."""
        name = work.file.name
        # A file that was renamed, packed otherwise, or found by a corrected glob is not landed twice.
        moved = self._left.taken_over_by(name, opened.sha256)
        first, second = next(chunks, None), next(chunks, None)
        if second is None:
            rows = 0 if first is None else first.num_rows
            if first is not None:
                self._pending.add(_numbered(first, name, 0))
            self._pending.stale += [name, *moved]
            self._pending.entries.append(self._landed(name, opened, rows))
            self._pending.forgotten += moved
        else:
            assert first is not None
            rows = self._stream(name, opened, itertools.chain((first, second), chunks), moved)
        self._left.remove(moved)
        if moved or (work.entry is not None and (work.entry.status == "ok" or work.entry.row_count)):
            self._changed += 1
        else:
            self._new += 1
        self._rows += rows
        if not rows:
            self._notes.append(
                FileProblem(name, "it holds no rows", "nothing to do, unless rows were expected in it")
            )

    def _stream(self, name: str, opened: OpenedFile, chunks: Iterator[pa.Table], moved: list[str]) -> int:
        """A file that does not fit in one piece: written while it is read, undone when its end is bad."""
        rows = 0
        with self._warehouse.transaction() as session:
            self._delete_rows(session, [name, *moved])
            for chunk in chunks:
                session.append_arrow(self._table, _numbered(chunk, name, rows))
                rows += chunk.num_rows
                self._progress(f"{self._destination}: {shown(name)}, {rows:,} rows")
            self._record(session, [self._landed(name, opened, rows)], moved)
        return rows

    def _drop_other_compressions(self) -> None:
        """Drop the rows of a file that left while the same one, packed otherwise, is there and has landed.

        For a while both were there, and both have landed then.
        """
        for name in self._unchanged:
            gone = self._left.taken_over_by(name)
            self._pending.stale += gone
            self._pending.forgotten += gone
            self._left.remove(gone)

    def _broken(
        self, name: str, seen: Seen | None, error: ExportFileError, sha256: str | None = None
    ) -> None:
        self._problems.append(FileProblem(name, error.fact, error.next_step))
        known = self._known.get(name)
        entry = LedgerEntry(
            file=name,
            size=seen.size if seen else None,
            mtime=seen.mtime if seen else None,
            etag=seen.etag if seen else None,
            sha256=sha256 if error.settled else None,
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
                if entry.file not in self._left:
                    continue  # another file is in its place now
                blank = replace(entry, size=None, mtime=None, etag=None, sha256=None, status="ok")
                self._pending.entries.append(replace(blank, problem=None, next_step=None))
            else:
                self._pending.forgotten.append(entry.file)

    # The tables.

    def _landed(self, name: str, opened: OpenedFile, rows: int) -> LedgerEntry:
        return LedgerEntry(
            file=name,
            size=opened.seen.size,
            mtime=opened.seen.mtime,
            etag=opened.seen.etag,
            sha256=opened.sha256,
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
                session.append_arrow(self._table, pa.concat_tables(pending.tables))
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
                etag=_text(row["etag"]),
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


def _reading(opened: OpenedFile, file: ExportFile, wanted: Wanted) -> Iterator[pa.Table]:
    """The batches of a file; whatever goes wrong in reading concerns that file alone."""
    here = replace(wanted, of_folders=by_folders(file.folders, wanted))
    try:
        yield from read_batches(opened.handle, file.name, opened.seen.size, here)
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
