"""The lines of a destination's gap add up, each missing row stands in one of them, and the words add up too."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.core.contracts import Destination, Source, Workspace
from dagster_project.core.diagnosis import Diagnosis, Evidence, Finding
from dagster_project.core.diagnosis.evidence import COLUMNS
from dagster_project.core.diagnosis.finding import Key, cell_claims, no_links
from dagster_project.core.incidents import incident_id
from dagster_project.core.ledger import (
    GAP_LINES,
    LEDGER_COLUMNS,
    LINES,
    MOST_TERMS,
    gap_line,
    gap_lines,
    ledger,
    told_lines,
)
from dagster_project.flow.ledger import LEDGER, write_ledger
from dagster_project.resources.warehouse import open_warehouse

DAY, NEXT = date(2026, 11, 1), date(2026, 11, 2)
EVENTS = ("Signup Completed", "Purchase Completed")
NO_RATES = pd.DataFrame(columns=["destination", "event", "usual"])
Row = dict[str, Any]


def cell(event: str = EVENTS[0], day: date = DAY, destination: str = "email", **numbers: Any) -> Row:
    row: Row = {
        "day": day,
        "destination": destination,
        "event": event,
        "expected": 1_000,
        "missing": 0,
        "pending": 0,
        "duplicates": 0,
        "unexpected": 0,
        "matched_by": "message_id",
        "mature": True,
        "exported": True,
    } | numbers
    row.setdefault("delivered", row["expected"] - row["missing"] - row["pending"])
    return row


def differences(cells: list[Row], source: str = "web_app") -> list[Row]:
    """The difference rows of cells that are matched row by row."""
    columns = {"missing": "missing", "duplicates": "duplicate", "unexpected": "unexpected"}
    return [
        {key: row[key] for key in ("day", "destination", "event")}
        | {"source": source, "difference": difference, "messages": row[column]}
        for row in cells
        for column, difference in columns.items()
        if row[column]
    ]


def kept(reason: str, messages: int, event: str = EVENTS[0], **more: Any) -> Row:
    return {
        "day": DAY,
        "destination": "email",
        "source": "web_app",
        "event": event,
        "reason": reason,
        "messages": messages,
    } | more


def evidence(
    cells: list[Row], not_expected: list[Row] | None = None, rows: list[Row] | None = None
) -> Evidence:
    frames = {name: pd.DataFrame() for name in COLUMNS}
    frames |= {
        "cells": pd.DataFrame(cells),
        "not_expected": pd.DataFrame(not_expected or []),
        "differences": pd.DataFrame(differences(cells) if rows is None else rows),
    }
    return Evidence(
        **frames,
        workspace=Workspace(
            name="acme",
            sources=(Source(name="web_app"),),
            destinations=tuple(Destination(name=name, sources=("web_app",)) for name in ("email", "ads")),
        ),
        as_of=datetime(2026, 11, 10, 6),
        history_from=date(2026, 10, 1),
    )


def finding(kind: str = "delivery_loss", *, links: list[Row] | None = None, **more: Any) -> Finding:
    frame = no_links() if links is None else pd.DataFrame(links)
    if links is not None:
        frame = frame.reindex(columns=list(no_links().columns)).astype({"day": "datetime64[us]"})
        frame = frame.astype(object).where(frame.notna(), None).astype({"day": "datetime64[us]"})
    options: dict[str, Any] = {"severity": "error", "started_on": DAY, "destinations": ("email",)} | more
    return Finding(kind=kind, links=frame, **options)


def link(
    event: str | None = EVENTS[0], day: date = DAY, difference: str | None = "missing", **more: Any
) -> Row:
    return {
        "destination": "email",
        "day": day,
        "source": None,
        "event": event,
        "difference": difference,
    } | more


def booked(
    found: Evidence, *findings: Finding, rates: pd.DataFrame = NO_RATES, ids: dict[Key, str] | None = None
) -> pd.DataFrame:
    diagnosis = Diagnosis(
        findings=findings,
        explained=(),
        history_from=found.first_day,
        last_day=found.last_day,
        silent_sources=frozenset(),
        unread_destinations=frozenset(),
        limits=pd.DataFrame(),
        usual=rates,
    )
    return ledger(found, diagnosis, ids)


def lines(table: pd.DataFrame, day: date = DAY, destination: str = "email") -> dict[str, int]:
    """Messages by line, incidents by their kind; what is 0 is left out."""
    rows = table[(table["day"] == pd.Timestamp(day)) & (table["destination"] == destination)]
    names = np.where(rows["incident_id"].notna(), rows["line"] + ":" + rows["kind"].astype(str), rows["line"])
    return {name: n for name, n in zip(names, rows["messages"].tolist(), strict=True) if n}


def usual(share: float, *events: str) -> pd.DataFrame:
    return pd.DataFrame([{"destination": "email", "event": e, "usual": share} for e in events or EVENTS])


# ---- where a message stands --------------------------------------------------------------------------------


def test_every_reason_has_its_line_and_what_is_not_routed_is_outside_the_sum() -> None:
    reasons = {"no_identifier": 1, "bad_identifier": 2, "consent": 3, "filtered": 4, "blocked": 5, "odd": 6}
    found = evidence(
        [cell(pending=7, missing=8)],
        [kept(reason, n) for reason, n in reasons.items()] + [kept("not_routed", 900)],
    )
    table = booked(found)
    assert lines(table) == {
        "sent": 1_021,
        "delivered": 985,
        "no_identifier": 1,
        "bad_identifier": 2,
        "consent": 3,
        "filtered": 15,
        "late": 7,
        "unexplained": 8,
        "not_routed": 900,
    }
    assert set(table.loc[table["counts_in_gap"], "line"]) <= set(GAP_LINES)
    assert list(table.columns) == list(LEDGER_COLUMNS)


def test_a_missing_row_goes_to_the_first_finding_that_links_it() -> None:
    found = evidence([cell(missing=30), cell(EVENTS[1], missing=5)])
    first = finding("name_mismatch", links=[link()])
    second = finding("delivery_loss", links=[link(), link(EVENTS[1])])
    table = booked(found, first, second)
    assert lines(table) == {
        "sent": 2_000,
        "delivered": 1_965,
        "incident:name_mismatch": 30,
        "incident:delivery_loss": 5,
    }
    assert set(table["incident_id"].dropna()) == {incident_id(first.key), incident_id(second.key)}


def test_findings_that_are_one_incident_are_one_row_under_its_name() -> None:
    late, stopped = (
        finding("export_late", links=[link()]),
        finding("delivery_stopped", links=[link(EVENTS[1])]),
    )
    found = evidence([cell(missing=30), cell(EVENTS[1], missing=5)])
    table = booked(found, late, stopped, ids={late.key: "inc_1", stopped.key: "inc_1"})
    own = table[table["line"] == "incident"]
    assert (list(own["incident_id"]), list(own["messages"])) == (["inc_1"], [35])


def test_a_link_of_one_source_takes_the_rows_of_that_source_alone() -> None:
    cells = [cell(missing=30)]
    rows = [
        row | {"source": s, "messages": n} for row in differences(cells) for s, n in (("a", 21), ("b", 9))
    ]
    found = evidence(cells, rows=rows)
    assert lines(booked(found, finding(links=[link(source="a")])))["incident:delivery_loss"] == 21
    assert lines(booked(found, finding(links=[link(None, source="b")])))["unexplained"] == 21


def test_a_link_without_event_or_difference_means_all_of_them() -> None:
    found = evidence([cell(missing=30, duplicates=4), cell(EVENTS[1], missing=5)])
    table = lines(booked(found, finding("source_stopped", links=[link(None, difference=None)])))
    assert (table["incident:source_stopped"], table["duplicates:source_stopped"]) == (35, 4)


def test_where_only_counts_are_known_the_claim_on_the_cell_stands_for_its_rows() -> None:
    days = np.array([DAY], dtype="datetime64[D]")
    cells = [cell(missing=30, matched_by="counts"), cell(missing=6, day=NEXT), cell(EVENTS[1], missing=5)]
    found = evidence(cells, rows=[])
    told = finding(claims=cell_claims("email", EVENTS[0], days, {"missing"}))
    other = finding("unexplained", claims=cell_claims("email", None, days, {"unexpected"}))
    table = booked(found, other, told)
    assert lines(table)["incident:delivery_loss"] == 30
    assert (lines(table)["unexplained"], lines(table, NEXT)["unexplained"]) == (5, 6)


def test_a_claim_does_not_take_rows_that_the_links_left_open() -> None:
    days = np.array([DAY], dtype="datetime64[D]")
    told = finding(claims=cell_claims("email", None, days), links=[link(EVENTS[1])])
    found = evidence([cell(missing=30), cell(EVENTS[1], missing=5)])
    table = lines(booked(found, told))
    assert (table["incident:delivery_loss"], table["unexplained"]) == (5, 30)


def test_a_rename_takes_the_messages_under_its_new_name_from_who_waits_for_the_old_one() -> None:
    renamed = finding(
        "event_renamed", source="web_app", event=EVENTS[1], renamed_to="purchase_completed", started_on=DAY
    )
    new = {"event": "purchase_completed"}
    found = evidence(
        [cell(expected=60, delivered=60), cell(destination="ads")],
        [
            kept("not_routed", 40, **new),
            kept("not_routed", 3, **new, source="ios_app"),
            kept("not_routed", 5, **new, destination="ads"),
            kept("not_routed", 7, **new, day=DAY - timedelta(days=9)),
            kept("not_routed", 2, "Page Viewed"),
        ],
    )
    table = booked(found, renamed)
    assert lines(table) == {"sent": 100, "delivered": 60, "incident:event_renamed": 40, "not_routed": 5}
    assert lines(table, destination="ads") == {"sent": 1_000, "delivered": 1_000, "not_routed": 5}
    assert lines(table, DAY - timedelta(days=9)) == {"not_routed": 7}
    assert gap_line(table[(table["destination"] == "email") & (table["day"] == pd.Timestamp(DAY))]) == (
        'gap 40.0% = 40.0% rename of "Purchase Completed"'
    )


def test_refused_identifiers_move_to_the_incident_that_covers_them() -> None:
    told = finding("identifier_format", source="web_app", event=None, windows=(("email", DAY),))
    rows = [kept("bad_identifier", 9), kept("bad_identifier", 4, day=NEXT), kept("no_identifier", 2)]
    table = booked(evidence([cell(), cell(day=NEXT)], rows), told)
    assert lines(table)["incident:identifier_format"] == 9
    assert lines(table)["no_identifier"] == 2
    assert lines(table, NEXT)["bad_identifier"] == 4


def test_surplus_is_named_with_its_incident_and_is_outside_the_sum() -> None:
    found = evidence([cell(duplicates=8, unexpected=3)])
    table = booked(found, finding("duplicate_delivery", links=[link(difference="duplicate")]))
    assert lines(table) == {
        "sent": 1_000,
        "delivered": 1_000,
        "duplicates:duplicate_delivery": 8,
        "unexpected": 3,
    }
    assert gap_line(table) == "no gap"


class TestSteadyLoss:
    def test_it_is_the_usual_part_of_what_nothing_else_explains(self) -> None:
        table = lines(booked(evidence([cell(missing=55)]), rates=usual(0.04)))
        assert (table["steady_loss"], table["unexplained"]) == (40, 15)

    def test_it_is_never_more_than_what_is_missing(self) -> None:
        table = lines(booked(evidence([cell(missing=25)]), rates=usual(0.04)))
        assert table["steady_loss"] == 25
        assert "unexplained" not in table

    def test_what_an_incident_accounts_for_has_none_besides(self) -> None:
        found = evidence([cell(missing=300), cell(EVENTS[1], missing=40)])
        table = lines(booked(found, finding(links=[link()]), rates=usual(0.04)))
        assert (table["incident:delivery_loss"], table["steady_loss"]) == (300, 40)

    def test_fractions_of_small_events_are_not_rounded_away(self) -> None:
        names = [f"e{n}" for n in range(100)]
        # One message in two hundred: of forty a day none, or one.
        found = evidence([cell(name, expected=40, missing=n % 5 == 0) for n, name in enumerate(names)])
        table = lines(booked(found, rates=usual(0.005, *names)))
        assert table["steady_loss"] == 20

    def test_quiet_events_lend_nothing_to_a_bad_one(self) -> None:
        found = evidence([cell(missing=60), *(cell(f"e{n}") for n in range(20))])
        table = lines(booked(found, rates=usual(0.01, EVENTS[0], *(f"e{n}" for n in range(20)))))
        assert (table["steady_loss"], table["unexplained"]) == (19, 41)


def test_days_before_history_and_destinations_without_a_contract_have_no_lines() -> None:
    found = evidence([cell(day=date(2026, 9, 1)), cell(destination="gone"), cell()])
    assert set(zip(booked(found)["day"], booked(found)["destination"], strict=True)) == {
        (pd.Timestamp(DAY), "email")
    }


def test_no_evidence_is_an_empty_ledger_with_its_columns() -> None:
    table = booked(evidence([]))
    assert table.empty and list(table.columns) == list(LEDGER_COLUMNS)
    assert gap_lines(table, evidence([])) == {}


# ---- the law -----------------------------------------------------------------------------------------------

_few = st.integers(0, 40)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Evidence, list[Finding], pd.DataFrame]:
    cells, rows = [], []
    for destination in ("email", "ads"):
        for day in (DAY, NEXT):
            for event in draw(st.sets(st.sampled_from([*EVENTS, "x"]))):
                lost, waits = draw(_few), draw(_few)
                found = cell(
                    event,
                    day,
                    destination,
                    expected=lost + waits + draw(_few),
                    missing=lost,
                    pending=waits,
                    duplicates=draw(_few),
                    unexpected=draw(_few),
                    mature=draw(st.booleans()),
                )
                cells.append(found)
                # Row by row, by counts only, or by two models that do not agree.
                how = draw(st.sampled_from(["rows", "counts", "apart"]))
                if how != "counts":
                    rows += differences([found], draw(st.sampled_from(["web_app", "ios_app"])))
                if how == "apart":
                    rows += [row | {"messages": draw(_few)} for row in differences([found], "other")]
    reasons = ["not_routed", "no_identifier", "bad_identifier", "consent", "filtered", "blocked", "new"]
    kept_rows = [
        kept(
            draw(st.sampled_from(reasons)),
            draw(_few),
            draw(st.sampled_from([*EVENTS, "new name"])),
            day=draw(st.sampled_from([DAY, NEXT])),
            destination=draw(st.sampled_from(["email", "ads"])),
        )
        for _ in range(draw(st.integers(0, 6)))
    ]
    findings = []
    for _ in range(draw(st.integers(0, 5))):
        event = draw(st.sampled_from([None, *EVENTS]))
        some = np.array([draw(st.sampled_from([DAY, NEXT]))], dtype="datetime64[D]")
        kind = draw(st.sampled_from(["delivery_loss", "event_renamed", "identifier_format", "unexplained"]))
        findings.append(
            finding(
                kind,
                source="web_app",
                event=event,
                renamed_to="new name" if kind == "event_renamed" else None,
                destinations=("email",),
                windows=(("email", DAY),),
                claims=cell_claims("email", event, some),
                links=[
                    link(event, draw(st.sampled_from([DAY, NEXT])), draw(st.sampled_from([None, "missing"])))
                    | {"source": draw(st.sampled_from([None, "web_app"]))}
                    for _ in range(draw(st.integers(0, 3)))
                ],
            )
        )
    rates = pd.DataFrame(
        [
            {"destination": d, "event": e, "usual": draw(st.floats(0, 1))}
            for d in ("email", "ads")
            for e in draw(st.sets(st.sampled_from(EVENTS)))
        ],
        columns=["destination", "event", "usual"],
    )
    return evidence(cells, kept_rows, rows), findings, rates


@given(worlds())
@settings(max_examples=150, deadline=None)
def test_what_was_sent_is_what_arrived_and_the_lines_of_the_gap(
    world: tuple[Evidence, list[Finding], pd.DataFrame],
) -> None:
    found, findings, rates = world
    table = booked(found, *findings, rates=rates)
    assert (table["messages"] >= 0).all()
    assert not table.duplicated(["day", "destination", "line", "incident_id"]).any()
    assert set(table["line"]) <= set(LINES)
    keys = ["day", "destination"]
    summed = table[table["counts_in_gap"] | (table["line"] == "delivered")].groupby(keys)["messages"].sum()
    sent = table[table["line"] == "sent"].set_index(keys)["messages"]
    assert summed.to_dict() == sent.to_dict()
    # Each missing row stands in exactly one line, each surplus row in one, and the rest has its own.
    kept_rows = found.not_expected
    moved = kept_rows.assign(of="")
    for (day, destination), own in found.cells.groupby(keys):
        rows = table[(table["day"] == day) & (table["destination"] == destination)]
        of = rows.groupby("line")["messages"].sum()
        here = moved[(moved["day"] == day) & (moved["destination"] == destination)]
        refused = int(here.loc[here["reason"] == "bad_identifier", "messages"].sum())
        routes = int(here.loc[here["reason"] == "not_routed", "messages"].sum())
        from_reasons = (refused - of.get("bad_identifier", 0)) + (routes - of.get("not_routed", 0))
        told = of.get("incident", 0) + of.get("steady_loss", 0) + of.get("unexplained", 0)
        assert told == own["missing"].sum() + from_reasons
        assert of.get("late", 0) == own["pending"].sum()
        assert of.get("duplicates", 0) == own["duplicates"].sum()
        assert of.get("unexpected", 0) == own["unexpected"].sum()


# ---- words -------------------------------------------------------------------------------------------------


def row_of(line: str, messages: int, kind: str | None = None, event: str | None = None) -> Row:
    return {
        "line": line,
        "kind": kind,
        "event": event,
        "messages": messages,
        "counts_in_gap": line in GAP_LINES,
    }


def said(*rows: Row) -> str:
    return gap_line(pd.DataFrame(rows))


def test_the_gap_is_told_as_terms_that_add_up() -> None:
    assert (
        said(
            row_of("sent", 10_000),
            row_of("delivered", 9_390),
            row_of("steady_loss", 400),
            row_of("incident", 160, "event_renamed", "Purchase Completed"),
            row_of("unexplained", 50),
            row_of("not_routed", 9_999),
        )
        == 'gap 6.1% = 4.0% steady loss + 1.6% rename of "Purchase Completed" + 0.5% unexplained'
    )


def test_the_largest_remainders_are_rounded_up_so_that_the_sum_holds() -> None:
    # 0.333..% thrice is 1.0%, though each of them reads 0.3%.
    parts = [row_of("consent", 1), row_of("steady_loss", 1), row_of("late", 1)]
    assert (
        said(row_of("sent", 300), *parts) == "gap 1.0% = 0.4% no consent + 0.3% steady loss + 0.3% still due"
    )


def test_small_terms_are_folded_into_one() -> None:
    many = [row_of("incident", 100 + n, "delivery_loss", f"e{n}") for n in range(9)]
    text = said(row_of("sent", 10_000), *many, row_of("unexplained", 10))
    assert text == (
        'gap 9.5% = 1.1% lost deliveries of "e8" + 1.1% lost deliveries of "e7" + 1.1% lost deliveries of "e6"'
        ' + 1.0% lost deliveries of "e5" + 1.0% lost deliveries of "e4" + 0.1% unexplained + 4.1% other'
    )


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([row_of("sent", 10), row_of("unexplained", 0)], "no gap"),
        ([row_of("sent", 0), row_of("unexplained", 0)], "nothing was sent"),
        ([row_of("sent", 12_345), row_of("late", 3)], "gap below 0.1% (3 of 12,345 messages)"),
        ([row_of("sent", 3), row_of("late", 3)], "gap 100.0% = 100.0% still due"),
        (
            [row_of("sent", 100), row_of("incident", 5, "name_mismatch", "Purchse")],
            'gap 5.0% = 5.0% wrong name "Purchse"',
        ),
        ([row_of("sent", 100), row_of("incident", 5, "a_new_kind")], "gap 5.0% = 5.0% a new kind"),
    ],
)
def test_a_gap_reads(rows: list[Row], text: str) -> None:
    assert said(*rows) == text


def test_a_hostile_name_stays_on_its_line_and_is_cut() -> None:
    text = said(row_of("sent", 10), row_of("incident", 5, "event_stopped", "a\nb\u202e\x00" + "x" * 900))
    assert "\n" not in text and "\u202e" not in text and "\x00" not in text
    assert len(text) < 200


@given(
    st.lists(st.tuples(st.sampled_from(GAP_LINES), st.integers(0, 10**6), st.sampled_from("abcdefgh"))),
    st.integers(0, 10**7),
)
def test_the_percentages_add_up_whatever_the_numbers(terms: list[tuple[str, int, str]], arrived: int) -> None:
    rows = [row_of(line, n, "delivery_loss", name) for line, n, name in terms]
    text = said(row_of("sent", arrived + sum(n for _, n, _ in terms)), *rows)
    if not text.startswith("gap ") or "below" in text:
        return
    total, *parts = (round(float(number) * 10) for number in re.findall(r"([\d.]+)%", text))
    assert total == sum(parts)
    assert 0 not in parts
    assert len(parts) <= MOST_TERMS


def test_the_line_of_a_destination_is_that_of_its_last_complete_day() -> None:
    found = evidence(
        [
            cell(missing=100),
            cell(day=NEXT, missing=500, mature=True),
            cell(EVENTS[1], day=NEXT, pending=9, mature=False),
            cell(destination="ads", mature=False),
        ]
    )
    told = gap_lines(booked(found), found)
    assert {name: (each.day, each.text) for name, each in told.items()} == {
        "email": (DAY, "gap 10.0% = 10.0% unexplained")
    }
    assert told_lines(told, NEXT) == {"email": "email on 1 Nov: gap 10.0% = 10.0% unexplained"}


# ---- the table ---------------------------------------------------------------------------------------------


def test_the_days_that_were_read_are_written_anew_and_earlier_ones_stay(tmp_path: Path) -> None:
    warehouse = open_warehouse("duckdb", tmp_path / "warehouse.duckdb", {})
    warehouse.ensure(LEDGER, LEDGER_COLUMNS)

    def write(table: pd.DataFrame, since: date) -> None:
        with warehouse.transaction() as session:
            write_ledger(session, table, since)

    def kept_days() -> list[tuple[str, str, int]]:
        rows = warehouse.frame(
            f"select cast(day as varchar) as day, line, messages from {LEDGER} where messages > 0 order by all"
        )
        return list(rows.itertuples(index=False, name=None))

    name = "'; drop table x; -- \x07\u202e"
    write(booked(evidence([cell(missing=3), cell(day=NEXT, missing=9)])), DAY)
    told = finding(event=name, links=[link(name, NEXT)])
    again = booked(evidence([cell(name, day=NEXT, missing=4)]), told)
    write(again, NEXT)
    write(again, NEXT)
    assert kept_days() == [
        ("2026-11-01", "delivered", 997),
        ("2026-11-01", "sent", 1000),
        ("2026-11-01", "unexplained", 3),
        ("2026-11-02", "delivered", 996),
        ("2026-11-02", "incident", 4),
        ("2026-11-02", "sent", 1000),
    ]
    stored = warehouse.frame(f"select incident_id, kind, event from {LEDGER} where line = 'incident'").iloc[0]
    assert tuple(stored) == (incident_id(told.key), "delivery_loss", name)
    write(booked(evidence([])), NEXT)
    assert {day for day, _, _ in kept_days()} == {"2026-11-01"}
