"""What a real Snowflake account lets us do: asked in a minute, so that the first run is not the first to know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import sqlalchemy as sa

from dagster_project.core.contracts import Workspace
from dagster_project.core.grants import OWN_SCHEMAS
from dagster_project.resources.warehouse import Warehouse

# Up to here a table is small enough that reading all of it is what pruning would come to.
_SMALL_PARTITIONS = 20


@dataclass(frozen=True)
class Probe:
    """One thing that was asked: what came out, and what to do when it is not as it must be."""

    asked: str
    ok: bool
    fact: str
    next_step: str = ""


def probes(warehouse: Warehouse, workspace: Workspace, as_of: date) -> Iterator[Probe]:
    """Ask the account, one thing after the other; what one answer is does not stop the next question.

    Writes nothing but a table `recon_check` in each of our own schemas, and drops it. `as_of` is a UTC day: the
    last of the days whose partitions are counted.
    """
    yield _asked("who and where", lambda: _session(warehouse), "check SNOWFLAKE_ROLE and SNOWFLAKE_WAREHOUSE")
    yield _asked("clock", lambda: _clock(warehouse), "let nothing overrule the session's parameters")
    for schema in OWN_SCHEMAS:
        yield _asked(
            f"write {schema}",
            lambda schema=schema: _writable(warehouse, schema),  # type: ignore[misc]
            "give the role what `recon grants` prints",
        )
    since = as_of - timedelta(days=workspace.lookback_days)
    for source in workspace.sources:
        table = f"{source.schema_name}.tracks"
        yield _asked(
            f"prune {table}",
            lambda table=table: _pruned(warehouse, table, since, as_of),  # type: ignore[misc]
            "give the role what `recon grants` prints, or look at the table's clustering by received_at",
        )


def _asked(what: str, question: Callable[[], str], next_step: str) -> Probe:
    try:
        return Probe(what, True, question())
    except (sa.exc.DBAPIError, RuntimeError, ValueError) as error:
        text = str(getattr(error, "orig", None) or error).strip()
        return Probe(what, False, text.splitlines()[0][:300] if text else type(error).__name__, next_step)


def _session(warehouse: Warehouse) -> str:
    row = warehouse.frame(
        "select current_role() as role, current_database() as db, current_warehouse() as wh, current_version() as v"
    ).iloc[0]
    if not row["wh"]:
        raise RuntimeError(f"role {row['role']} has no warehouse to work on")
    return f"role {row['role']}, database {row['db']}, warehouse {row['wh']}, Snowflake {row['v']}"


def _clock(warehouse: Warehouse) -> str:
    """The session must read a text without an offset as UTC, whatever the account's own zone is."""
    found = {}
    for name in ("TIMEZONE", "TIMESTAMP_TYPE_MAPPING"):
        found[name] = str(warehouse.frame(f"show parameters like '{name}' in session")["value"].iloc[0])
    wrong = [
        f"{name} is {found[name]}" for name in found if found[name] not in ("UTC", "Etc/UTC", "TIMESTAMP_NTZ")
    ]
    if wrong:
        raise RuntimeError("; ".join(wrong))
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _writable(warehouse: Warehouse, schema: str) -> str:
    there = warehouse.frame(
        "select 1 as x from information_schema.schemata where schema_name = :schema", schema=schema.upper()
    )
    if there.empty:
        warehouse.execute(f"create schema if not exists {schema}")
    warehouse.execute(f"create or replace transient table {schema}.recon_check (x integer)")
    warehouse.execute(f"drop table {schema}.recon_check")
    return "a table was made there and dropped" + ("; the schema is new" if there.empty else "")


def _pruned(warehouse: Warehouse, table: str, first: date, last: date) -> str:
    """How many partitions Snowflake would read for the days that a run looks at, by its own plan."""
    answer = warehouse.frame(
        f"explain using json select count(*) from {table} where received_at >= cast('{first}' as timestamp_ntz)"
        f" and received_at < cast('{last + timedelta(days=1)}' as timestamp_ntz)"
    )
    total, assigned = partitions(str(answer.iloc[0, 0]))
    told = f"{assigned:,} of {total:,} partitions hold {first} to {last}"
    if total > _SMALL_PARTITIONS and assigned == total:
        raise RuntimeError(f"{told}: the days are not apart in it, and each run reads all of it")
    return told


def partitions(plan: str) -> tuple[int, int]:
    """Partitions in all and those left to read, of what `explain using json` answers; ``ValueError`` for others."""
    try:
        stats = json.loads(plan)["GlobalStats"]
        return int(stats["partitionsTotal"]), int(stats["partitionsAssigned"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the plan tells no partitions: {plan[:80]!r}") from error
