"""The Dagster instance of a state folder: made when absent, quick on a disk that syncs slowly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy.engine import Connection, Engine

_CONFIG = """\
# Written by recon when it was not there. Yours to change: docs.dagster.io, "dagster.yaml".
nux:
  enabled: false
telemetry:
  enabled: false
concurrency:
  runs:
    # An embedded DuckDB file has one writer at a time.
    max_concurrent_runs: 1
"""
_engines: dict[str, Engine] = {}


def prepare_home(home: Path) -> None:
    """Make `home` the Dagster instance of this process and of those it starts."""
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(_CONFIG, "utf-8")
    os.environ["DAGSTER_HOME"] = str(home.absolute())
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")


def quicken_sqlite() -> None:
    """Let this process keep one connection to each file of Dagster's SQLite event log.

    Dagster makes an engine, a connection and a statement cache for every event and throws them away, and each
    commit and each close syncs the disk: of a run of seven destinations with nothing new to read, a quarter of
    the time under the profiler (450 events, 2026-11-22). With one engine a file and `synchronous=NORMAL` neither
    happens. NORMAL is safe in WAL mode: a power cut may lose the last events of the history, never break it.
    Only a process that executes a run does this; no data of ours is in these files.
    """
    if SqliteEventLogStorage._connect is not _connect:
        SqliteEventLogStorage._connect = _connect  # type: ignore[method-assign, assignment]


@contextmanager
def _connect(storage: SqliteEventLogStorage, shard: str) -> Iterator[Connection]:
    """What Dagster's own method does (1.13.27), but for the engine that stays."""
    with storage._db_lock:
        address = storage.conn_string_for_shard(shard)
        if address not in _engines:
            engine = sa.create_engine(
                address,
                poolclass=sa.pool.StaticPool,
                connect_args={"timeout": 60, "check_same_thread": False},
            )
            sa.event.listen(
                engine, "connect", lambda connection, _record: connection.execute("PRAGMA synchronous=NORMAL")
            )
            _engines[address] = engine
        engine = _engines[address]
        if shard not in storage._initialized_dbs:
            storage._initdb(engine)
            storage._initialized_dbs.add(shard)
        with engine.connect() as connection, connection.begin():
            yield connection
