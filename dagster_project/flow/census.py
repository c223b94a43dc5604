"""Which days are new or changed: a count and a sum per day of what is landed, held against the last run's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, Final

import duckdb
import pandas as pd

from dagster_project.core.contracts import Workspace
from dagster_project.flow.inputs import WORK, contract_tables, local
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import Warehouse, WarehouseSession

CENSUS: Final = {
    "kind": "varchar",
    "name": "varchar",
    "day": "date",
    "rows_seen": "bigint",
    "checksum": "varchar",
}
# From which day on the census of a name was taken; null means over everything.
CENSUS_SINCE: Final = {"kind": "varchar", "name": "varchar", "since": "date"}
CONTRACTS: Final = {"kind": "varchar", "name": "varchar", "fingerprint": "varchar"}
# A copy of a message may come this much later and change which copy is the first (dbt var dedupe_days).
DEDUPE_DAYS: Final = 7
# Up to so many rows that are read again, and held before, it is cheap (2 s) to look where each belonged.
EXACT_ROWS: Final = 2_000_000

_SECONDS = {"duckdb": "epoch_ms({0}) // 1000", "snowflake": "date_part('epoch_second', {0})"}
# A name's share in the checksum; small enough that a day's sum stays far from overflow.
_NAME = {"duckdb": "(hash({0}) % 1000003)", "snowflake": "mod(abs(hash({0})), 1000003)"}


def take_census(
    warehouse: Warehouse,
    kind: str,
    name: str,
    view: str,
    *,
    grain: str,
    since: date | None,
    as_of: datetime,
    after_position: int | None = None,
    up_to_position: int | None = None,
) -> pd.DataFrame:
    """Rows and checksum per day of one staging view: ``kind, name, day, rows_seen, checksum``.

    ``as_of`` is in the view's own clock (UTC for a source, the export's zone for a destination). A day of
    null gathers rows whose time cannot be read. With ``after_position`` only rows that landed behind it, with
    ``up_to_position`` only those before and on it.
    """
    places = [
        f"and landed_position {side} {int(position)}"
        for side, position in ((">", after_position), ("<=", up_to_position))
        if position is not None
    ]
    seconds, name_share = _SECONDS[warehouse.dialect], _NAME[warehouse.dialect]
    if kind == "source":
        time, label, extra = "received_at", "event_text", "count(user_id)"
        first, second = (f"sum({seconds.format(column)})" for column in ("received_at", "timestamp"))
    elif grain == "event":
        time, label, extra = "event_time", "event_name", "count(user_id) + 7 * count(message_id)"
        first, second = f"sum({seconds.format('event_time')})", "0"
    else:
        time, label, extra = "day", "event_name", "sum(messages)"
        first = second = "0"
    frame = warehouse.frame(
        f"""
        select day, sum(n) as rows_seen,
            cast(sum({name_share.format("label")} * n) as varchar) || ':' || cast(sum(a) as varchar) || ':'
            || cast(sum(b) as varchar) || ':' || cast(sum(c) as varchar) as checksum
        from (
            select cast({time} as date) as day, {label} as label, count(*) as n,
                coalesce({first}, 0) as a, coalesce({second}, 0) as b, coalesce({extra}, 0) as c
            from {view}
            where (({time} is null) or ({time} <= cast(:as_of as timestamp) and {time} >= cast(:since as timestamp)))
            {" ".join(places)}
            group by 1, 2
        ) as counted
        group by day
        """,
        as_of=as_of.isoformat(sep=" "),
        since=(since or date(1900, 1, 1)).isoformat(),
    )
    frame["kind"], frame["name"] = kind, name
    return frame[list(CENSUS)]


def changed_days(census: pd.DataFrame, before: pd.DataFrame, since: date | None) -> list[date]:
    """Days of one source or destination whose rows are not those of the last finished run, in order."""
    now = {
        as_day(row.day): (int(row.rows_seen), row.checksum) for row in rows_of(census) if not pd.isna(row.day)
    }
    old = {
        as_day(row.day): (int(row.rows_seen), row.checksum)
        for row in rows_of(before)
        if since is None or as_day(row.day) >= since
    }
    return sorted(day for day in now.keys() | old.keys() if now.get(day) != old.get(day))


def begun_days(warehouse: Warehouse, kind: str) -> dict[str, list[date]]:
    """Days that a run which never ended was reading, of each source or destination.

    What it has read may be gone from what is landed, and then no census tells that it was ever there.
    """
    table = "run_received_days" if kind == "source" else "run_export_days"
    found: dict[str, list[date]] = {}
    for row in rows_of(warehouse.frame(f"select {kind} as name, day from {WORK}.{table}")):
        found.setdefault(row.name, []).append(as_day(row.day))
    return found


def rows_may_leave(warehouse: Warehouse) -> bool:
    """Whether rows of the days that are read again may go away, or to another day, and leave something unanswered.

    To be asked when both censuses of the run are taken. Up to `EXACT_ROWS` it is always looked; beyond, only where
    a day holds fewer rows than before, or as many others: a large day that grew is taken to have kept what it had.
    """
    held = 0
    for kind, column, days in (
        ("source", "source", "run_received_days"),
        ("destination", "destination", "run_export_days"),
    ):
        found = warehouse.frame(
            f"select coalesce(sum(s.rows_seen), 0) as held, "
            "count(case when c.rows_seen is null or (c.rows_seen <= s.rows_seen and c.checksum <> s.checksum) "
            "then 1 end) as shrunk "
            f"from {WORK}.state_census as s "
            f"inner join {WORK}.{days} as r on r.{column} = s.name and r.day = s.day and r.after_position is null "
            f"left join {WORK}.census_{kind}s as c on c.name = s.name and c.day = s.day "
            "where s.kind = :kind",
            kind=kind,
        ).iloc[0]
        if found["shrunk"]:
            return True
        held += int(found["held"])
    return 0 < held <= EXACT_ROWS


def with_following(days: Iterable[date], known: Iterable[date]) -> list[date]:
    """The days and those known ones after each that may hold a later copy of one of its messages."""
    wanted = set(days)
    return sorted(
        wanted
        | {
            day
            for day in known
            if any(timedelta(0) < day - first <= timedelta(DEDUPE_DAYS) for first in wanted)
        }
    )


def rows_of(frame: pd.DataFrame) -> list[Any]:
    """The rows of a frame as named tuples."""
    return list(frame.itertuples())


def as_day(value: Any) -> date:
    """A day as `datetime.date`, whatever the engine made of it."""
    return value.date() if isinstance(value, datetime) else value


def forget_other_version(warehouse: Warehouse, dbt: DbtProject) -> None:
    """After an upgrade that changed our SQL: drop the tables that accumulate, so that all days are done anew.

    What was landed is still there, so nothing is lost; incidents, verdicts and alerts are kept.
    """
    made_by = warehouse.frame(f"select fingerprint from {WORK}.state_contracts where kind = 'sql'")[
        "fingerprint"
    ]
    if made_by.empty or made_by.iloc[0] == dbt.fingerprint():
        return
    with warehouse.transaction() as session:
        for row in _left_by_dbt(session):
            session.execute(f"drop {'view' if row.kind == 'VIEW' else 'table'} {row.name}")
        for table in dbt.accumulating():
            session.execute(f"drop table if exists {table}")
        for table in (
            *("state_census", "state_open_days", "state_contracts", "state_read", "state_matched"),
            *("state_positions", "census_positions", "state_carried"),
        ):
            session.execute(f"delete from {WORK}.{table}")


def _left_by_dbt(session: WarehouseSession) -> list[Any]:
    """What dbt-duckdb left of a model when a run was killed, as it renamed tables until 2026-11-23: ``name, kind``."""
    if session.dialect != "duckdb":
        return []
    return rows_of(
        session.frame(
            "select table_schema || '.' || table_name as name, table_type as kind from information_schema.tables "
            f"where table_schema in ('{WORK}', 'reconciliation', 'reconciliation_published') "
            "and (ends_with(table_name, '__dbt_tmp') or ends_with(table_name, '__dbt_backup'))"
        )
    )


def fingerprints(workspace: Workspace) -> pd.DataFrame:
    """What decides how each source is read and each destination is matched: ``kind, name, fingerprint``.

    A source's has the plan's rules, the identifier formats, the consent categories, the clocks and the engine that
    made the keys (DuckDB's `hash` may change with a release); a change reads its days again.
    """
    tables = contract_tables(workspace, as_of=datetime(2000, 1, 1))
    rules = tables["input_property_rules"]
    formats = tables["input_formats"].to_csv()
    consents = ",".join(sorted({each.consent for each in workspace.destinations if each.consent}))
    clocks = ",".join(sorted({each.clock for each in workspace.destinations}))
    rows = []
    for source in workspace.sources:
        own = rules[rules["source"] == source.name].drop(columns=["rule_index"]).to_csv(index=False)
        planned = "\x1f".join(sorted(workspace.plan_for(source).events))
        text = "\x1e".join([source.schema_name, own, planned, formats, consents, clocks, duckdb.__version__])
        rows.append({"kind": "source", "name": source.name, "fingerprint": _digest(text)})
    for destination in workspace.destinations:
        rows.append(
            {
                "kind": "destination",
                "name": destination.name,
                "fingerprint": workspace.fingerprint(destination),
            }
        )
    return pd.DataFrame(rows, columns=list(CONTRACTS))


def calendar(first: date, workspace: Workspace, as_of: datetime) -> dict[str, list[date]]:
    """Every day that should exist for each destination ('' is the workspace), up to its local today."""
    zones = {"": workspace.timezone} | {each.name: each.timezone for each in workspace.destinations}
    days = {}
    for name, zone in zones.items():
        today = local(as_of, zone).date()
        days[name] = [first + timedelta(step) for step in range((today - first).days + 1)]
    return days


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def remember(warehouse: Warehouse, workspace: Workspace, dbt: DbtProject) -> None:
    """Make this run's census and contracts the ones that the next run compares with.

    The last act of a run: killed before it, a run leaves its days to be done again. Days that were open but
    outside the run's limits stay open.
    """
    now = fingerprints(workspace)
    with warehouse.transaction() as session:
        for table in ("census_sources", "census_destinations"):
            session.execute(
                f"delete from {WORK}.state_census where exists (select 1 from {WORK}.{table}_since as s "
                "where s.kind = state_census.kind and s.name = state_census.name "
                "and (s.since is null or state_census.day >= s.since))"
            )
            session.execute(
                f"insert into {WORK}.state_census select * from {WORK}.{table} where day is not null"
            )
        session.execute(f"delete from {WORK}.state_epoch")
        session.execute(f"insert into {WORK}.state_epoch select epoch from {WORK}.input_run")
        # Where a table could not be followed by position, what is known of it is out of date.
        session.execute(f"delete from {WORK}.state_positions")
        session.execute(f"insert into {WORK}.state_positions select * from {WORK}.census_positions")
        read = {
            (str(row.kind), str(row.name))
            for table in ("census_sources_since", "census_destinations_since")
            for row in rows_of(session.frame(f"select kind, name from {WORK}.{table}"))
        }
        # What could not be read keeps the contract under which it was last read; a destination never read is compared by
        # the one that it has, for all its days would be open otherwise, night after night.
        kept = session.frame(f"select * from {WORK}.state_contracts where kind <> 'sql'")
        kept = kept[[(row.kind, row.name) not in read for row in rows_of(kept)]]
        known = {(row.kind, row.name) for row in rows_of(kept)}
        done = now[
            [
                (row.kind, row.name) in read
                or (row.kind == "destination" and (row.kind, row.name) not in known)
                for row in rows_of(now)
            ]
        ]
        sql = pd.DataFrame([{"kind": "sql", "name": "dbt", "fingerprint": dbt.fingerprint()}])
        session.replace(f"{WORK}.state_contracts", pd.concat([done, kept, sql]), CONTRACTS)
        for table in (
            *("input_received_days", "input_export_days", "input_step_days", "input_carried_days"),
            "input_recalled_keys",
            *("run_received_days", "run_export_days", "state_read", "state_matched", "state_open_days"),
        ):
            session.execute(f"delete from {WORK}.{table}")
        session.execute(
            f"insert into {WORK}.state_open_days select destination, day from {WORK}.int_open_days where not in_scope"
        )
