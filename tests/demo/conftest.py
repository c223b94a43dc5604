"""One landed demo for the tests of this folder, and a reconciliation in bare SQL to check its key against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ruamel.yaml import YAML

from dagster_project.demo.generator import AS_OF, AnswerKey, land

EXPECTATIONS = Path(__file__).parents[2] / "expectations"


@dataclass(frozen=True)
class Landed:
    """The demo as landed at its as-of time: a connection that holds it, its files and its answer key."""

    sql: duckdb.DuckDBPyConnection
    exports: Path
    key: AnswerKey

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.sql.execute(query, list(values)).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        (row,) = self.rows(query, *values)
        return row[0]

    def incident(self, kind: str, event: str | None) -> Any:
        (found,) = (i for i in self.key.incidents if (i.kind, i.event) == (kind, event))
        return found


@pytest.fixture(scope="session")
def contracts() -> dict[str, Any]:
    """The committed contracts, read as plain YAML: not by the loader that the demo is there to try."""
    yaml = YAML(typ="safe")
    return {path.stem: yaml.load(path) for path in sorted((EXPECTATIONS / "destinations").glob("*.yml"))}


@pytest.fixture(scope="session")
def workspace() -> Any:
    return YAML(typ="safe").load(EXPECTATIONS / "workspace.yml")


@pytest.fixture(scope="session")
def landed(
    tmp_path_factory: pytest.TempPathFactory, contracts: dict[str, Any], workspace: Any
) -> Iterator[Landed]:
    folder = tmp_path_factory.mktemp("demo")
    key = land(folder / "warehouse.duckdb", folder / "exports", through=AS_OF)
    connection = duckdb.connect(str(folder / "warehouse.duckdb"))
    _messages(connection, workspace)
    _deliveries(connection, folder / "exports")
    for name, contract in contracts.items():
        _expected(connection, name, contract, workspace)
    _cells(connection)
    yield Landed(connection, folder / "exports", key)
    connection.close()


def _messages(sql: duckdb.DuckDBPyConnection, workspace: Any) -> None:
    """`messages`: every source's tracks, one row a message id (the first that was received)."""
    parts = [
        f"select '{name}' as source, * from {(settings or {}).get('schema', name)}.tracks"
        for name, settings in workspace["sources"].items()
    ]
    sql.execute(
        f"""create temp table messages as
        select * from ({" union all by name ".join(parts)})
        qualify row_number() over (partition by source, id order by received_at) = 1"""
    )


def _deliveries(sql: duckdb.DuckDBPyConnection, exports: Path) -> None:
    """`delivered`: a row each, by destination, key and name; `totals`: of those that only count."""
    analytics = exports / "product_analytics" / "*.jsonl.gz"
    attribution = exports / "attribution" / "*.parquet"
    sql.execute(
        f"""create temp table delivered as
        select 'lifecycle_email' as destination, external_user_id || '@' || "time" as key, name
          from export_braze.events
        union all select 'cdp_archive', message_id, event_name from export_cdp.events
        union all select 'support_desk', external_ref, title from export_support.events
        union all select 'product_analytics', insert_id, event_type from read_json_auto('{analytics}')
        union all select 'attribution', event_id, event_name from read_parquet('{attribution}')"""
    )
    sql.execute(
        f"""create temp table totals as
        select 'ads_conversions' as destination, conversion_action as name, "date" as day, conversions as n
          from read_csv('{exports / "ads_conversions" / "*.csv.gz"}')
        union all select 'finance_reports', report_line, report_date, quantity
          from read_csv('{exports / "finance_reports" / "*.csv.zst"}')"""
    )
    sql.execute(
        """create temp table expected
        (destination text, source text, event text, name text, key text, day date)"""
    )


def _expected(sql: duckdb.DuckDBPyConnection, name: str, contract: Any, workspace: Any) -> None:
    receives = contract["receives"]
    sources = list(workspace["sources"]) if receives["sources"] == "all" else receives["sources"]
    routes = receives["events"]
    named = "event_text"
    wanted = ["source in (" + ", ".join(f"'{source}'" for source in sources) + ")"]
    if routes != "all":
        pairs = dict(next(iter(r.items())) if isinstance(r, dict) else (r, r) for r in routes)
        named = "case event_text " + " ".join(f"when '{a}' then '{b}'" for a, b in pairs.items()) + " end"
        wanted.append(f"{named} is not null")
    if "consent" in receives:
        wanted.append("coalesce(context_consent_category_preferences_advertising, true)")
    if contract.get("identifiers", {}).get("user_id"):
        wanted.append("regexp_full_match(user_id, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')")
    key = {
        "lifecycle_email": "user_id || '@' || floor(epoch(received_at))::bigint",
        "support_desk": "right(id, 36)",
    }
    # DuckDB's own zone arithmetic, so that the generator's is not checked by itself.
    clock = (
        f"\"{contract.get('clock', 'timestamp')}\" at time zone 'UTC' at time zone '{contract['timezone']}'"
    )
    sql.execute(
        f"""insert into expected
        select '{name}', source, event_text, {named}, {key.get(name, "id")}, ({clock})::date
        from messages where {" and ".join(wanted)}"""
    )


def _cells(sql: duckdb.DuckDBPyConnection) -> None:
    """`cells`: day x destination x event, matched row by row where the export has rows."""
    sql.execute(
        """create temp table got as
        select destination, name, key, count(*) as copies from delivered group by all"""
    )
    sql.execute(
        """create temp table matched as
        select e.*, coalesce(g.copies, 0) as copies from expected as e
        left join got as g on (e.destination, e.name, e.key) = (g.destination, g.name, g.key)"""
    )
    sql.execute(
        """create temp table cells as
        select destination, event, name, day, count(*) as expected,
               count(*) filter (where copies = 0) as missing, sum(greatest(copies - 1, 0)) as duplicates
        from matched where destination not in (select destination from totals) group by all
        union all
        select e.destination, e.event, e.name, e.day, e.expected, e.expected - coalesce(t.n, 0), 0
        from (select destination, event, name, day, count(*) as expected from expected
              where destination in (select destination from totals) group by all) as e
        left join totals as t on (e.destination, e.name, e.day) = (t.destination, t.name, t.day)"""
    )
