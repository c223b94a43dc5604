"""No statement of a daily run reads raw rows or the key tables without constant days beside them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from portability import shop
from portability.conftest import Engine
from portability.flow import STAGES, run_flow

from benchmarks.statements import Scan, Sent, recorded, scans_of, scans_of_run, tag_of
from dagster_project.core.contracts import LOOKBACK_DAYS

EARLIER = datetime(2026, 11, 4, 12)
RAW_SCHEMAS = {
    "web",
    "ios_production",
    "protocols",
    "export_mail",
    "export_analytics",
    "export_ads",
    "reconciliation_landing",
}
RAW_VIEWS = ("stg_segment__", "stg_destination__")
KEY_TABLES = {"int_messages", "int_deliveries"}
# What a daily run may reach back over: the census of `lookback` days, and a week to find an answer in.
WIDEST = LOOKBACK_DAYS + 2 * 7 + 2


def raw(name: str) -> bool:
    schema, table = name.split(".")
    return schema in RAW_SCHEMAS or table.startswith(RAW_VIEWS)


def keyed(name: str) -> bool:
    return name.split(".")[1] in KEY_TABLES


@pytest.fixture(scope="module")
def daily_run(new_engine: Callable[[str], Engine]) -> list[Sent]:
    """What the run of a later day sends, on a workspace that has been reconciled before."""
    engine = new_engine("snowflake")
    shop.land(engine.warehouse, shop.landed(EARLIER))
    run_flow(engine, "first", EARLIER)
    shop.land(engine.warehouse, shop.landed(shop.AS_OF, lost=False))
    with recorded() as recorder:
        run_flow(engine, "second", shop.AS_OF, begin=recorder.begin)
    return recorder.sent


def _scans(sent: list[Sent], watched: Callable[[str], bool]) -> list[tuple[Sent, Scan]]:
    return [(each, scan) for each, scans in scans_of_run(sent, watched) for scan in scans]


def _told(sent: Sent, scan: Scan) -> str:
    return (
        f"{sent.stage}: {sent.model or sent.sql[:80]!r} reads {scan.table} from {scan.first} to {scan.last}"
    )


@pytest.mark.dbt
@pytest.mark.fakesnow
@pytest.mark.parametrize("watched", [raw, keyed], ids=["raw rows", "key tables"])
def test_every_reading_is_bounded_by_constant_days(
    daily_run: list[Sent], watched: Callable[[str], bool]
) -> None:
    scans = _scans(daily_run, watched)

    assert len(scans) > 3, "something is read"
    assert [_told(sent, scan) for sent, scan in scans if not scan.bounded] == []


@pytest.mark.dbt
@pytest.mark.fakesnow
@pytest.mark.parametrize("watched", [raw, keyed], ids=["raw rows", "key tables"])
def test_no_bound_is_so_wide_that_it_bounds_nothing(
    daily_run: list[Sent], watched: Callable[[str], bool]
) -> None:
    bounded = [(sent, scan) for sent, scan in _scans(daily_run, watched) if scan.bounded]

    assert [_told(sent, scan) for sent, scan in bounded if (scan.days or 0) > WIDEST] == []


@pytest.mark.dbt
@pytest.mark.fakesnow
def test_every_statement_names_application_run_and_stage_in_its_query_tag(daily_run: list[Sent]) -> None:
    sent = [each for each in daily_run if not each.housekeeping]

    assert {(tag_of(each.tag).get("app"), tag_of(each.tag).get("run")) for each in sent} == {
        ("segment_reconciliation", "second")
    }
    # A stage of Python runs a model of another folder here and there; the model's own stage is told then.
    assert {tag_of(each.tag).get("stage") for each in sent} == set(STAGES)
    assert {
        (each.stage, tag_of(each.tag)["stage"]) for each in sent if each.model is None and not each.by_dbt
    } == {(stage, stage) for stage in STAGES}


BOUNDED = [
    "select * from web.tracks where received_at >= cast('2026-11-01' as timestamp_ntz) and received_at <"
    " cast(cast(dateadd('day', 1, cast('2026-11-03' as date)) as date) as timestamp_ntz)",
    "delete from db.reconciliation_work.int_messages where received_day between cast('2026-11-01' as date) and"
    " '2026-11-03'::date and exists (select 1 from days as d where d.day = int_messages.received_day)",
    "create or replace transient table t as (select * from (select m.x from web.tracks as m inner join days as d on"
    " m.received_day = d.day and '2026-11-01' <= m.received_day and m.received_day <= '2026-11-03'))",
    "insert into t (x) select x from web.tracks as m where cast(m.received_at as date) in ('2026-11-03', '2026-11-01')",
    "select 1 from web.tracks as m where (m.received_at >= '2026-11-01' and m.received_at < dateadd('second', 900,"
    " cast('2026-11-03 12:00:00' as timestamp_ntz))) or (m.timestamp between '2026-11-01' and '2026-11-02')",
    "select 1 from web.tracks where (received_at is null) or (received_at >= '2026-11-01' and"
    " received_at <= '2026-11-03 12:00:00')",
]
UNBOUNDED = [
    "select * from web.tracks",
    "select * from web.tracks where received_at >= cast('2026-11-01' as timestamp_ntz)",
    # A join prunes at run time at best.
    "select m.x from web.tracks as m inner join days as d on m.received_day = d.day",
    "delete from db.reconciliation_work.int_messages where exists (select 1 from days as d where d.day ="
    " int_messages.received_day)",
    # The bound is another table's.
    "select m.x from web.tracks as m inner join days as d on m.received_day = d.day where d.day between '2026-11-01'"
    " and '2026-11-03'",
    # A condition of a left join leaves no row of its left side out.
    "select m.x from web.tracks as m left join days as d on m.day between '2026-11-01' and '2026-11-03'",
    "select 1 from web.tracks where event_text = 'x' or received_at between '2026-11-01' and '2026-11-03'",
    # Not a constant when the statement is compiled.
    "select 1 from web.tracks where received_at between (select min(day) from days) and (select max(day) from days)",
]


def _watched(name: str) -> bool:
    return raw(name) or keyed(name)


@pytest.mark.parametrize("sql", BOUNDED)
def test_literals_beside_the_table_are_its_days(sql: str) -> None:
    (scan,) = scans_of(sql, _watched)

    assert (scan.first, scan.last, scan.days) == (date(2026, 11, 1), date(2026, 11, 3), 3)


@pytest.mark.parametrize("sql", UNBOUNDED)
def test_a_statement_without_literal_days_on_both_sides_is_not_bounded(sql: str) -> None:
    (scan,) = scans_of(sql, _watched)

    assert not scan.bounded


@pytest.mark.parametrize(
    "sql",
    [
        "create or replace view v as select * from web.tracks",
        "insert into reconciliation_work.int_messages (x) values (1)",
        "alter session set query_tag = 'web.tracks'",
        "select count(*) from web_app.other",
    ],
)
def test_a_statement_that_reads_no_row_of_a_table_is_no_reading_of_it(sql: str) -> None:
    assert scans_of(sql, _watched) == []


def test_what_a_view_is_bounded_to_counts_for_who_reads_it() -> None:
    views: dict[str, list[Scan]] = {}
    scans_of(
        "create view w.bounded as select * from web.tracks where day between '2026-11-01' and '2026-11-09'",
        raw,
        views,
    )
    scans_of("create view w.all_rows as select * from web.tracks", raw, views)
    scans_of("create view w.later as select * from w.bounded where day >= '2026-11-03'", raw, views)

    (bounded,) = scans_of("select * from w.bounded", raw, views)
    (later,) = scans_of("select * from w.later", raw, views)
    (of_all,) = scans_of("select * from w.all_rows where day = '2026-11-01'", raw, views)
    (unbounded,) = scans_of("select * from w.all_rows", raw, views)

    assert (bounded.days, later.days, of_all.days, unbounded.days) == (9, 7, 1, None)


def test_a_condition_that_no_row_meets_reads_no_day() -> None:
    (never,) = scans_of("select 1 from web.tracks where 1 = 0", raw)
    (one,) = scans_of(
        "select 1 from web.tracks where 1 = 0 or day between '2026-11-01' and '2026-11-03'", raw
    )

    assert (never.bounded, never.days, one.days) == (True, 0, 3)


def test_a_whole_day_before_midnight_is_not_the_day_after() -> None:
    (scan,) = scans_of(
        "select 1 from web.tracks where received_at < '2026-11-03' and received_at >= '2026-11-01'", raw
    )

    assert scan.last == date(2026, 11, 3) - timedelta(days=1)
