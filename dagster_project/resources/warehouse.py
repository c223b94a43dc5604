"""The warehouse behind one small interface: SQLAlchemy over an embedded DuckDB file or over Snowflake."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

# Logical column types and what each engine calls them. Counts are bigint and text is varchar everywhere.
TYPES: dict[str, dict[str, str]] = {
    "duckdb": {
        "varchar": "VARCHAR",
        "bigint": "BIGINT",
        "double": "DOUBLE",
        "boolean": "BOOLEAN",
        "date": "DATE",
        "timestamp": "TIMESTAMP",
    },
    "snowflake": {
        "varchar": "VARCHAR",
        "bigint": "BIGINT",
        "double": "DOUBLE",
        "boolean": "BOOLEAN",
        "date": "DATE",
        "timestamp": "TIMESTAMP_NTZ",
    },
}
_PART = re.compile(r"[a-z][a-z0-9_]*")
_INSERT_ROWS = 2_000
_NEXT_STEP = {
    "duckdb": "check RECON_DUCKDB_PATH",
    "snowflake": "check the SNOWFLAKE_* variables, the key file among them, and that the account can be reached",
}
_PATIENCE_S = 15.0  # how long a busy DuckDB file is waited for


class WarehouseBusy(RuntimeError):
    """Another process holds the DuckDB file; the message names it and says what to do."""


class WarehouseSession:
    """One open transaction: read frames, run statements, append rows. Rolled back on an exception."""

    def __init__(
        self,
        connection: Connection,
        dialect: str,
        define: Callable[[str, Mapping[str, str]], None] | None = None,
    ) -> None:
        self._connection = connection
        self.dialect = dialect
        self._define = define

    def frame(self, sql: str, **params: Any) -> pd.DataFrame:
        """Rows of a query as a frame with lower-case columns; ``:name`` binds come from ``params``."""
        result = self._connection.execute(_bound(sql, params), params)
        # Fetched at once: DuckDB invalidates an open cursor when another statement runs.
        columns = [str(key).lower() for key in result.keys()]  # noqa: SIM118 - a SQLAlchemy method
        return pd.DataFrame.from_records(list(map(tuple, result.fetchall())), columns=columns)

    def execute(self, sql: str, **params: Any) -> None:
        """Run one statement; lists bind as expanded ``in`` lists."""
        self._connection.execute(_bound(sql, params), params)

    def ensure(self, table: str, columns: Mapping[str, str]) -> None:
        """Create the schema and the table (``schema.table``) when they are absent; add columns it lacks."""
        schema, name = _split(table)
        if self._define is not None:
            self._define(table, columns)
            return
        types = TYPES[self.dialect]
        body = ", ".join(f"{_column(column)} {types[kind]}" for column, kind in columns.items())
        self.execute(f"create schema if not exists {schema}")
        self.execute(f"create table if not exists {schema}.{name} ({body})")
        # A table that an earlier release made may lack a column of this one.
        found = self.frame(
            "select lower(column_name) as c from information_schema.columns "
            "where lower(table_schema) = :schema and lower(table_name) = :name",
            schema=schema,
            name=name,
        )
        for column in [each for each in columns if each not in set(found["c"])]:
            self.execute(
                f"alter table {schema}.{name} add column if not exists"
                f" {_column(column)} {types[columns[column]]}"
            )

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
        binds = ", ".join(f":p{index}" for index in range(len(frame.columns)))
        statement = sa.text(f"insert into {schema}.{name} ({names}) values ({binds})")
        for start in range(0, len(frame), _INSERT_ROWS):
            rows = [
                {f"p{index}": _plain(value) for index, value in enumerate(row)}
                for row in frame.iloc[start : start + _INSERT_ROWS].itertuples(index=False, name=None)
            ]
            self._connection.execute(statement, rows)

    def replace(self, table: str, frame: pd.DataFrame, columns: Mapping[str, str]) -> None:
        """Make the frame's rows the only rows of the table, which is created when absent."""
        self.ensure(table, columns)
        schema, name = _split(table)
        self.execute(f"delete from {schema}.{name}")
        self.append(table, frame[list(columns)] if len(frame) else frame)


class Warehouse:
    """Opens a connection for each piece of work and closes it again.

    DuckDB lets one process at a time write a file, and refuses two configurations of one file within a
    process; dbt opens the file as well. So no connection outlives the block that needed it. Snowflake has
    neither limit, and its sessions are kept for the next block.
    """

    def __init__(self, url: sa.URL, *, name: str, connect_args: Mapping[str, Any] | None = None) -> None:
        self.dialect = url.get_backend_name()
        self.name = name  # what messages call it; never holds a password
        # A failed statement is told without the values that were bound to it: they are people's.
        options: dict[str, Any] = {"connect_args": dict(connect_args or {}), "hide_parameters": True}
        if self.dialect == "duckdb":
            self._engine = sa.create_engine(url, poolclass=NullPool, **options)
            _buffer_results(self._engine)
            _speak_utc(self._engine)
        else:
            # A login takes a second and locks nothing: kept, and looked at before it is used again.
            self._engine = sa.create_engine(
                url, pool_size=2, pool_pre_ping=True, pool_recycle=3_000, **options
            )
        self._defined: set[tuple[str, tuple[tuple[str, str], ...]]] = set()

    @contextmanager
    def transaction(self) -> Iterator[WarehouseSession]:
        """A session whose statements are all kept, or none of them."""
        connection = self._connect()
        try:
            with connection.begin():
                yield WarehouseSession(
                    connection, self.dialect, self._define if self.dialect == "snowflake" else None
                )
        finally:
            connection.close()

    def frame(self, sql: str, **params: Any) -> pd.DataFrame:
        with self.transaction() as session:
            return session.frame(sql, **params)

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

    @property
    def engine(self) -> sa.Engine:
        return self._engine

    def _define(self, table: str, columns: Mapping[str, str]) -> None:
        """Define a table in a session of its own, once in this object's life.

        A definition commits the transaction that it stands in on Snowflake, even one that changes nothing.
        """
        defined = (table, tuple(columns.items()))
        if defined in self._defined:
            return
        connection = self._connect()
        try:
            with connection.begin():
                WarehouseSession(connection, self.dialect).ensure(table, columns)
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

    Raises ``ValueError`` naming every missing ``SNOWFLAKE_*`` variable.
    """
    if target == "duckdb":
        duckdb_path.parent.mkdir(parents=True, exist_ok=True)
        return Warehouse(
            sa.URL.create("duckdb", database=str(duckdb_path.absolute())), name=f"DuckDB file {duckdb_path}"
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
        "QUERY_TAG": "segment_reconciliation",
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


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") else value


def _holder(text: str) -> str:
    found = re.search(r"held in (.+?)\.(?: See|$)", text)
    return found.group(1) if found else "see the DuckDB error above"


def _speak_utc(engine: sa.Engine) -> None:
    """Read times without an offset as UTC, as dbt's sessions do, and not as the machine's own zone."""

    @sa.event.listens_for(engine, "connect")
    def _utc(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("set timezone = 'UTC'")
        cursor.close()


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
