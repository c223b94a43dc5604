"""What each family looks at: rows, shares, limits, and the incident that covers a row."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from judged.evidence import (
    DAY,
    NEXT,
    allowed,
    cell,
    delivered,
    frames,
    healthy,
    incident,
    line,
    plan,
    sent,
    together,
    workspace,
)

from dagster_project.core.contracts import Source, Workspace
from dagster_project.core.families import (
    FAMILIES,
    FAMILIES_OF,
    KINDS,
    Evidence,
    Subject,
    family_of,
    judged_frame,
    measured,
    worst_first,
)

EMAIL = Subject("destination", "email")
WEB = Subject("source", "web_app")

VOCABULARY = (
    "event_renamed event_stopped unplanned_event property_violation identifier_format duplicate_events"
    " volume_anomaly source_stopped delivery_stopped delivery_loss duplicate_delivery name_mismatch"
    " export_incomplete export_late timezone_shift unexplained"
)


def frame(
    family: str,
    evidence: dict[str, list[dict[str, Any]]],
    contract: Workspace | None = None,
    subject: Subject = EMAIL,
    days: tuple[date, ...] = (DAY,),
) -> pd.DataFrame:
    return judged_frame(subject, family, Evidence(frames(evidence)), contract or workspace(), days)


def only(rows: pd.DataFrame) -> dict[str, Any]:
    assert len(rows) == 1, rows
    return dict(rows.iloc[0])


def test_every_kind_of_incident_belongs_to_one_family() -> None:
    assert sorted(kind for kinds in KINDS.values() for kind in kinds) == sorted(VOCABULARY.split(" "))


def test_a_kind_that_nobody_listed_is_judged_as_counts() -> None:
    assert family_of("something_new") == "counts"
    rows = frame("counts", together(healthy(), incident("something_new", "critical")))
    assert set(rows["severity"]) == {"critical"}


@pytest.mark.parametrize("subject", [EMAIL, WEB], ids=str)
def test_no_evidence_at_all_gives_frames_of_the_same_columns(subject: Subject) -> None:
    for family in FAMILIES_OF[subject.kind]:
        columns = list(frame(family, healthy(), subject=subject).columns)
        assert list(frame(family, {}, subject=subject).columns) == columns


@pytest.mark.parametrize("family", FAMILIES)
def test_an_incident_that_covers_no_row_gets_one_of_its_own(family: str) -> None:
    kind = sorted(KINDS[family])[0]
    rows = frame(family, incident(kind, "error", event="Never Seen"))
    own = rows[rows["incident_id"].notna()]
    assert list(own["severity"]) == ["error"]
    assert list(own["day"]) == ["2026-10-20"]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_incident_of_another_family_covers_nothing(family: str) -> None:
    others = [sorted(KINDS[other])[0] for other in FAMILIES if other != family]
    parts = [incident(kind, "critical", incident_id=f"inc_{kind}") for kind in others]
    assert set(frame(family, together(healthy(), *parts))["severity"]) <= {"none"}


class TestIncidents:
    def test_an_incident_of_one_event_leaves_the_others_alone(self) -> None:
        rows = frame("counts", together(healthy(), incident("delivery_loss", event="Purchase Completed")))
        by_event = dict(zip(rows["event"], rows["severity"], strict=True))
        assert by_event == {None: "none", "Purchase Completed": "error", "Signup Completed": "none"}

    def test_an_incident_without_an_event_covers_them_all(self) -> None:
        rows = frame("counts", together(healthy(), incident("delivery_stopped", "critical")))
        assert list(rows["severity"]) == ["critical", "critical", "critical"]  # two events and the day itself

    def test_the_worst_of_several_counts_and_names_itself(self) -> None:
        rows = frame(
            "counts",
            together(
                healthy(),
                incident("delivery_loss", "warning", incident_id="inc_mild"),
                incident("duplicate_delivery", "critical", incident_id="inc_bad", event="Signup Completed"),
                incident("unexplained", "error", incident_id="inc_middle", event="Signup Completed"),
            ),
        )
        by_event = {row["event"]: (row["severity"], row["incident_id"]) for _, row in rows.iterrows()}
        assert by_event == {
            None: ("warning", "inc_mild"),
            "Purchase Completed": ("warning", "inc_mild"),
            "Signup Completed": ("critical", "inc_bad"),
        }

    def test_a_milder_incident_that_covers_no_row_is_still_there(self) -> None:
        rows = frame(
            "counts",
            together(
                healthy(),
                incident("delivery_loss", "critical", incident_id="inc_bad"),
                incident("delivery_stopped", "error", incident_id="inc_gone", event="Gone"),
            ),
        )
        assert list(rows[rows["event"] == "Gone"]["incident_id"]) == ["inc_gone"]

    def test_a_word_that_is_no_severity_counts_as_the_worst(self) -> None:
        rows = frame(
            "counts",
            together(
                healthy(),
                incident("delivery_loss", "error", incident_id="inc_1"),
                incident("unexplained", "fatal", incident_id="inc_2"),
            ),
        )
        assert set(rows["incident_id"]) == {"inc_2"}

    def test_other_days_and_other_destinations_are_left_alone(self) -> None:
        rows = frame(
            "counts",
            together(
                healthy(DAY, NEXT),
                incident("delivery_loss", days=(NEXT,)),
                incident("delivery_loss", destination="other", incident_id="inc_2"),
            ),
            days=(DAY, NEXT),
        )
        assert set(rows[rows["day"] == "2026-10-20"]["severity"]) == {"none"}
        assert set(rows[rows["day"] == "2026-10-21"]["severity"]) == {"error"}

    def test_a_rename_covers_deliveries_under_either_name(self) -> None:
        rows = frame(
            "names",
            together(
                healthy(),
                {"delivery_names": [delivered("purchase_completed", routable=False, event=None)]},
                incident("event_renamed", event="Purchase Completed", renamed_to="purchase_completed"),
            ),
        )
        by_name = dict(zip(rows["name"], rows["severity"], strict=True))
        assert by_name == {"Purchase": "error", "Signup Completed": "none", "purchase_completed": "error"}

    def test_a_source_has_its_incident_on_all_of_its_days_even_without_a_destination(self) -> None:
        rows = frame(
            "names",
            together(
                healthy(DAY, NEXT),
                incident(
                    "unplanned_event",
                    "warning",
                    destination=None,
                    source="web_app",
                    event="Oops",
                    days=(NEXT,),
                ),
            ),
            subject=WEB,
            days=(DAY, NEXT),
        )
        assert list(rows[rows["severity"] == "warning"]["day"]) == ["2026-10-21"]

    def test_a_source_is_not_told_of_the_incidents_of_another(self) -> None:
        found = incident("source_stopped", "critical", source="ios_app")
        assert set(frame("freshness", together(healthy(), found), subject=WEB)["severity"]) == {"none"}


class TestCounts:
    def test_shares_are_of_what_was_expected(self) -> None:
        row = only(frame("counts", {"cells": [cell(expected=200, missing=10, duplicates=4, unexpected=2)]}))
        assert (row["missing_share"], row["duplicate_share"], row["unexpected_share"]) == (0.05, 0.02, 0.01)

    def test_a_day_that_is_not_mature_has_no_missing_share(self) -> None:
        row = only(frame("counts", {"cells": [cell(missing=0, pending=100, mature=False)]}))
        assert pd.isna(row["missing_share"])

    def test_what_is_allowed_is_what_the_diagnosis_allowed_this_cell(self) -> None:
        evidence = {
            "cells": [cell(expected=200)],
            "limits": [
                allowed(allowed_missing=12, allowed_duplicates=3, allowed_unexpected=0),
                allowed(day=NEXT, most=99),
                allowed("Purchase Completed", most=99),
                allowed(destination="other", most=99),
            ],
        }
        row = only(frame("counts", evidence))
        assert [row[f"allowed_{what}"] for what in ("missing", "duplicates", "unexpected")] == [12, 3, 0]
        assert row["limit"] == 0.06

    def test_a_cell_that_the_diagnosis_did_not_judge_has_no_limits(self) -> None:
        row = only(frame("counts", {"cells": [cell(missing=90)]}))
        assert [row[c] for c in ("allowed_missing", "allowed_duplicates", "limit") if pd.notna(row[c])] == []

    def test_neither_has_one_of_a_day_that_is_not_complete(self) -> None:
        evidence = {"cells": [cell(pending=9, mature=False, duplicates=50)], "limits": [allowed()]}
        assert pd.isna(only(frame("counts", evidence))["allowed_duplicates"])

    def test_nothing_expected_is_no_division_by_zero(self) -> None:
        row = only(frame("counts", {"cells": [cell(expected=0, duplicates=7)], "limits": [allowed()]}))
        assert (row["duplicate_share"], row["limit"]) == (7.0, 4.0)

    def test_a_day_that_was_not_counted_is_a_row(self) -> None:
        rows = frame("counts", {"cells": [cell(day=DAY)]}, days=(DAY, NEXT))
        assert dict(zip(rows["day"], rows["cells"], strict=True)) == {"2026-10-20": 1.0, "2026-10-21": 0.0}


class TestLedger:
    def day(self, *lines: dict[str, Any], **contract: Any) -> dict[str, Any]:
        evidence = {"cells": [cell(expected=900, missing=30)], "ledger": list(lines)}
        rows = frame("counts", evidence, workspace(**contract))
        return only(rows[rows["event"].isna()])

    def test_each_day_has_a_row_of_its_own_with_what_arrived_by_the_cells(self) -> None:
        row = self.day(
            line("sent", 1_000),
            line("delivered", 123_456),
            line("consent", 100),
            line("incident", 10, kind="delivery_loss"),
            line("incident", 9, kind="event_renamed"),
            line("unexplained", 11),
            line("not_routed", 5_000),
        )
        assert (row["sent"], row["arrived"], row["gap"], row["unexplained"]) == (1_000, 870, 130, 11)
        assert pd.isna(row["expected"]) and pd.isna(row["cells"])

    @pytest.mark.parametrize(
        ("sent", "steady", "tolerance", "limit"),
        [
            pytest.param(100, 0, None, 5, id="five messages are nothing"),
            pytest.param(10_000, 0, None, 50, id="half a percent"),
            pytest.param(10_000, 400, None, 80, id="what chance adds to the usual loss"),
            pytest.param(10_000, 0, 0.02, 200, id="what the contract tolerates"),
        ],
    )
    def test_what_may_stay_unexplained_is(
        self, sent: int, steady: int, tolerance: float | None, limit: int
    ) -> None:
        row = self.day(line("sent", sent), line("steady_loss", steady), tolerance=tolerance)
        assert row["allowed_unexplained"] == limit

    def test_a_day_may_leave_unexplained_what_a_single_event_may_lose(self) -> None:
        evidence = {
            "cells": [cell(), cell("Purchase Completed")],
            "limits": [allowed(most=9), allowed("Purchase Completed", most=7)],
            "ledger": [line("sent", 200)],
        }
        rows = frame("counts", evidence)
        assert only(rows[rows["event"].isna()])["allowed_unexplained"] == 9

    def test_a_day_without_a_ledger_has_no_such_row(self) -> None:
        assert frame("counts", {"cells": [cell()]})["event"].notna().all()

    def test_a_day_that_was_not_counted_and_its_ledger_are_one_row(self) -> None:
        row = only(frame("counts", {"ledger": [line("sent", 7)]}))
        assert (row["cells"], row["sent"], row["arrived"]) == (0.0, 7.0, 0.0)


class TestFreshness:
    @pytest.mark.parametrize(
        ("cells", "export"),
        [
            pytest.param([cell()], "landed", id="it is there"),
            pytest.param([cell(exported=False, missing=100)], "absent", id="mature and nothing came"),
            pytest.param([cell(exported=False, pending=100, mature=False)], "pending", id="may still come"),
            pytest.param([cell(exported=False, expected=0)], "nothing_expected", id="nothing was expected"),
            pytest.param([], "absent", id="nobody counted"),
        ],
    )
    def test_a_day_is(self, cells: list[dict[str, Any]], export: str) -> None:
        assert only(frame("freshness", healthy() | {"cells": cells}))["export"] == export

    def test_a_destination_that_gets_everything_and_got_nothing_expected_nothing(self) -> None:
        contract = Workspace(name="acme", sources=(Source(name="web_app"),), destinations=())
        contract = contract.model_copy(update={"destinations": workspace(events=None).destinations})
        assert only(frame("freshness", {}, contract))["export"] == "nothing_expected"

    def test_an_export_of_which_nothing_is_known_is_not_ok(self) -> None:
        assert only(frame("freshness", healthy() | {"export_health": []}))["health"] == "unknown"

    def test_a_source_is_silent_since_its_last_message_until_the_end_of_the_day_in_its_zone(self) -> None:
        contract = Workspace(
            name="acme",
            timezone="America/New_York",
            sources=(Source(name="web_app", freshness=timedelta(hours=12)),),
            plans={"web_app": plan()},
        )
        health = [{"source": "web_app", "status": "ok", "last_received_at": datetime(2026, 10, 20, 16)}]
        row = only(frame("freshness", {"source_health": health}, contract, WEB))
        assert (row["silent_hours"], row["limit_hours"]) == (12.0, 12.0)


class TestSharesOfMessages:
    def test_bad_identifiers_are_held_to_a_limit_and_absent_ones_are_not(self) -> None:
        lost = {"day": DAY, "destination": "email", "source": "web_app", "event": "Signup Completed"}
        evidence = {
            "cells": [cell(expected=700)],
            "not_expected": [
                lost | {"reason": "bad_identifier", "messages": 100},
                lost | {"reason": "bad_identifier", "messages": 100, "source": "ios_app"},
                lost | {"reason": "no_identifier", "messages": 100},
                lost | {"reason": "consent", "messages": 5_000},
            ],
        }
        rows = frame("identifiers", evidence).set_index("reason")
        assert list(rows.index) == ["bad_identifier", "no_identifier"]
        assert rows.loc["bad_identifier", "share"] == 0.2
        assert rows.loc["bad_identifier", "limit"] == 0.05
        assert pd.isna(rows.loc["no_identifier", "limit"])

    def test_violations_are_a_share_of_the_events_messages(self) -> None:
        broken = {"day": DAY, "source": "web_app", "property": "revenue", "rule": "type"}
        evidence = {
            "names": [sent("Purchase Completed", messages=1_000), sent("Other", messages=1_000)],
            "violations": [
                broken | {"event": "Purchase Completed", "messages": 30},
                broken | {"event": "Other", "messages": 999},
                broken | {"event": "Purchase Completed", "rule": "unplanned_event", "messages": 500},
                broken | {"event": "Purchase Completed", "rule": "unplanned_property", "messages": 900},
            ],
        }
        rows = frame("properties", evidence).set_index("rule")
        assert list(rows.index) == ["type", "unplanned_property"]
        assert (rows.loc["type", "share"], rows.loc["type", "limit"]) == (0.03, 0.02)
        assert pd.isna(rows.loc["unplanned_property", "limit"])
        assert len(frame("properties", evidence, subject=WEB)) == 3

    def test_who_asks_first_changes_nothing_for_those_who_ask_the_same_source(self) -> None:
        broken = {"day": DAY, "source": "web_app", "event": "Purchase Completed", "property": "revenue"}
        evidence = Evidence(frames({"violations": [broken | {"rule": "type", "messages": 40}]}))
        first, other_days, again, its_own = (
            judged_frame(subject, "properties", evidence, workspace(), days)
            for subject, days in ((EMAIL, [DAY]), (EMAIL, [NEXT]), (EMAIL, [DAY]), (WEB, [DAY]))
        )
        pd.testing.assert_frame_equal(first, again)
        assert (len(first), len(other_days), len(its_own)) == (1, 0, 1)

    def test_a_violation_of_an_event_that_nobody_counted_is_all_of_it(self) -> None:
        evidence = {
            "violations": [
                {
                    "day": DAY,
                    "source": "web_app",
                    "event": "Purchase Completed",
                    "property": "revenue",
                    "rule": "type",
                    "messages": 40,
                }
            ]
        }
        assert only(frame("properties", evidence))["share"] == 1.0

    def test_a_delivery_without_a_name_has_an_empty_one(self) -> None:
        rows = frame(
            "names", {"delivery_names": [delivered("x", event_name=None, event=None, routable=False)]}
        )
        assert only(rows)["name"] == ""


def test_the_worst_rows_come_first() -> None:
    rows = frame(
        "counts",
        together(
            {"cells": [cell("a", missing=1), cell("b", missing=50), cell("c", missing=3)]},
            incident("delivery_loss", event="c"),
        ),
        workspace(events=None),
    )
    assert list(worst_first("counts", rows)["event"]) == ["c", "b", "a"]


def test_numbers_are_summed_and_the_worst_share_is_kept() -> None:
    rows = frame("counts", {"cells": [cell("a", missing=10), cell("b", missing=30, duplicates=2)]})
    found = measured("counts", rows)
    assert found["expected"] == 200.0
    assert found["missing"] == 40.0
    assert found["worst_missing_share"] == 0.3
    assert found["worst_duplicate_share"] == 0.02


def test_hostile_names_stay_what_they_are() -> None:
    name = "'; drop table x; -- <script>\x00\u202e😀"
    rows = frame(
        "counts",
        together({"cells": [cell(name)]}, incident("delivery_loss", event=name)),
        workspace(events=None),
    )
    assert (only(rows)["event"], only(rows)["severity"]) == (name, "error")


def test_ids_that_are_none_are_counted_by_call_and_only_words_in_their_place_have_a_limit() -> None:
    def shape(event: str, shape: str, messages: int, identifier: str = "user_id") -> dict[str, Any]:
        return {
            "day": DAY,
            "source": "web_app",
            "event": event,
            "identifier": identifier,
            "shape": shape,
            "messages": messages,
        }

    rows = frame(
        "identifiers",
        {
            "shapes": [
                shape("Signed Up", "uuid", 50),
                shape("Purchase Completed", "uuid", 40),
                shape("Purchase Completed", "email", 10),
                shape("(identify)", "placeholder", 60),
                shape("(identify)", "null", 40),
                shape("(identify)", "null", 7, identifier="anonymous_id"),
                shape("(group)", "uuid", 9, identifier="group_id"),
            ]
        },
        subject=WEB,
    )
    told = rows[["event", "reason", "messages", "share", "limit"]].astype(object)
    assert told.where(told.notna(), None).to_numpy().tolist() == [
        ["(identify)", "a word for none", 60.0, 0.6, 0.19],
        ["(identify)", "no id", 40.0, 0.4, None],
        ["(track)", "an e-mail address", 10.0, 0.1, None],
    ]


def test_an_incident_of_the_sources_ids_covers_its_calls() -> None:
    found = incident("identifier_format", "warning", source="web_app", event="(identify)")
    rows = frame("identifiers", found, subject=WEB)
    assert set(rows["severity"]) == {"warning"}
