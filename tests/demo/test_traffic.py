"""The benign shape of the demo: weeks, nights, late phones, refusals, a little noise, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from dagster_project.core.slug import slug
from dagster_project.demo.plan import EVENTS, SOURCES

WHOLE_DAYS = """"timestamp" >= '2026-09-28' and "timestamp" < '2026-11-09'"""


def test_there_is_enough_of_it(landed: Any) -> None:
    assert landed.value("select count(*) from messages") > 330_000
    quietest, usual = landed.rows(
        f"""select min(n), median(n) from
        (select "timestamp"::date, count(*) as n from messages where {WHOLE_DAYS} group by 1)"""
    )[0]
    assert quietest > 6_500
    assert 8_000 < usual < 9_500
    assert landed.value("select count(*) from (select destination from expected group by 1)") == 7


def test_rules_have_volume_to_stand_on(landed: Any) -> None:
    planned = landed.rows(
        f"""select source, event_text, count(*) / count(distinct "timestamp"::date) as daily from messages
        where {WHOLE_DAYS} and event_text in (select unnest(?)) group by all""",
        list(EVENTS),
    )
    assert len({event for _, event, _ in planned}) == len(EVENTS) >= 30
    assert all(15 < daily < 1500 for _, _, daily in planned)


def test_tracks_and_the_event_tables_hold_the_same_messages(landed: Any) -> None:
    for source in SOURCES:
        tables = landed.rows(
            """select table_name from information_schema.tables
            where table_schema = ? and table_name not in ('tracks', 'identifies')""",
            source.schema,
        )
        union = " union all by name ".join(
            f"select id, event, event_text, '{t}' as tab from {source.schema}.\"{t}\"" for (t,) in tables
        )
        assert landed.value(f"select count(*) from ({union}) where tab <> event") == 0
        one = f"select id, event, event_text from {source.schema}.tracks"
        other = f"select id, event, event_text from ({union})"
        apart = f"select count(*) from (({one} except all {other}) union all ({other} except all {one}))"
        assert landed.value(apart) == 0


def test_the_event_column_is_the_slug_of_the_name(landed: Any) -> None:
    names = landed.rows("select distinct event_text, event from messages")
    assert all(slug(name) == event for name, event in names)


def test_weekends_and_nights_are_quieter_where_people_sleep(landed: Any) -> None:
    weekend, weekdays = landed.rows(
        f"""select count(*) filter (where isodow("timestamp") >= 6) / 12,
                   count(*) filter (where isodow("timestamp") < 6) / 30
        from messages where source = 'support_service' and {WHOLE_DAYS}"""
    )[0]
    assert 0.4 < weekend / weekdays < 0.6
    night, evening = landed.rows(
        """select count(*) filter (where hour("timestamp") = 6),
                  count(*) filter (where hour("timestamp") = 18)
        from messages where source = 'web_app'"""
    )[0]
    assert night < evening / 3


def test_some_phones_deliver_hours_or_days_later(landed: Any) -> None:
    late = dict(
        landed.rows(
            """select source, avg((received_at - "timestamp" > interval 5 hours)::int)
            from messages group by 1"""
        )
    )
    assert 0.015 < late["ios_app"] < 0.025 and 0.015 < late["android_app"] < 0.025
    assert all(
        share == 0 for source, share in late.items() if not source.endswith("_app") or source == "web_app"
    )
    days = """select count(distinct date_diff('day', "timestamp", received_at)) from messages"""
    assert landed.value(days) >= 5


def test_people_refuse_advertising_once_and_for_everything(landed: Any) -> None:
    refused = landed.value(
        """select avg((not context_consent_category_preferences_advertising)::int) from messages
        where context_consent_category_preferences_advertising is not null"""
    )
    assert 0.04 < refused < 0.08
    undecided = """select count(*) from (select anonymous_id from messages where source = 'web_app' group by 1
        having count(distinct context_consent_category_preferences_advertising) > 1)"""
    assert landed.value(undecided) == 0


def test_most_of_the_web_is_anonymous_before_login(landed: Any) -> None:
    known = dict(
        landed.rows(
            """select event_text, avg((user_id is not null)::int) from messages
            where source = 'web_app' group by 1"""
        )
    )
    assert 0.4 < known["Product Viewed"] < 0.5
    assert known["Signed In"] == 1
    servers = "select count(*) from messages where user_id is null and source like '%_service'"
    assert landed.value(servers) == 0


def test_a_few_messages_land_twice_under_one_id(landed: Any) -> None:
    for source in SOURCES:
        twice, rows = landed.rows(
            f"select count(*) - count(distinct id), count(*) from {source.schema}.tracks"
        )[0]
        assert 0 < twice < 0.002 * rows


def test_message_ids_look_like_the_libraries_that_make_them(landed: Any) -> None:
    uuid = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    shapes = {
        "ajs-next": rf"ajs-next-\d{{13}}-{uuid}",
        "node-next": rf"node-next-\d{{13}}-{uuid}",
        "uuid": uuid,
        "UUID": uuid.replace("a-f", "A-F").replace("ab]", "AB]"),
    }
    for source in SOURCES:
        query = "select count(*) from messages where source = ? and not regexp_full_match(id, ?)"
        assert landed.value(query, source.name, shapes[source.message_ids]) == 0
    assert landed.value("select count(*) - count(distinct id) from messages") == 0


def test_a_column_appears_only_with_its_first_value(landed: Any) -> None:
    def columns(table: str) -> set[str]:
        return {name for name, *_ in landed.rows(f"describe {table}")}

    assert "referral_code" not in columns("web_app.signed_up")  # planned, and never filled
    assert "anonymous_id" not in columns("billing_service.tracks")
    assert "context_app_version" not in columns("web_app.tracks")
    assert {"shipping_carrier", "shipping_promised_at"} < columns("orders_service.order_shipped")


def test_properties_keep_to_the_plan_but_for_a_little_noise(landed: Any) -> None:
    for source in SOURCES:
        for event in source.events:
            if event.name not in EVENTS or event.name == "Invoice Paid":
                continue
            table = f'{source.schema}."{slug(event.name)}"'
            for prop in event.properties:
                if not prop.required:
                    continue
                wrong = f'"{prop.column}" is null'
                if prop.enum:
                    wrong += f' or "{prop.column}" not in (select unnest(?))'
                values = [list(prop.values)] if prop.enum else []
                bad, rows = landed.rows(
                    f"select count(*) filter (where {wrong}), count(*) from {table}", *values
                )[0]
                # 0.2% on average; a small event may have a few more.
                assert bad <= max(8, 0.004 * rows), (table, prop.column)


def test_a_planned_launch_and_a_test_event_are_no_incidents(landed: Any) -> None:
    started = landed.value(
        """select min("timestamp")::date from messages where event_text = 'Product Compared'"""
    )
    assert started.isoformat() == "2026-10-22"
    busiest = landed.value(
        """select max(n) from (select count(*) as n from messages where event_text = 'test_event'
        group by "timestamp"::date)"""
    )
    assert 1 <= busiest < 8
    assert {"Product Compared", "test_event"}.isdisjoint(incident.event for incident in landed.key.incidents)


# --- deliveries -----------------------------------------------------------------------------------

PLANTED_CELLS = """
    (destination, event) = ('product_analytics', 'Feature Used') and day between '2026-11-04' and '2026-11-08'
    or (destination, event) = ('lifecycle_email', 'Product Added')
       and day between '2026-10-29' and '2026-11-03'
    or destination = 'support_desk' and day = '2026-10-30'
    or (destination, event) = ('finance_reports', 'Subscription Renewed') and day >= '2026-11-02'
"""


def test_outside_the_planted_cells_only_the_steady_loss_is_missing(landed: Any) -> None:
    cells = landed.rows(
        f"""select destination, event, day, expected, missing from cells
        where not ({PLANTED_CELLS}) and day between '2026-09-28' and '2026-11-07'"""
    )
    assert len(cells) > 3000
    worst = [cell for cell in cells if cell[4] > 4 + 0.02 * cell[3] or cell[4] < 0]
    assert worst == []
    shares = landed.rows(
        f"""select destination, sum(missing) / sum(expected) from cells
        where not ({PLANTED_CELLS}) and day between '2026-09-28' and '2026-11-04' group by 1"""
    )
    assert all(0.001 < share < 0.008 for _, share in shares), shares


def test_no_destination_holds_what_nobody_sent_it(landed: Any) -> None:
    strangers = landed.rows(
        """select destination, name, count(*) from delivered as d
        where not exists (select 1 from expected as e
          where (e.destination, e.name, e.key) = (d.destination, d.name, d.key)) group by all"""
    )
    assert strangers == []
    lines = landed.rows("select distinct name from totals where name not in (select name from expected)")
    assert lines == [("Subscribtion Renewed",)]


@pytest.mark.parametrize(
    ("destination", "days"), [("product_analytics", "2026-10-25"), ("ads_conversions", "2026-11-01")]
)
def test_the_days_on_which_clocks_change_are_whole(landed: Any, destination: str, days: str) -> None:
    expected, missing = landed.rows(
        "select sum(expected), sum(missing) from cells where destination = ? and day = ?", destination, days
    )[0]
    assert expected > 100 and missing < 0.03 * expected


def test_product_analytics_writes_the_offset_of_the_moment(landed: Any) -> None:
    file = landed.exports / "product_analytics" / "2026-10-25.jsonl.gz"
    lines = f"read_json('{file}', columns={{event_time: 'varchar', insert_id: 'varchar'}})"
    offsets = landed.rows(f"select distinct right(event_time, 6) from {lines}")
    assert {offset for (offset,) in offsets} == {"+02:00", "+01:00"}
    wrong = landed.value(
        f"""select count(*) from {lines} as e
        join messages as m on m.id = e.insert_id
        where abs(epoch_ms(e.event_time::timestamptz) - epoch_ms(m."timestamp")) > 0"""
    )
    assert wrong == 0


def test_attribution_writes_the_wall_clock_of_kolkata(landed: Any) -> None:
    files = landed.exports / "attribution" / "*.parquet"
    wrong = landed.value(
        f"""select count(*) from read_parquet('{files}') as e join messages as m on m.id = e.event_id
        where e.event_time <> m."timestamp" + interval '5 hours 30 minutes'"""
    )
    assert wrong == 0
