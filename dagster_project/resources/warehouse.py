"""The warehouse behind one small interface: SQLAlchemy over an embedded DuckDB file or over Snowflake."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from duckdb_engine import ConnectionWrapper
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from dagster_project.resources.query_tag import query_tag

logger = logging.getLogger(__name__)

# Logical column types and what each engine calls them. Counts are bigint and text is varchar everywhere.
TYPES: dict[str, dict[str, str]] = {
    "duckdb": {
        "varchar": "VARCHAR",
        "bigint": "BIGINT",
        "double": "DOUBLE",
        "boolean": "BOOLEAN",
        "date": "DATE",
        "timestamp": "TIMESTAMP",
        "key": "UBIGINT",
    },
    "snowflake": {
        "varchar": "VARCHAR",
        "bigint": "BIGINT",
        "double": "DOUBLE",
        "boolean": "BOOLEAN",
        "date": "DATE",
        "timestamp": "TIMESTAMP_NTZ",
        "key": "NUMBER(20, 0)",  # as `key_type` of dbt/macros/dialect.sql
    },
}
# DuckDB's settings and the variables that give them; the profile of dbt reads the same two.
LIMITS = {"memory_limit": "RECON_MEMORY_LIMIT", "threads": "RECON_THREADS"}
_PART = re.compile(r"[a-z][a-z0-9_]*")
_INSERT_ROWS = 2_000
# From here on Snowflake gets a file: a statement of 2,000 rows is a round trip and a compilation each, and a file
# of any size is two.
_COPY_ROWS = 10_000
_NEXT_STEP = {
    "duckdb": "check RECON_DUCKDB_PATH",
    "snowflake": "check the SNOWFLAKE_* variables, the key file among them, and that the account can be reached",
}
_PATIENCE_S = 15.0  # how long a busy DuckDB file is waited for


# A table, and its columns with their kinds.
_Definition = tuple[str, tuple[tuple[str, str], ...]]


class WarehouseBusy(RuntimeError):
    """Another process holds the DuckDB file; the message names it and says what to do."""


class WarehouseSession:
    """One open transaction: read frames, run statements, append rows. Rolled back on an exception."""

    def __init__(
        self,
        connection: Connection,
        dialect: str,
        define: Callable[[str, Mapping[str, str]], None] | None = None,
        known: Container[_Definition] = (),
    ) -> None:
        self._connection = connection
        self.dialect = dialect
        self._define = define
        self._known = known  # what is there as it should be, and need not be looked at
        self.defined: set[_Definition] = set()  # what this session has made so

    def frame(self, sql: str, **params: Any) -> pd.DataFrame:
        """Rows of a query as a frame with lower-case columns; ``:name`` binds come from ``params``."""
        result = self._connection.execute(_bound(sql, params), params)
        # Fetched at once: DuckDB invalidates an open cursor when another statement runs.
        columns = [str(key).lower() for key in result.keys()]  # noqa: SIM118 - a SQLAlchemy method
        return pd.DataFrame.from_records(list(map(tuple, result.fetchall())), columns=columns)

    def column_frame(self, sql: str, **params: Any) -> pd.DataFrame:
        """As :meth:`frame`, for many rows: made column by column, with days and times as numpy's own.

        Row by row, 120 days of evidence of 150 events and 10 destinations took 4.5 s to fetch, and 1.9 s to diagnose
        (2026-11-23).
        """
        if self.dialect != "duckdb":
            return self.frame(sql, **params)
        compiled = (
            _bound(sql, params)
            .bindparams(**params)
            .compile(dialect=self._connection.dialect, compile_kwargs={"render_postcompile": True})
        )
        bound = compiled.construct_params()
        values = [bound[name] for name in compiled.positiontup or ()]
        raw = self._connection.connection.driver_connection
        assert raw is not None
        found = raw.execute(str(compiled), values).fetchnumpy()
        return pd.DataFrame({name.lower(): _column_of(column) for name, column in found.items()})

    def execute(self, sql: str, **params: Any) -> None:
        """Run one statement; lists bind as expanded ``in`` lists."""
        self._connection.execute(_bound(sql, params), params)

    def ensure(self, table: str, columns: Mapping[str, str]) -> None:
        """Create the schema and the table (``schema.table``) when they are absent; add columns it lacks."""
        schema, name = _split(table)
        if self._define is not None:
            self._define(table, columns)
            return
        definition = table, tuple(columns.items())
        if definition in self._known or definition in self.defined:
            return
        types = TYPES[self.dialect]
        body = ", ".join(f"{_column(column)} {types[kind]}" for column, kind in columns.items())
        if self.dialect != "snowflake" or not self._has_schema(schema):
            self.execute(f"create schema if not exists {schema}")
        # What a run can make again needs no week of Snowflake's fail-safe; the contract's tables are the record.
        kind = "transient table" if self.dialect == "snowflake" and schema != "reconciliation" else "table"
        self.execute(f"create {kind} if not exists {schema}.{name} ({body})")
        # A table that an earlier release made may lack a column of this one.
        held = set(self.frame(f"select * from {schema}.{name} limit 0").columns)
        for column in [each for each in columns if each not in held]:
            self.execute(
                f"alter table {schema}.{name} add column if not exists"
                f" {_column(column)} {types[columns[column]]}"
            )
        self.defined.add(definition)

    def _has_schema(self, schema: str) -> bool:
        """Asked first on Snowflake: who may not create schemas is refused there, though it would change nothing."""
        found = self.frame(
            "select 1 as x from information_schema.schemata where schema_name = :schema",
            schema=schema.upper(),
        )
        return not found.empty

    def append(self, table: str, frame: pd.DataFrame) -> None:
        """Insert the frame's rows by column name. Values are bound, never part of the statement."""
        if frame.empty:
            return
        schema, name = _split(table)
        names = ", ".join(_column(column) for column in frame.columns)
        if self.dialect == "duckdb":
            raw = self._connection.connection.driver_connection
            assert raw is not None
            raw.register("recon_rows_in", frame)
            # Registering again under the name replaces it, so a failed insert needs no tidying up, which
            # would only hide its error behind "transaction is aborted".
            self.execute(f"insert into {schema}.{name} ({names}) select {names} from recon_rows_in")
            raw.unregister("recon_rows_in")
            return
        if len(frame) >= _COPY_ROWS and self._copied(table, _arrow(frame)):
            return
        binds = ", ".join(f":p{index}" for index in range(len(frame.columns)))
        statement = sa.text(f"insert into {schema}.{name} ({names}) values ({binds})")
        for start in range(0, len(frame), _INSERT_ROWS):
            rows = [
                {f"p{index}": _plain(value) for index, value in enumerate(row)}
                for row in frame.iloc[start : start + _INSERT_ROWS].itertuples(index=False, name=None)
            ]
            self._connection.execute(statement, rows)

    def append_arrow(self, table: str, rows: pa.Table) -> None:
        """Insert the rows of an Arrow table by column name; DuckDB reads it where it lies, without a copy."""
        if not rows.num_rows:
            return
        if self.dialect != "duckdb":
            if rows.num_rows < _COPY_ROWS or not self._copied(table, rows):
                self.append(table, rows.to_pandas())
            return
        schema, name = _split(table)
        names = ", ".join(_column(column) for column in rows.column_names)
        raw = self._connection.connection.driver_connection
        assert raw is not None
        raw.register("recon_rows_in", rows)
        self.execute(f"insert into {schema}.{name} ({names}) select {names} from recon_rows_in")
        raw.unregister("recon_rows_in")

    def _copied(self, table: str, rows: pa.Table | None) -> bool:
        """Load rows into a Snowflake table by way of one parquet file; false when the file could not be sent.

        It goes to the stage that every table has: making one, as the driver's own `write_pandas` does, is a
        definition, and a definition commits the transaction that it stands in.
        """
        if rows is None:
            return False
        import pyarrow.parquet as pq
        from snowflake.connector.errors import Error

        schema, name = _split(table)
        with tempfile.TemporaryDirectory(prefix="recon-") as folder:
            path = Path(folder) / f"{uuid.uuid4().hex}.parquet"
            pq.write_table(rows, path, coerce_timestamps="us", allow_truncated_timestamps=True)
            try:
                self._connection.exec_driver_sql(f"put 'file://{path}' @{schema}.%{name} auto_compress=false")
            except (sa.exc.DBAPIError, Error, OSError) as error:
                # A network may let statements through and the object store not.
                logger.warning("%s: the file was not taken (%s); inserting", table, type(error).__name__)
                return False
            self._connection.exec_driver_sql(
                f"copy into {schema}.{name} from @{schema}.%{name}/{path.name}"
                " file_format=(type=parquet use_logical_type=true) match_by_column_name=case_insensitive"
                " on_error=abort_statement purge=true"
            )
        return True

    def replace(self, table: str, frame: pd.DataFrame, columns: Mapping[str, str]) -> None:
        """Make the frame's rows the only rows of the table, which is created when absent."""
        self.ensure(table, columns)
        schema, name = _split(table)
        self.execute(f"delete from {schema}.{name}")
        self.append(table, frame[list(columns)] if len(frame) else frame)


class Warehouse:
    """Opens a connection for each piece of work and closes it again.

    DuckDB lets one process at a time write a file, so no connection outlives the block that needed it, except
    within :meth:`held`, which a run puts around all of its work. Snowflake has no such limit, and its sessions
    are kept for the next block.
    """

    def __init__(
        self,
        url: sa.URL,
        *,
        name: str,
        connect_args: Mapping[str, Any] | None = None,
        limits: Mapping[str, str] | None = None,
    ) -> None:
        self.dialect = url.get_backend_name()
        self.name = name  # what messages call it; never holds a password
        self._file = url.database if self.dialect == "duckdb" else None
        # A failed statement is told without the values that were bound to it: they are people's.
        options: dict[str, Any] = {"connect_args": dict(connect_args or {}), "hide_parameters": True}
        if self.dialect == "duckdb":
            path, settings = str(self._file), dict(limits or {})
            self._engine = sa.create_engine(
                url, poolclass=NullPool, creator=lambda: _open_duckdb(path, settings), **options
            )
            _buffer_results(self._engine)
        else:
            # A login takes a second and locks nothing: kept for less than the hour after which its token ends.
            # Nothing is asked before it is used again nor rolled back after it, for every block of ours commits
            # or rolls back itself: those two were 270 of the 860 statements of a small run (2026-11-22).
            self._engine = sa.create_engine(
                url, pool_size=2, pool_recycle=3_000, pool_reset_on_return=None, **options
            )
            _tag_statements(self._engine, lambda: self._tag)
        self._tag = query_tag()
        self._held = 0  # how often the DuckDB file is held at the moment
        # What is there as it should be: for good on Snowflake, while the file is held on DuckDB.
        self._defined: set[_Definition] = set()
        self._columns: dict[
            str, set[tuple[str, str]]
        ] = {}  # of our own schemas on Snowflake, when first asked

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the DuckDB file open meanwhile; no effect on Snowflake.

        Every connection of this process, dbt's among them, then shares one open database: opening takes 20 ms
        and closing, which writes a checkpoint, 10 to 40 ms, and a run did each a hundred times (2026-11-22).
        Until it ends no other process can look into the file. Raises :class:`WarehouseBusy` when another has it.
        """
        if self._file is None:
            yield
            return
        connection = self._connect()
        self._held += 1
        try:
            _remove_spilled(Path(f"{self._file}.tmp"))
            yield
        finally:
            self._held -= 1
            connection.close()
            if not self._held:
                self._defined.clear()  # another process may write the file now

    @contextmanager
    def transaction(self) -> Iterator[WarehouseSession]:
        """A session whose statements are all kept, or none of them."""
        connection = self._connect()
        try:
            with connection.begin():
                session = WarehouseSession(
                    connection,
                    self.dialect,
                    self._define if self.dialect == "snowflake" else None,
                    self._defined,
                )
                yield session
            if self._held:
                self._defined |= session.defined
        finally:
            connection.close()

    def frame(self, sql: str, **params: Any) -> pd.DataFrame:
        with self.transaction() as session:
            return session.frame(sql, **params)

    def column_frame(self, sql: str, **params: Any) -> pd.DataFrame:
        with self.transaction() as session:
            return session.column_frame(sql, **params)

    def execute(self, sql: str, **params: Any) -> None:
        with self.transaction() as session:
            session.execute(sql, **params)

    def ensure(self, table: str, columns: Mapping[str, str]) -> None:
        with self.transaction() as session:
            session.ensure(table, columns)

    def append(self, table: str, frame: pd.DataFrame) -> None:
        with self.transaction() as session:
            session.append(table, frame)

    def replace(self, table: str, frame: pd.DataFrame, columns: Mapping[str, str]) -> None:
        with self.transaction() as session:
            session.replace(table, frame, columns)

    def exists(self, table: str) -> bool:
        """Whether ``schema.table`` (a table or a view) is there."""
        return bool(self.columns([table]))

    def columns(self, tables: Sequence[str]) -> dict[tuple[str, str], str]:
        """``(schema.table, column) -> engine type`` of those of the given tables that exist, lower-case."""
        wanted = {table.lower() for table in tables}
        schemas = sorted({table.split(".", 1)[0].lower() for table in tables})
        if not schemas:
            return {}
        found = self.frame(
            "select lower(table_schema) as s, lower(table_name) as t, lower(column_name) as c, data_type as d"
            " from information_schema.columns where lower(table_schema) in :schemas",
            schemas=schemas,
        )
        return {
            (f"{row.s}.{row.t}", str(row.c)): str(row.d)
            for row in found.itertuples()
            if f"{row.s}.{row.t}" in wanted
        }

    def schema_columns(self, schemas: Sequence[str]) -> pd.DataFrame:
        """Every column of every table in the schemas: ``schema, table_name, column_name, data_type``."""
        if not schemas:
            return pd.DataFrame(columns=["schema", "table_name", "column_name", "data_type"])
        found = self.frame(
            "select lower(table_schema) as s, lower(table_name) as table_name, lower(column_name) as column_name,"
            " data_type from information_schema.columns where lower(table_schema) in :schemas"
            " order by 1, 2, ordinal_position",
            schemas=[schema.lower() for schema in schemas],
        )
        return found.rename(columns={"s": "schema"})

    def _connect(self) -> Connection:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._engine.connect()
            except sa.exc.DBAPIError as error:
                explained = self._explained(error)
                # Sensors look into the file for moments; a run holds it for as long as it works.
                if not isinstance(explained, WarehouseBusy) or time.monotonic() > deadline:
                    raise explained from error
                time.sleep(0.2)
            except (OSError, TypeError, ValueError) as error:
                # The driver reads a key file itself, and lets what goes wrong there through as it is.
                raise RuntimeError(
                    f"{self.name} could not be opened: {error}; {_NEXT_STEP[self.dialect]}"
                ) from error

    def tag(self, run_id: str | None = None, stage: str | None = None) -> None:
        """Name the run and the stage that statements from now on are sent for, in Snowflake's query history."""
        self._tag = query_tag(run_id, stage)

    @property
    def engine(self) -> sa.Engine:
        return self._engine

    def _define(self, table: str, columns: Mapping[str, str]) -> None:
        """Define a table in a session of its own, once in this object's life, unless it is there as it should be.

        A definition commits the transaction that it stands in on Snowflake, even one that changes nothing. Each
        schema is looked at once.
        """
        defined = (table, tuple(columns.items()))
        if defined in self._defined:
            return
        schema, name = _split(table)
        connection = self._connect()
        try:
            with connection.begin():
                session = WarehouseSession(connection, self.dialect)
                if schema not in self._columns:
                    found = session.frame(
                        "select lower(table_name) as t, lower(column_name) as c from information_schema.columns"
                        " where table_schema = :schema",
                        schema=schema.upper(),
                    )
                    self._columns[schema] = set(zip(found["t"], found["c"], strict=True))
                if not {(name, column) for column in columns} <= self._columns[schema]:
                    session.ensure(table, columns)
        finally:
            connection.close()
        self._defined.add(defined)

    def _explained(self, error: sa.exc.DBAPIError) -> Exception:
        text = str(error.orig)
        if "Conflicting lock" in text or "Could not set lock" in text:
            return WarehouseBusy(
                f"{self.name} is being written by another process ({_holder(text)}); "
                "wait until that run has ended, or stop it, and run again"
            )
        fact = text.splitlines()[0] if text else type(error).__name__
        return RuntimeError(f"{self.name} could not be opened: {fact}; {_NEXT_STEP[self.dialect]}")


def open_warehouse(target: str, duckdb_path: Path, environ: Mapping[str, str]) -> Warehouse:
    """The warehouse of a dbt target: ``duckdb`` (a file, created when absent) or ``snowflake``.

    ``RECON_MEMORY_LIMIT`` and ``RECON_THREADS`` bound what DuckDB takes; past the memory it spills into the
    folder ``<file>.tmp`` and takes that away again. Raises ``ValueError`` naming every missing ``SNOWFLAKE_*``
    variable.
    """
    if target == "duckdb":
        duckdb_path.parent.mkdir(parents=True, exist_ok=True)
        return Warehouse(
            sa.URL.create("duckdb", database=str(duckdb_path.absolute())),
            name=f"DuckDB file {duckdb_path}",
            limits={
                setting: environ[variable] for setting, variable in LIMITS.items() if environ.get(variable)
            },
        )
    if target == "snowflake":
        url, arguments = snowflake_url(environ), snowflake_connect_args(environ)
        return Warehouse(url, name=f"Snowflake account {arguments['account']}", connect_args=arguments)
    raise ValueError(f"RECON_TARGET is {target!r}; write duckdb or snowflake")


def snowflake_url(environ: Mapping[str, str]) -> sa.URL:
    """The SQLAlchemy address: who and where, never a secret. Raises ``ValueError`` naming all that is missing."""
    _require_snowflake(environ)
    # The account is not in it: the dialect cuts `organisation-account` at the hyphen.
    return sa.URL.create(
        "snowflake", username=environ["SNOWFLAKE_USER"], database=environ["SNOWFLAKE_DATABASE"]
    )


def snowflake_connect_args(environ: Mapping[str, str]) -> dict[str, Any]:
    """What the driver needs besides the address, from dbt-snowflake's own variables. It holds the secrets.

    A key-pair file is read by the driver. The session speaks UTC and naive timestamps whatever the account's
    defaults are: a text without an offset would otherwise be read in the account's zone.
    """
    _require_snowflake(environ)
    arguments: dict[str, Any] = {
        argument: environ[variable]
        for argument, variable in {
            "account": "SNOWFLAKE_ACCOUNT",
            "warehouse": "SNOWFLAKE_WAREHOUSE",
            "role": "SNOWFLAKE_ROLE",
            "host": "SNOWFLAKE_HOST",
            "protocol": "SNOWFLAKE_PROTOCOL",
        }.items()
        if environ.get(variable)
    }
    if environ.get("SNOWFLAKE_PORT"):
        arguments["port"] = int(environ["SNOWFLAKE_PORT"])
    # The key wins over the password when both are set, as it does in the driver for dbt.
    if environ.get("SNOWFLAKE_PRIVATE_KEY_PATH"):
        arguments["authenticator"] = "SNOWFLAKE_JWT"
        arguments["private_key_file"] = environ["SNOWFLAKE_PRIVATE_KEY_PATH"]
        if environ.get("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"):
            arguments["private_key_file_pwd"] = environ["SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"]
    else:
        arguments["password"] = environ["SNOWFLAKE_PASSWORD"]
    arguments["session_parameters"] = {
        "TIMEZONE": "UTC",
        "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
        "QUERY_TAG": query_tag(),
    }
    return arguments


def _require_snowflake(environ: Mapping[str, str]) -> None:
    required = ["SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER", "SNOWFLAKE_DATABASE"]
    missing = [name for name in required if not environ.get(name)]
    if not environ.get("SNOWFLAKE_PASSWORD") and not environ.get("SNOWFLAKE_PRIVATE_KEY_PATH"):
        missing.append("SNOWFLAKE_PASSWORD (or SNOWFLAKE_PRIVATE_KEY_PATH)")
    if missing:
        raise ValueError(f"RECON_TARGET=snowflake needs {', '.join(missing)}; set them in the environment")


def _bound(sql: str, params: Mapping[str, Any]) -> sa.TextClause:
    clause = sa.text(sql)
    lists = [name for name, value in params.items() if isinstance(value, list | tuple)]
    if lists:
        clause = clause.bindparams(*(sa.bindparam(name, expanding=True) for name in lists))
    return clause


def _column_of(values: Any) -> pd.Series[Any]:
    """A column as DuckDB gives it: numbers with nulls become objects, with None for null."""
    cells = values
    if np.ma.isMaskedArray(values):
        cells = values.data
        if values.dtype.kind == "M":
            cells = values.filled(np.datetime64("NaT"))
        elif values.mask.any():
            cells = cells.astype(object)
            cells[values.mask] = None  # `filled` would write a question mark
    column: pd.Series[Any] = pd.Series(cells, dtype=cells.dtype)
    return column


def _split(table: str) -> tuple[str, str]:
    schema, _, name = table.partition(".")
    if not _PART.fullmatch(schema) or not _PART.fullmatch(name):
        raise ValueError(f"not one of our own tables: {table!r}")
    return schema, name


def _column(name: object) -> str:
    text = str(name)
    # Underscore first for _file and _row; everything else of ours begins with a letter.
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", text):
        raise ValueError(f"not one of our own columns: {text!r}")
    return text


def _arrow(frame: pd.DataFrame) -> pa.Table | None:
    """The frame for a parquet file; null when a column holds values of several kinds, which a file cannot."""
    try:
        columns = {
            _column(name): pa.array([_plain(value) for value in frame[name]], from_pandas=True)
            for name in frame.columns
        }
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    table = pa.table(columns)
    # A column of nulls alone has no type that a file could hold.
    return pa.table(
        {
            name: column.cast(pa.string()) if pa.types.is_null(column.type) else column
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") else value


def _holder(text: str) -> str:
    found = re.search(r"held in (.+?)\.(?: See|$)", text)
    return found.group(1) if found else "see the DuckDB error above"


def _tag_statements(engine: sa.Engine, tag: Callable[[], str]) -> None:
    """Send each statement with the query tag of its moment, which costs no statement as `alter session` would."""

    @sa.event.listens_for(engine, "do_execute")
    def _one(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
        cursor.execute(statement, parameters, _statement_params={"QUERY_TAG": tag()})
        return True

    @sa.event.listens_for(engine, "do_executemany")
    def _many(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
        cursor.executemany(statement, parameters, _statement_params={"QUERY_TAG": tag()})
        return True


def _open_duckdb(path: str, limits: Mapping[str, str]) -> ConnectionWrapper:
    """A connection as SQLAlchemy wants it, of the configuration that dbt's connections have: none.

    Two configurations of one file are refused within a process, and SQLAlchemy's own dialect names itself in
    its configuration. What is set by a statement is no part of it.
    """
    connection = duckdb.connect(path)
    # Times without an offset are UTC, as in dbt's sessions, and not of the machine's own zone.
    connection.execute("set timezone = 'UTC'")
    for setting, value in limits.items():
        connection.execute(f"set global {setting} = '{value.replace(chr(39), chr(39) * 2)}'")
    return ConnectionWrapper(connection)


def _remove_spilled(folder: Path) -> None:
    """Remove what a process that was killed had spilled; whoever holds the file is the only one that can."""
    for leftover in folder.glob("duckdb_temp_*"):
        if not leftover.name.startswith(f"duckdb_temp_{os.getpid()}_"):
            leftover.unlink(missing_ok=True)


def _buffer_results(engine: sa.Engine) -> None:
    """Fetch DuckDB results as soon as a statement ran.

    Without it a cursor that is read after a later statement on its connection gives nothing, which Great
    Expectations reports as a failed check (its issues 10738 and 11579; checked with duckdb 2.0.0).
    """

    @sa.event.listens_for(engine, "after_cursor_execute")
    def _buffered(_conn: Any, cursor: Any, _sql: Any, _params: Any, context: Any, _many: Any) -> None:
        if context is not None and cursor.description is not None:
            from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

            context.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                cursor, alternate_description=None, initial_buffer=cursor.fetchall()
            )
