"""The whole stage on a real warehouse: verdicts, results table, broken parts, hostile names, Data Docs."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from judged.conftest import Convene, Court
from judged.evidence import (
    DAY,
    NEXT,
    allowed,
    cell,
    delivered,
    healthy,
    incident,
    line,
    sent,
    together,
    workspace,
    write_suites,
)

from dagster_project.core.contracts import Destination, Route, Source
from dagster_project.core.families import FAMILIES
from dagster_project.flow.judged import WORST_ROWS, CheckResult

EMAIL, WEB = "destination:email", "source:web_app"


def statuses(results: dict[tuple[str, str], CheckResult]) -> set[str]:
    return {result.status for result in results.values()}


def not_passed(results: dict[tuple[str, str], CheckResult]) -> list[tuple[str, str]]:
    return sorted(key for key, result in results.items() if result.status != "PASS")


def test_when_all_is_well_every_check_passes(convene: Convene) -> None:
    results = convene(healthy(DAY, NEXT)).judge({"email": [DAY, NEXT]})
    assert not_passed(results) == []
    assert {result.family for result in results.values()} == set(FAMILIES)
    assert results[EMAIL, "counts.books_balance"].measured == {
        "rows": 6.0,  # four cells, and the ledgers of two days
        "failing": 0.0,
        "expected": 400.0,
        "delivered": 400.0,
        "missing": 0.0,
        "pending": 0.0,
        "duplicates": 0.0,
        "unexpected": 0.0,
        "sent": 400.0,
        "gap": 0.0,
        "unexplained": 0.0,
        "worst_missing_share": 0.0,
        "worst_duplicate_share": 0.0,
        "worst_unexpected_share": 0.0,
    }


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        pytest.param(
            {
                "cells": [cell("Third", expected=100, missing=30, delivered=70)],
                "limits": [allowed("Third")],
                "ledger": [line("sent", 100), line("incident", 30)],
            },
            [(EMAIL, "counts.missing")],
            id="too much is missing",
        ),
        pytest.param(
            {"cells": [cell("Third", expected=0, duplicates=30)], "limits": [allowed("Third")]},
            [(EMAIL, "counts.duplicates")],
            id="duplicates",
        ),
        pytest.param(
            {"cells": [cell("Third", expected=0, unexpected=30)], "limits": [allowed("Third")]},
            [(EMAIL, "counts.unexpected")],
            id="unexpected",
        ),
        pytest.param(
            {"cells": [cell("Third", expected=1, delivered=0)]},
            [(EMAIL, "counts.books_balance")],
            id="the books do not balance",
        ),
        pytest.param(
            {"cells": [cell(expected=0)]}, [(EMAIL, "counts.one_row_per_cell")], id="a cell is counted twice"
        ),
        pytest.param(
            {"ledger": [line("sent", 1)]}, [(EMAIL, "counts.gap_adds_up")], id="the gap does not add up"
        ),
        pytest.param(
            {"cells": [cell("Third")]},
            [(EMAIL, "counts.gap_adds_up")],
            id="the ledger is of other cells",
        ),
        pytest.param(
            {"ledger": [line("sent", 10), line("unexplained", 10)]},
            [(EMAIL, "counts.gap_explained")],
            id="nothing explains the gap",
        ),
        pytest.param(
            {"delivery_names": [delivered("purchase", routable=False, event=None)]},
            [(EMAIL, "names.in_contract")],
            id="a name that the contract does not list",
        ),
        pytest.param(
            {
                "not_expected": [
                    {
                        "day": DAY,
                        "destination": "email",
                        "source": "web_app",
                        "event": "Signup Completed",
                        "reason": "bad_identifier",
                        "messages": 50,
                    }
                ]
            },
            [(EMAIL, "identifiers.bad")],
            id="identifiers of a wrong shape",
        ),
        pytest.param(
            {
                "violations": [
                    {
                        "day": DAY,
                        "source": "web_app",
                        "event": "Purchase Completed",
                        "property": "revenue",
                        "rule": "type",
                        "messages": 50,
                    }
                ]
            },
            [(EMAIL, "properties.violations"), (WEB, "properties.violations")],
            id="properties that break the plan",
        ),
        pytest.param(
            {"names": [sent("purchase_completed", planned=False)]},
            [(WEB, "names.planned")],
            id="a name that is not in the plan",
        ),
    ],
)
def test_what_is_wrong_fails_its_own_check_and_no_other(
    convene: Convene, change: dict[str, list[dict[str, Any]]], failing: list[tuple[str, str]]
) -> None:
    results = convene(together(healthy(), change)).judge()
    assert not_passed(results) == failing
    for key in failing:
        assert results[key].status == "FAIL"
        assert [each.day for each in results[key].days] == [DAY]


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        pytest.param(
            {"cells": [cell(event, exported=False, missing=0, delivered=100) for event in ("a", "b")]},
            [(EMAIL, "freshness.export_landed")],
            id="no export",
        ),
        pytest.param(
            {"cells": []},
            [
                (EMAIL, "counts.every_day_counted"),
                (EMAIL, "counts.gap_adds_up"),
                (EMAIL, "freshness.export_landed"),
            ],
            id="nobody counted",
        ),
        pytest.param(
            {"export_health": [{"destination": "email", "status": "broken", "problem": "no file"}]},
            [(EMAIL, "freshness.export_readable")],
            id="the export cannot be read",
        ),
        pytest.param(
            {"source_health": [{"source": "web_app", "status": "broken", "problem": "no table"}]},
            [(WEB, "freshness.source_readable")],
            id="the source cannot be read",
        ),
    ],
)
def test_what_is_absent_fails(
    convene: Convene, change: dict[str, list[dict[str, Any]]], failing: list[tuple[str, str]]
) -> None:
    assert not_passed(convene(healthy() | change).judge()) == failing


@pytest.mark.parametrize(
    ("kind", "rule_id"),
    [
        ("event_renamed", "names.no_blocking_difference"),
        ("delivery_loss", "counts.no_blocking_difference"),
        ("source_stopped", "freshness.no_blocking_difference"),
        ("identifier_format", "identifiers.no_blocking_difference"),
        ("property_violation", "properties.no_blocking_difference"),
    ],
)
@pytest.mark.parametrize("severity", ["error", "critical"])
def test_an_open_incident_of_error_or_worse_fails_its_family_on_its_days(
    convene: Convene, kind: str, rule_id: str, severity: str
) -> None:
    court = convene(together(healthy(DAY, NEXT), incident(kind, severity, days=(NEXT,))))
    results = court.judge({"email": [DAY, NEXT]})
    assert not_passed(results) == [(EMAIL, rule_id)]
    failed = results[EMAIL, rule_id]
    assert failed.gates
    assert [each.day for each in failed.days] == [NEXT]
    assert set(failed.failing["incident_id"]) == {"inc_1"}
    assert set(failed.failing["destination"]) == {"email"}


def test_incidents_that_are_mild_or_resolved_fail_nothing(convene: Convene) -> None:
    mild = incident("delivery_loss", "warning", incident_id="inc_mild")
    over = incident("delivery_stopped", "critical", incident_id="inc_over", status="resolved")
    assert not_passed(convene(together(healthy(), mild, over)).judge()) == []


def test_a_window_whose_incident_is_not_in_the_table_counts_as_open(convene: Convene) -> None:
    lost = {"windows": incident("delivery_loss", "critical")["windows"]}
    assert not_passed(convene(together(healthy(), lost)).judge()) == [
        (EMAIL, "counts.no_blocking_difference")
    ]


def test_a_source_that_fell_silent_fails_when_it_declares_how_fresh_it_is(convene: Convene) -> None:
    contract = workspace().model_copy(
        update={"sources": (Source(name="web_app", freshness=timedelta(hours=6)),)}
    )
    health = {"source": "web_app", "status": "ok", "problem": None, "messages": 9}
    silent = convene(
        healthy() | {"source_health": [health | {"last_received_at": datetime(2026, 10, 20, 17)}]}, contract
    )
    assert not_passed(silent.judge()) == [(WEB, "freshness.not_silent")]


def test_no_rows_pass_and_say_so(convene: Convene) -> None:
    result = convene(healthy()).judge()[EMAIL, "identifiers.bad"]
    assert (result.status, result.measured["rows"]) == ("PASS", 0.0)
    assert result.message == "destination email, identifiers: nothing to judge, 0 rows"


def test_only_the_days_that_were_asked_for_are_judged(convene: Convene) -> None:
    wrong = {"cells": [cell("Third", NEXT, delivered=1)], "ledger": [line("sent", 1, NEXT)]}
    court = convene(together(healthy(DAY, NEXT), wrong))
    assert not_passed(court.judge({"email": [DAY]})) == []
    assert not_passed(court.judge({"email": [DAY, NEXT]})) == [(EMAIL, "counts.books_balance")]


def test_nothing_to_judge_judges_nothing(convene: Convene) -> None:
    court = convene(healthy())
    assert court.judge({}) == {}
    assert court.judge({"email": []}) == {}


def test_a_destination_that_is_not_in_the_contract_is_refused(convene: Convene) -> None:
    with pytest.raises(ValueError, match="no destination is named 'emial'; the contract has email"):
        convene(healthy()).judge({"emial": [DAY]})


def test_the_message_says_where_what_how_many_and_what_next(convene: Convene) -> None:
    loss = {"cells": [cell("Third", expected=100, missing=30)], "limits": [allowed("Third")]}
    result = convene(together(healthy(), loss)).judge()[EMAIL, "counts.missing"]
    assert result.message == (
        'destination email, counts: "What is missing stays within the event\'s limit" does not hold for 1 of '
        '4 rows on 1 day, worst 2026-10-20 event "Third" (missing 30, allowed_missing 4); '
        "`recon incidents` tells what is known about it"
    )


def test_the_worst_fifty_rows_are_kept_and_all_are_counted(convene: Convene) -> None:
    many = {
        "cells": [cell(f"e{i}", expected=1_000, missing=200 + i) for i in range(120)],
        "limits": [allowed(f"e{i}") for i in range(120)],
    }
    result = convene(together(healthy(), many)).judge()[EMAIL, "counts.missing"]
    assert (len(result.failing), result.failing_count) == (WORST_ROWS, 120)
    assert list(result.failing["missing"][:2]) == [319.0, 318.0]


class TestTable:
    def test_it_has_one_row_a_check_and_one_a_failing_day(self, convene: Convene) -> None:
        wrong = {
            "cells": [cell("Third", NEXT, delivered=95, expected=100)],
            "ledger": [line("sent", 95, NEXT)],
        }
        court = convene(together(healthy(DAY, NEXT), wrong))
        results = court.judge({"email": [DAY, NEXT]})
        table = court.table()
        assert len(table) == len(results) + 1
        of_day, summary = table[table["rule_id"] == "counts.books_balance"].to_dict("records")
        assert str(of_day["day"])[:10] == "2026-10-21"
        assert summary["day"] != summary["day"] or summary["day"] is None
        assert json.loads(of_day["measured"]) == {
            "failing": 1,
            "expected": 100,
            "delivered": 95,
            "missing": 0,
            "pending": 0,
            "duplicates": 0,
            "unexpected": 0,
            "sent": 0,
            "gap": 0,
            "unexplained": 0,
            "worst_missing_share": 0,
            "worst_duplicate_share": 0,
            "worst_unexpected_share": 0,
        }
        assert json.loads(summary["measured"])["rows"] == 7
        for row in (of_day, summary):
            assert (row["run_id"], row["subject"], row["family"]) == ("run_1", EMAIL, "counts")
            assert (row["destination"], row["status"], bool(row["gates"])) == ("email", "FAIL", True)
            assert row["message"].startswith("destination email, counts:")

    def test_days_are_days_and_summaries_have_none(self, convene: Convene) -> None:
        wrong = {"cells": [cell("Third", NEXT, delivered=95)], "ledger": [line("sent", 95, NEXT)]}
        court = convene(together(healthy(DAY, NEXT), wrong))
        court.judge({"email": [DAY, NEXT]})
        found = court.warehouse.frame(
            "select status, cast(day as varchar) as day, count(*) as n"
            " from reconciliation_work.check_results group by all order by all"
        )
        failed = found[found["status"] == "FAIL"]
        assert [None if d != d else d for d in failed["day"]] == ["2026-10-21", None]
        assert list(failed["n"]) == [1, 1]

    def test_a_run_that_is_repeated_leaves_the_same_table(self, convene: Convene) -> None:
        court = convene(together(healthy(), incident("delivery_loss")))
        court.judge()
        first = court.table()
        court.judge()
        assert court.table().equals(first)
        court.judge(run_id="run_2")
        assert len(court.table()) == 2 * len(first)

    def test_a_source_has_no_destination(self, convene: Convene) -> None:
        court = convene(together(healthy(), {"names": [sent("x", planned=False)]}))
        court.judge()
        rows = court.table()
        rows = rows[rows["rule_id"] == "names.planned"]
        assert list(rows["status"]) == ["FAIL", "FAIL"]
        assert rows["destination"].isna().all()


class TestBroken:
    def test_a_suite_that_is_not_json_is_an_error_and_stops_nobody_else(self, convene: Convene) -> None:
        court = convene(healthy())
        (court.suites_dir / "email__counts.json").write_text("{,", encoding="utf-8")
        results = court.judge()
        assert not_passed(results) == [(EMAIL, "counts.suite")]
        broken = results[EMAIL, "counts.suite"]
        assert (broken.status, broken.gates) == ("ERROR", True)
        assert [each.day for each in broken.days] == [DAY]
        assert broken.message.startswith("expectations/suites/email__counts.json:1:2: not JSON")

    @pytest.mark.parametrize("content", [b"\xff\xfe", b"[]", b'{"expectations": 1}'])
    def test_a_suite_of_another_shape_is_an_error(self, convene: Convene, content: bytes) -> None:
        court = convene(healthy())
        (court.suites_dir / "email__names.json").write_bytes(content)
        assert court.judge()[EMAIL, "names.suite"].status == "ERROR"

    def test_a_suite_that_is_not_there_is_an_error(self, convene: Convene) -> None:
        court = convene(healthy())
        (court.suites_dir / "email__freshness.json").unlink()
        broken = court.judge()[EMAIL, "freshness.suite"]
        assert broken.status == "ERROR"
        assert "the file is not there; run `recon generate`" in broken.message

    def test_a_rule_that_holds_the_gate_cannot_be_taken_out(self, convene: Convene) -> None:
        court = convene(together(healthy(), incident("delivery_loss", "critical")))
        file = court.suites_dir / "email__counts.json"
        suite = json.loads(file.read_text(encoding="utf-8"))
        suite["expectations"] = suite["expectations"][1:]
        file.write_text(json.dumps(suite), encoding="utf-8")
        broken = court.judge()[EMAIL, "counts.no_blocking_difference"]
        assert (broken.status, broken.gates) == ("ERROR", True)
        assert "run `recon generate`" in broken.message

    def test_a_rule_that_holds_the_gate_cannot_be_weakened(self, convene: Convene) -> None:
        court = convene(together(healthy(), incident("delivery_loss", "critical")))
        file = court.suites_dir / "email__counts.json"
        suite = json.loads(file.read_text(encoding="utf-8"))
        suite["expectations"][0]["kwargs"]["mostly"] = 0.0
        file.write_text(json.dumps(suite), encoding="utf-8")
        assert court.judge()[EMAIL, "counts.no_blocking_difference"].status == "ERROR"

    @pytest.mark.parametrize(
        ("table", "families"),
        [
            ("reconciliation_work.int_cells_daily", {"counts", "freshness", "identifiers"}),
            ("reconciliation_work.int_delivery_names_daily", {"names"}),
            ("reconciliation_work.incident_windows", set(FAMILIES)),
        ],
    )
    def test_evidence_that_cannot_be_read_breaks_who_needs_it(
        self, convene: Convene, table: str, families: set[str]
    ) -> None:
        court = convene(healthy())
        court.warehouse.execute(f"drop table {table}")
        results = court.judge()
        assert {result.family for result in results.values() if result.status == "ERROR"} == families
        assert statuses(results) <= {"PASS", "ERROR"}
        for result in results.values():
            if result.status == "ERROR":
                assert table in result.message
                assert [each.day for each in result.days] == [DAY]

    @pytest.mark.parametrize(
        "table", ["reconciliation_work.diagnosis_limits", "reconciliation.gap_ledger_daily"]
    )
    def test_what_the_diagnosis_writes_may_not_be_there_yet(self, convene: Convene, table: str) -> None:
        court = convene(healthy())
        court.warehouse.execute(f"drop table {table}")
        assert not_passed(court.judge()) == []


class TestHandwork:
    def add(self, folder: Any, name: str, *more: dict[str, Any]) -> None:
        suite = json.loads((folder / name).read_text(encoding="utf-8"))
        suite["expectations"] += more
        (folder / name).write_text(json.dumps(suite), encoding="utf-8")

    def test_it_is_judged_and_holds_the_gate_when_it_says_so(self, convene: Convene) -> None:
        court = convene(healthy())
        few = {
            "type": "expect_column_sum_to_be_between",
            "kwargs": {"column": "expected", "min_value": 1_000},
        }
        self.add(
            court.suites_dir, "email__counts.json", few | {"meta": {"gates": True, "rule_id": "ada.1"}}, few
        )
        results = court.judge()
        failed = [results[key] for key in not_passed(results)]
        assert [(each.rule_id[:5], each.status, each.gates) for each in failed] == [
            ("ada.1", "FAIL", True),
            ("count", "FAIL", False),
        ]
        assert failed[0].measured["observed"] == 200.0
        assert [each.day for each in failed[0].days] == [DAY]

    def test_it_has_the_same_rule_id_every_time_and_two_never_share_one(self, convene: Convene) -> None:
        court = convene(healthy())
        each = {"type": "expect_column_to_exist", "kwargs": {"column": "day"}}
        self.add(court.suites_dir, "email__counts.json", each, each)
        first = set(court.judge())
        assert set(court.judge()) == first
        assert sum("expect_column_to_exist" in rule_id for _, rule_id in first) == 2

    def test_one_that_broke_does_not_break_the_rest(self, convene: Convene) -> None:
        court = convene(healthy())
        self.add(
            court.suites_dir, "email__counts.json", {"type": "expect_miracles", "meta": {"rule_id": "x"}}
        )
        results = court.judge()
        assert not_passed(results) == [(EMAIL, "x")]
        assert results[EMAIL, "x"].status == "ERROR"
        assert "expect_miracles" in results[EMAIL, "x"].message

    def test_a_file_of_ones_own_is_judged_when_it_says_on_what(self, convene: Convene) -> None:
        court = convene(healthy())
        mine = {
            "type": "expect_table_row_count_to_equal",
            "kwargs": {"value": 7},
            "meta": {"rule_id": "mine"},
        }
        content = {
            "name": "mine",
            "meta": {"destination": "email", "family": "counts"},
            "expectations": [mine],
        }
        (court.suites_dir / "mine.json").write_text(json.dumps(content), encoding="utf-8")
        (court.suites_dir / "else.json").write_text('{"expectations": []}', encoding="utf-8")
        (court.suites_dir / "none.json").write_text("no JSON", encoding="utf-8")
        assert not_passed(court.judge()) == [(EMAIL, "mine")]


class TestDataDocs:
    def test_there_is_a_page_for_each_suite_and_an_index_that_links_to_it(self, convene: Convene) -> None:
        court = convene(together(healthy(), incident("delivery_loss")))
        court.judge(docs=True)
        pages = court.pages()
        assert set(pages) == {"index", *(path.stem for path in court.suites_dir.glob("*.json"))}
        links = re.findall(r"'_table_row_link_path': '([^']+)'", pages["index"])
        assert {link.split("/")[1] for link in links} == set(pages) - {"index"}
        for link in links:
            assert (court.docs_dir / link).is_file()

    def test_the_time_of_a_run_is_utc(self, convene: Convene) -> None:
        court = convene(healthy())
        court.judge(docs=True)
        assert all(
            "20261022T063000" in path.parts[-2] for path in court.docs_dir.glob("validations/**/*.html")
        )

    def test_a_failing_row_is_shown_with_what_it_is_about(self, convene: Convene) -> None:
        court = convene(together(healthy(), incident("delivery_loss", event="Purchase Completed")))
        court.judge(docs=True)
        page = court.pages()["email__counts"]
        assert "destination=email, day=2026-10-20, event=Purchase Completed" in page
        assert "incident_id=inc_1" in page

    def test_a_check_that_could_not_be_run_is_on_its_page(self, convene: Convene) -> None:
        court = convene(healthy())
        for name, right, wrong in (
            ("names", '"column": "name"', '"column": "nome<b>$x"'),
            ("freshness", "expect_column_values_to_be_in_set", "expect_miracles"),
        ):
            file = court.suites_dir / f"email__{name}.json"
            file.write_text(file.read_text(encoding="utf-8").replace(right, wrong, 1), encoding="utf-8")
        court.judge(docs=True)
        pages = court.pages()
        assert "nome&lt;b&gt;&#36;x" in pages["email__names"]
        assert "expect_miracles cannot be run" in pages["email__freshness"]
        assert "Failed" in pages["email__freshness"]

    def test_a_run_over_one_destination_leaves_the_pages_of_the_others(self, convene: Convene) -> None:
        two = workspace()
        two = two.model_copy(
            update={"destinations": (*two.destinations, Destination(name="ads", sources=("web_app",)))}
        )
        court = convene(healthy(), two)
        court.judge({"email": [DAY], "ads": [DAY]}, docs=True)
        court.judge({"email": [DAY]}, run_id="run_2", docs=True)
        pages = court.pages()
        assert {"email__counts", "ads__counts"} <= set(pages)
        assert "run_2" in pages["email__counts"]
        assert "run_1" in pages["ads__counts"]

    def test_only_the_latest_result_of_each_suite_is_kept_and_none_of_one_that_left(
        self, convene: Convene
    ) -> None:
        court = convene(healthy())
        for run_id in ("run_1", "run_2", "run_3"):
            court.judge(run_id=run_id, docs=True)
        suites = {path.stem for path in court.suites_dir.glob("*.json")}
        assert set(court.pages()) == {"index", *suites}
        (court.suites_dir / "email__names.json").rename(court.suites_dir / "email__old.json")
        court.judge(run_id="run_4", docs=True)
        assert "email__names" not in court.pages()

    def test_nothing_is_left_of_a_build_that_was_killed(self, convene: Convene) -> None:
        court = convene(healthy())
        leftover = court.docs_dir.with_name(f".{court.docs_dir.name}.new") / "validations" / "old.html"
        leftover.parent.mkdir(parents=True)
        leftover.write_text("old")
        court.judge(docs=True)
        assert not leftover.exists()
        assert [path.name for path in court.docs_dir.parent.iterdir() if path.name.startswith(".data")] == []

    def test_verdicts_stand_when_the_pages_cannot_be_written(self, convene: Convene) -> None:
        court = convene(healthy())
        court.docs_dir.write_text("a file where the folder should be")
        (court.docs_dir.parent / "gx").write_text("and another")
        assert not_passed(court.judge(docs=True)) == []
        assert len(court.table()) > 0


HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert('2')>",
    "${styling} $template $PARAMETER {{ 7*7 }} {% raw %}",
    "[x](javascript:alert(3)) `code` **bold**",
    "&lt;script&gt;alert(4)&lt;/script&gt;",
    "'; drop table reconciliation.incidents; --",
    "\u202egnp.exe\u200b",
    "x" * 10_000,
    "",
    "null",
    "line one\nline two\ttab",
]


@pytest.fixture
def hostile(convene: Convene) -> Court:
    """A court whose evidence holds every hostile name wherever data can bring one."""
    broken = {"day": DAY, "source": "web_app", "event": "Purchase Completed", "rule": "type", "messages": 90}
    incidents = [
        incident("delivery_loss", "critical", event=name, source="web_app", incident_id=f"inc_{index}")
        for index, name in enumerate(HOSTILE)
    ]
    return convene(
        together(
            healthy(),
            {
                "names": [sent(name, planned=False) for name in HOSTILE],
                "cells": [cell(name, missing=50) for name in HOSTILE],
                "limits": [allowed(name) for name in HOSTILE],
                "ledger": [line("sent", 100 * len(HOSTILE)), line("incident", 50 * len(HOSTILE))],
                "delivery_names": [delivered(name, routable=False) for name in HOSTILE],
                "violations": [broken | {"property": name} for name in HOSTILE],
            },
            *incidents,
        )
        | {"source_health": [{"source": "web_app", "status": "broken", "problem": HOSTILE[0]}]}
    )


def test_a_hostile_name_is_only_a_name(hostile: Court) -> None:
    results = hostile.judge()
    assert set(not_passed(results)) == {
        (EMAIL, "names.in_contract"),
        (EMAIL, "counts.no_blocking_difference"),
        (EMAIL, "counts.missing"),
        (EMAIL, "properties.violations"),
        (WEB, "names.planned"),
        (WEB, "properties.violations"),
        (WEB, "freshness.source_readable"),
    }
    assert statuses(results) == {"PASS", "FAIL"}
    failing = results[EMAIL, "counts.no_blocking_difference"].failing
    assert dict(zip(failing["event"], failing["incident_id"], strict=True)) == {
        name: f"inc_{index}" for index, name in enumerate(HOSTILE)
    }
    for result in results.values():
        for message in (result.message, *(each.message for each in result.days)):
            assert len(message) < 1_000
            assert message.isprintable()


def test_a_hostile_name_is_text_on_every_page(hostile: Court) -> None:
    hostile.judge(docs=True)
    pages = hostile.pages()
    assert len(pages) == 10
    for page in pages.values():
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert 'href="javascript' not in page
        assert "\u202e" not in page
        assert "&amp;lt;script&amp;gt;alert(1)" not in page  # escaped once
        assert len(page) < 400_000
    for page in ("email__names", "email__counts", "email__properties", "source_web_app__names"):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages[page]
        assert "&#36;{styling} &#36;template &#36;PARAMETER {{ 7*7 }}" in pages[page]
        assert "&amp;lt;script&amp;gt;alert(4)" in pages[page]  # its name really is &lt;script&gt;


def test_names_of_the_contract_are_text_on_the_pages_too(convene: Convene) -> None:
    contract = workspace(
        events=(
            Route(event="e", destination_name="<script>alert(1)</script>"),
            Route(event="f", destination_name="$x"),
        )
    )
    court = convene(healthy(), contract)
    court.judge(docs=True)
    page = court.pages()["email__names"]
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_sixty_suites_are_judged_each_on_its_own_rows(convene: Convene) -> None:
    names = [f"d{i}" for i in range(12)]
    contract = workspace().model_copy(
        update={
            "sources": (Source(name="web_app"),),
            "destinations": tuple(workspace(name=name, events=None).destinations[0] for name in names),
        }
    )
    days = [date(2026, 10, 1 + i) for i in range(3)]
    evidence = {
        "names": [sent("Signup Completed", day) for day in days],
        "cells": [
            cell("Signup Completed", day, destination=name, delivered=99 if name == "d7" else 100)
            for name in names
            for day in days
        ],
        "source_health": healthy()["source_health"],
        "export_health": [{"destination": name, "status": "ok"} for name in names],
    }
    court = convene(evidence, contract)
    write_suites(court.suites_dir, contract)
    results = court.judge(dict.fromkeys(names, days))
    assert not_passed(results) == [("destination:d7", "counts.books_balance")]
    assert [each.day for each in results["destination:d7", "counts.books_balance"].days] == days
