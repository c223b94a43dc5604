"""What a rename's message says beyond its first line, and the texts in it that can be copied."""

from __future__ import annotations

import json

import pytest

from dagster_project.core import wording_renames as words


def test_a_text_literal_reads_alike_in_every_warehouse() -> None:
    assert words.sql_text("it's") == "'it''s'"
    assert words.sql_text("a\\b") == "'a' || chr(92) || 'b'"


def test_a_view_quotes_only_what_needs_it() -> None:
    view = words.sql_view("web-app", "order_paid", "Order Paid", "order_paid")
    assert view[0] == 'create or replace view "web-app".order_paid_both_names as'
    assert view[2] == 'from "web-app".tracks as t'


@pytest.mark.parametrize("name", ["", "x" * 81, "a\nb", "by ann@acme.example", "right\u202eleft"])
def test_a_name_that_is_not_shown_as_it_is_makes_no_patch(name: str) -> None:
    assert not words.copyable(name)
    assert words.patch(source="s", schema="s", slug="s", old="Old", new=name, planned=False, there={}) == {}


def test_a_planned_name_needs_no_rule() -> None:
    def made(planned: bool) -> dict:
        return words.patch(
            source="s", schema="s", slug="o", old="Old", new="New", planned=planned, there={"email": "Mail"}
        )

    assert "plan_rule" not in made(True)
    assert json.loads(made(False)["plan_rule"])["key"] == "New"
    assert made(True)["alias"] == {"email": "`- {New: Mail}`"}
    assert made(True)["mapping"] == '"Old" or "New"'


def test_splits_merges_and_shares_are_said() -> None:
    assert words.whole({"split": ["C"]}, "A", "B") == '"A" became "B" and "C" together.'
    assert words.whole({"merge": ["C"]}, "A", "B") == '"A" and "C" together became "B".'
    assert words.whole({}, "A", "B") == ""
    told = words.moved({"share_moved": 0.4, "app_versions": {"2.0": {"share_moved": 1.0}}})
    assert told == "40% of it has the new name in the last days. Under the new name by app version: 2.0 100%."
    assert words.moved({"share_moved": 1.0}) == ""


def test_users_and_versions_are_said_as_reasons() -> None:
    told = words.reasons(
        {
            "timing": {"app_versions": ["2.0"]},
            "users": {"day": "2026-11-06", "both": 1, "expected_both": 60},
        }
    )
    assert "(2.0)" in told[0]
    assert told[1] == "only 1 users sent both names on 2026-11-06, where 60 would be usual"


def test_a_renamed_property_is_said_with_both_names() -> None:
    title = words.property_title("sum", "total", "Order Paid", "app", "since 25 Oct")
    assert title == 'sum of "Order Paid" is sent as total by app since 25 Oct'
    shares = {"usual_share": 1.0, "old_now_share": 0.0, "new_now_share": 0.98}
    assert "100% of the messages had it before; now 0% have it, and 98%" in words.property_reason(shares)
    assert "coalesce(sum, total)" in words.property_next("sum", "total", "Order Paid", "app")
