"""How an incident that is over is told: until which day it went, and what is left of it."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from builders import contract, destination
from scenarios.shop import FIRST, Shop, delivered, land_all, messages

from dagster_project.core.message import Message as Notice
from dagster_project.core.oracle import Message
from dagster_project.flow.census import as_day

pytestmark = pytest.mark.dbt

DAYS: Final = 18
STRUCK: Final = (date(2026, 11, 13), date(2026, 11, 14))
FOUND: Final = datetime(2026, 11, 15, 12)  # the loss goes on, as far as this run can know
NEXT: Final = datetime(2026, 11, 18, 12)  # nobody ran it in between


def _rows(until: datetime) -> list[Message]:
    rows = messages("web", "Order Completed", days=DAYS, a_day=90, first=FIRST)
    rows += messages("web", "Signed Up", days=DAYS, a_day=60, first=FIRST)
    return [each for each in rows if each.received_at <= until]


def _land_lossy(shop: Shop, until: datetime) -> int:
    """Every third order of two days does not reach mail; how many those are."""
    rows = _rows(until)
    sent, counts = delivered(shop, rows)
    days = {each.message_id: each.timestamp.date() for each in rows if each.timestamp is not None}
    struck = [
        each
        for each in sent
        if each.destination == "mail"
        and each.event_name == "Order Completed"
        and days[each.message_id] in STRUCK
    ]
    lost = {each.message_id for each in struck[::3]}
    shop.land(rows, [e for e in sent if e.destination != "mail" or e.message_id not in lost], counts)
    return len(lost)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    receives = {"sources": "all", "events": "all"}
    told = contract(
        destination("mail", receives=receives, complete_after="6h"), destination("lake"), sources=("web",)
    )
    shop = Shop.build(tmp_path_factory.mktemp("found"), told)
    lost = _land_lossy(shop, FOUND)
    shop.run(FOUND)
    (incident,) = shop.incidents()
    assert (incident["kind"], incident["messages_affected"], incident["ended_on"]) == (
        "delivery_loss",
        lost,
        None,
    )
    assert incident["title"].endswith("missing at mail since 13 Nov")
    return shop


def _told(shop: Shop, transition: str) -> list[Notice]:
    payloads = shop.frame(
        "select payload from reconciliation.alerts where transition = :which", which=transition
    )["payload"]
    return [Notice.model_validate_json(each) for each in payloads]


def _facts(notice: Notice) -> dict[str, str]:
    return {fact.label: "".join(span.text for span in fact.value) for fact in notice.facts}


def test_a_loss_that_a_replay_repaired_ends_on_its_last_day_and_says_that_nothing_is_missing(
    found: Shop, tmp_path: Path
) -> None:
    shop = found.copy_to(tmp_path / "shop")
    land_all(shop, _rows(NEXT))
    shop.run(NEXT)
    (incident,) = shop.incidents("resolved")
    assert as_day(incident["ended_on"]) == STRUCK[-1]
    assert incident["title"].endswith("missing at mail from 13 Nov to 14 Nov")
    (notice,) = _told(shop, "resolved")
    assert notice.title == incident["title"]
    assert _facts(notice)["Since"] == "13 Nov 2026 to 14 Nov 2026"
    assert (
        notice.explanation == "When it was last found, 60 were missing; on the same days none is missing now."
    )


def test_a_loss_that_stopped_is_not_told_as_resolved_while_its_messages_are_missing(
    found: Shop, tmp_path: Path
) -> None:
    shop = found.copy_to(tmp_path / "shop")
    _land_lossy(shop, NEXT)
    shop.run(NEXT)
    (incident,) = shop.incidents()
    assert (incident["state"], as_day(incident["ended_on"])) == ("recovering", STRUCK[-1])
    assert _told(shop, "resolved") == []


def test_the_end_of_an_incident_is_in_its_evidence_and_ends_its_story(found: Shop, tmp_path: Path) -> None:
    shop = found.copy_to(tmp_path / "shop")
    land_all(shop, _rows(NEXT))
    shop.run(NEXT)
    rows: list[dict[str, Any]] = shop.incidents("resolved")
    end = json.loads(rows[0]["evidence"])["end"]
    assert rows[0]["explanation"].endswith(f"\n{end}")
    shop.run(NEXT)
    assert shop.incidents("resolved") == rows
