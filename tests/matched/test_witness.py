"""What the rows answer is what the books say, split by what the messages have in common."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from builders import CLOCK_CHANGES, by_count, contract, destination, random_world
from normalised.small_workspace import Project, make, planned
from recon_project import WORK, ReconProject

from dagster_project.core.diagnosis.witness import (
    CONTRAST_COLUMNS,
    DIMENSIONS,
    PAIRS,
    SHARED_COLUMNS,
    Contrast,
    NamePair,
)
from dagster_project.core.oracle import Delivery, Message
from dagster_project.flow.exported import read_exports
from dagster_project.flow.matched import match
from dagster_project.flow.normalised import normalise
from dagster_project.flow.sources import read_sources
from dagster_project.flow.witness import WarehouseWitness, stretches_of

pytestmark = pytest.mark.dbt

DAY = date(2026, 11, 1)
AS_OF = datetime(2026, 11, 5, 12)
UUID = "8f14e45f-ceea-467f-9575-3d2d8e0b4c11"
LONG = "9." * 200

# The day in Kolkata is from half past six in the evening UTC to that time of the next.
TRACKS = (
    "id varchar, event varchar, event_text varchar, user_id varchar, anonymous_id varchar, timestamp timestamp, "
    "received_at timestamp, context_app_version varchar, context_library_version varchar, "
    "context_consent_category_preferences_advertising boolean, "
    "context_consent_category_preferences_analytics boolean"
)


def sent(
    name: str,
    event: str,
    at: str,
    *,
    user: str | None = UUID,
    anonymous: str | None = "a",
    version: str | None = None,
    received: str | None = None,
    refused: str = "",
) -> str:
    """A row of a tracks table, in SQL."""
    cells = [
        name,
        event.lower().replace(" ", "_"),
        event,
        user,
        anonymous,
        at,
        received or at,
        version,
        "js-1",
    ]
    texts = ", ".join("null" if cell is None else f"'{cell}'" for cell in cells)
    consents = [str(category not in refused).lower() for category in ("advertising", "analytics")]
    return ", ".join([texts, *consents])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A destination that demands all that can be demanded, one that takes everything, and one of counts."""

    def export(name: str) -> dict[str, Any]:
        columns = {"event_name": "name", "event_time": "happened", "message_id": "mid"}
        return {"table": f"exports.{name}", "columns": columns}

    project = make(
        tmp_path_factory.mktemp("witness") / "small",
        {"app": {}, "web": {}},
        {
            "ads": {
                "timezone": "Asia/Kolkata",
                "grain": "event",
                "receives": {
                    "sources": "all",
                    "events": [{"Order Completed": "Purchase"}, "Signed Up"],
                    "consent": "Advertising",
                },
                "identifiers": {"user_id": {"required": True, "format": "uuid"}},
                "export": export("ads"),
            },
            "archive": {
                "timezone": "America/New_York",
                "grain": "event",
                "clock": "received_at",
                "receives": {"sources": ["web"], "events": "all", "consent": "Analytics"},
                "export": export("archive"),
            },
            "tally": {
                "timezone": "UTC",
                "grain": "daily_counts",
                "receives": {"sources": "all", "events": "all"},
                "export": {
                    "table": "exports.tally",
                    "columns": {"event_name": "name", "day": "day", "count": "n"},
                },
            },
        },
        [
            planned("Order Completed", {"total": {"type": "number"}, "coupon": {}}, ["total", "coupon"]),
            planned("Signed Up", {}),
        ],
    )
    project.land(
        "app.tracks",
        TRACKS,
        [
            sent("first moment", "Order Completed", "2026-10-31 18:30:00", version="1.0"),
            sent("last moment", "Order Completed", "2026-11-01 18:29:59", version="1.0"),
            sent("noon", "Order Completed", "2026-11-01 06:00:00", version="2.0", refused="analytics"),
            sent("the day before", "Order Completed", "2026-10-31 18:29:59", version="1.0"),
            sent("the day after", "Order Completed", "2026-11-01 18:30:00", version="1.0"),
            # What is kept from the destination is not missing there.
            sent("nobody", "Order Completed", "2026-11-01 06:00:00", user=None),
            sent("bad id", "Order Completed", "2026-11-01 06:00:00", user="not a uuid"),
            sent("refused", "Order Completed", "2026-11-01 06:00:00", refused="advertising"),
            sent("other name", "order_completed", "2026-11-01 06:00:00"),
            sent("today", "Order Completed", "2026-11-05 11:00:00"),
            sent("not yet", "Order Completed", "2026-11-05 12:00:01"),
        ],
    )
    project.land(
        "app.order_completed",
        "id varchar, event_text varchar, timestamp timestamp, received_at timestamp, total double, coupon varchar",
        [
            "'first moment', 'Order Completed', '2026-10-31 18:30:00', '2026-10-31 18:30:00', 1, 'x'",
            "'last moment', 'Order Completed', '2026-11-01 18:29:59', '2026-11-01 18:29:59', null, null",
            # Its copy is read on another day.
            "'last moment', 'Order Completed', '2026-11-01 18:29:59', '2026-11-05 09:00:00', null, null",
            "'noon', 'Order Completed', '2026-11-01 06:00:00', '2026-11-01 06:00:00', null, 'x'",
            "'not yet', 'Order Completed', '2026-11-05 12:00:01', '2026-11-05 12:00:01', null, null",
        ],
    )
    project.land(
        "web.tracks",
        TRACKS,
        [sent("signed", "Signed Up", "2026-11-01 06:00:00")]
        # Sixty versions, the rarest of which is the one that is missing; one is absurdly long.
        + [
            sent(f"bulk {number} {copy}", "Bulk", "2026-11-02 12:00:00", version=f"v{number:02}")
            for number in range(60)
            for copy in range(1 if number == 59 else 2)
        ]
        + [sent(f"long {copy}", "Bulk", "2026-11-02 12:00:00", version=LONG) for copy in range(3)]
        # Sent on one day and received on the next: the archive counts by the second.
        + [sent("late", "Late", "2026-11-03 23:00:00", received="2026-11-05 01:00:00")]
        # Who sends both: by user, by device where there is no user, and not nobody at all.
        + [
            sent(f"{name} {number}", name, f"2026-11-03 {hour}:00", user=user, anonymous=device)
            for number, (name, hour, user, device) in enumerate(
                [
                    ("Old", "00:00", "u1", "d1"),
                    ("New", "23:59", "u1", "d2"),
                    ("Old", "10:00", "u2", "d2"),
                    ("Old", "11:00", "u2", "d2"),
                    ("New", "10:00", "", "d3"),
                    ("Old", "10:00", None, "d3"),
                    ("New", "10:00", "u4", "d4"),
                    ("Old", "10:00", "", ""),
                    ("New", "10:00", None, None),
                ]
            )
        ]
        + [sent("new too late", "New", "2026-11-04 00:00:00", user="u2")],
    )
    project.land(
        "exports.ads",
        "name varchar, happened timestamp, mid varchar",
        [
            "'Purchase', '2026-11-01 00:00:00', 'first moment'",
            "'Signed Up', '2026-11-01 11:30:00', 'signed'",
        ],
    )
    delivered = [f"bulk {number} {copy}" for number in range(59) for copy in range(2)]
    project.land(
        "exports.archive",
        "name varchar, happened timestamp, mid varchar",
        [f"'Bulk', '2026-11-02 07:00:00', '{name}'" for name in [*delivered, "long 0", "long 1", "long 2"]],
    )
    project.land("exports.tally", "name varchar, day date, n bigint", ["'Bulk', '2026-11-02', 3"])
    for stage in (read_sources, read_exports, normalise, match):
        stage(project.context(AS_OF))
    return project


@pytest.fixture(scope="module")
def witness(project: Project) -> WarehouseWitness:
    return WarehouseWitness(project.warehouse, project.workspace)


def singles(answer: pd.DataFrame, dimension: str) -> dict[Any, tuple[int, int]]:
    rows = answer[(answer["dimension"] == dimension) & answer["dimension_2"].isna()]
    assert not rows["value"].duplicated().any()
    return {row.value: (row.messages, row.missing) for row in rows.itertuples()}


def pairs(answer: pd.DataFrame, one: str, two: str) -> dict[Any, tuple[int, int]]:
    rows = answer[(answer["dimension"] == one) & (answer["dimension_2"] == two)]
    return {(row.value, row.value_2): (row.messages, row.missing) for row in rows.itertuples()}


def test_each_attribute_has_the_messages_that_should_be_there_and_the_missing_among_them(
    witness: WarehouseWitness,
) -> None:
    answer = witness.contrast([Contrast("q", "ads", (), (DAY,))])
    assert tuple(answer.columns) == CONTRAST_COLUMNS
    assert {name: singles(answer, name) for name in DIMENSIONS} == {
        "source": {"app": (3, 2), "web": (1, 0)},
        "event": {"Order Completed": (3, 2), "Signed Up": (1, 0)},
        "app_version": {"1.0": (2, 1), "2.0": (1, 1), None: (1, 0)},
        "library_version": {"js-1": (4, 2)},
        # Of the destination's own day: the first moment is midnight, six o'clock UTC is half past eleven.
        "hour": {"0": (1, 0), "23": (1, 1), "11": (2, 1)},
        "user_shape": {"uuid": (4, 2)},
        "consent": {"none": (3, 1), "Analytics": (1, 1)},
        # The last moment breaks two rules, and its copy says nothing new.
        "violation": {"total:required": (2, 2), "coupon:required": (1, 1), None: (2, 0)},
    }
    assert pairs(answer, "source", "app_version") == {
        ("app", "1.0"): (2, 1),
        ("app", "2.0"): (1, 1),
        ("web", None): (1, 0),
    }
    assert pairs(answer, "event", "violation") == {
        ("Order Completed", "total:required"): (2, 2),
        ("Order Completed", "coupon:required"): (1, 1),
        ("Order Completed", None): (1, 0),
        ("Signed Up", None): (1, 0),
    }
    told = {(row.dimension, row.dimension_2) for row in answer.itertuples() if row.dimension_2}
    assert told == set(PAIRS)


def test_a_question_about_some_events_is_answered_for_these(witness: WarehouseWitness) -> None:
    asked = [
        Contrast("signed", "ads", ("Signed Up", "nobody's"), (DAY,)),
        Contrast("orders", "ads", ("Order Completed",), (DAY, DAY + timedelta(days=1))),
        Contrast("none", "ads", ("order_completed",), (DAY,)),
    ]
    answer = witness.contrast(asked)
    by_question = dict(iter(answer.groupby("question")))
    assert set(by_question) == {"signed", "orders"}, "a name that is not routed is expected nowhere"
    assert singles(by_question["signed"], "source") == {"web": (1, 0)}
    assert singles(by_question["orders"], "app_version") == {"1.0": (3, 2), "2.0": (1, 1)}


def test_the_days_are_those_of_the_destinations_clock(witness: WarehouseWitness) -> None:
    """One o'clock in the morning UTC of the 5th is the evening of the 4th in New York; it may still arrive."""
    for day, found in ((3, {}), (4, {"20": (1, 0)}), (5, {})):
        answer = witness.contrast([Contrast("q", "archive", ("Late",), (date(2026, 11, day),))])
        assert singles(answer, "hour") == found, day


def test_rare_values_are_summed_up_and_those_with_most_missing_are_not(witness: WarehouseWitness) -> None:
    answer = witness.contrast([Contrast("q", "archive", ("Bulk",), (date(2026, 11, 2),))])
    found = singles(answer, "app_version")
    # Sixty-one versions: fifty are told, eleven are the rest, each of them sent twice.
    assert len(found) == 51
    assert found["v59"] == (1, 1), "rare and missing"
    assert found[LONG[:200]] == (3, 0), "cut, and the commonest"
    assert found["other"] == (22, 0)
    assert sum(messages for messages, _ in found.values()) == 122
    assert pairs(answer, "event", "app_version")["other", "other"] == (22, 0)


def test_nothing_is_said_where_nobody_knows_which_message_is_missing(witness: WarehouseWitness) -> None:
    for asked in (
        [],
        [Contrast("counts", "tally", (), (DAY,))],
        [Contrast("unknown", "nobody", (), (DAY,))],
        [Contrast("no days", "ads", (), ())],
    ):
        answer = witness.contrast(asked)
        assert answer.empty
        assert tuple(answer.columns) == CONTRAST_COLUMNS


def test_users_are_counted_who_sent_the_old_the_new_and_both_names(witness: WarehouseWitness) -> None:
    third = date(2026, 11, 3)
    answer = witness.shared_users(
        [
            NamePair("web", "Old", "New", third, third),
            NamePair("web", "Old", "New", third, third + timedelta(days=1)),
            NamePair("app", "Old", "New", third, third),
            NamePair("web", "Old", "it's; drop", third, third),
        ]
    )
    assert tuple(answer.columns) == SHARED_COLUMNS
    assert [tuple(row) for row in answer.itertuples(index=False)] == [
        # u1, u2 and d3 sent the old one; u1, d3 and u4 the new one.
        ("web", "Old", "New", 3, 3, 2),
        ("web", "Old", "New", 3, 4, 3),
        ("app", "Old", "New", 0, 0, 0),
        ("web", "Old", "it's; drop", 3, 0, 0),
    ]
    assert list(witness.shared_users([]).columns) == list(SHARED_COLUMNS)


def test_many_questions_are_several_statements_and_one_answer(
    witness: WarehouseWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [Contrast(f"q{n}", "ads", (), (DAY,)) for n in range(5)]
    asked += [Contrast("named", "ads", ("Signed Up",), (DAY,))]
    couples = [NamePair("web", "Old", "New", DAY, date(2026, 11, 3))] * 3
    contrast, shared = witness.contrast(asked), witness.shared_users(couples)
    monkeypatch.setattr("dagster_project.flow.witness._BINDS", 12)
    assert witness.contrast(asked).equals(contrast)
    assert witness.shared_users(couples).equals(shared)
    assert set(shared["both_users"]) == {2}


def test_what_lies_after_the_as_of_time_is_not_read_of_the_event_tables(project: Project) -> None:
    assert (
        project.rows(f"select distinct message_id from {WORK}.int_broken_rows where message_id = 'not yet'")
        == []
    )
    filled = project.rows(
        f"select sum(messages) from {WORK}.int_property_fill_daily where property = 'total' and day = '2026-11-05'"
    )
    assert filled == [(None,)]


# --- the books --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3, 11])
def test_the_answers_add_up_to_the_books(seed: int, tmp_path: Path) -> None:
    """Any clock, zone, contract and name: each attribute splits what the cells expect, and what they miss."""
    world = random_world(Random(seed))
    project = ReconProject.build(tmp_path / "project", world.contract)
    project.land(world.messages, world.deliveries, world.counts)
    project.run(world.as_of, until="matched")
    witness = WarehouseWitness(project.warehouse, project.workspace)
    books: dict[str, dict[tuple[date, str], tuple[int, int]]] = {}
    for day, tool, event, expected, missing in project.rows(
        f"{WORK}.int_cells_daily", ["day", "destination", "event", "expected", "missing"]
    ):
        books.setdefault(tool, {})[day, event] = (expected, missing)
    known = {each.name for each in project.workspace.destinations if each.matching != "counts"}
    asked: list[Contrast] = []
    held: list[tuple[int, int]] = []

    def ask(tool: str, events: tuple[str, ...], days: Iterable[date]) -> None:
        cells = books[tool]
        wanted = tuple(days)
        found = [
            cell for (day, event), cell in cells.items() if day in wanted and (not events or event in events)
        ]
        asked.append(Contrast(f"q{len(asked)}", tool, events, wanted))
        held.append((sum(cell[0] for cell in found), sum(cell[1] for cell in found)))

    for tool in sorted(known & books.keys()):
        days = sorted({day for day, _ in books[tool]})
        ask(tool, (), days)
        ask(tool, (), days[::2])
        for day in days:
            ask(tool, (), [day])
        for event in sorted({event for _, event in books[tool]}):
            ask(tool, (event,), days)
    answer = witness.contrast(asked)
    assert answer["missing"].sum() > 0
    for question, expected in zip(asked, held, strict=True):
        rows = answer[answer["question"] == question.question]
        for dimension in (name for name in DIMENSIONS if name != "violation"):
            found = singles(rows, dimension).values()
            sums = (sum(each[0] for each in found), sum(each[1] for each in found))
            assert sums == expected, (seed, question, dimension)


def test_stretches_cover_each_local_day_once_and_are_cut_where_the_clock_changes() -> None:
    for zone in (
        "Asia/Kolkata",
        "America/New_York",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/Havana",
    ):
        for change in CLOCK_CHANGES:
            days = [change.date() + timedelta(days=step) for step in range(-2, 3)]
            whole = stretches_of(zone, frozenset(days))
            alone = [stretch for day in days for stretch in stretches_of(zone, frozenset([day]))]
            length = sum((each.closes - each.opens for each in whole), timedelta())
            assert length == whole[-1].closes - whole[0].opens, "without a gap"
            assert length == sum((each.closes - each.opens for each in alone), timedelta())
            offsets = [each.offset_seconds for each in whole]
            assert all(one != two for one, two in pairwise(offsets))
    berlin = stretches_of("Europe/Berlin", frozenset([date(2026, 10, 25)]))
    assert [(each.opens.hour, each.closes.hour, each.offset_seconds) for each in berlin] == [
        (22, 1, 7200),
        (1, 23, 3600),
    ]


def test_a_message_is_missing_for_its_own_destination_alone(tmp_path: Path) -> None:
    project = ReconProject.build(
        tmp_path / "project", contract(destination("mail"), destination("ads"), by_count("tally"))
    )
    noon = datetime(2026, 10, 12, 12)
    project.land(
        [Message("web", "m", "Paid", noon, timestamp=noon)], [Delivery("ads", "Paid", noon, message_id="m")]
    )
    project.run(noon + timedelta(days=5), until="matched")
    answer = WarehouseWitness(project.warehouse, project.workspace).contrast(
        [Contrast(tool, tool, (), (noon.date(),)) for tool in ("mail", "ads", "tally")]
    )
    found = {name: singles(rows, "event") for name, rows in answer.groupby("question")}
    assert found == {"mail": {"Paid": (1, 1)}, "ads": {"Paid": (1, 0)}}
