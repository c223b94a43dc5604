"""A rename from its first day to its end: found once, held for who waits, told once, opened by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from builders import by_count, contract, destination
from recon_project import write_expectations
from scenarios.shop import Shop, delivered, land_all, messages

from dagster_project.core.load import load_workspace
from dagster_project.core.message import Message as Notice
from dagster_project.core.oracle import Message
from dagster_project.flow.census import as_day

pytestmark = pytest.mark.dbt

OLD, NEW = "Purchase Completed", "purchase_completed"
FIRST: Final = date(2026, 10, 26)
RENAMED: Final = date(2026, 11, 11)  # the release
AS_OF: Final = datetime(2026, 11, 15, 9)  # four days after the release are complete
LATER: Final = datetime(2026, 11, 16, 9)
WAITING: Final = ("mail", "ads")  # are routed the old name
RENAMED_DAYS: Final = [RENAMED + timedelta(days) for days in range(4)]


def _contract(*new_name: str) -> dict[str, Any]:
    """`mail` and `ads` wait for the old name, `crm` for another event, `lake` takes whatever comes."""
    in_mail = ["Signed Up", OLD, *[{name: OLD} for name in new_name]]
    in_ads = [{OLD: "Purchase"}, *[{name: "Purchase"} for name in new_name]]
    return contract(
        destination("mail", receives={"sources": "all", "events": in_mail}),
        by_count("ads", receives={"sources": "all", "events": in_ads}),
        destination("crm", receives={"sources": "all", "events": ["Signed Up"]}),
        destination("lake"),
        sources=("web", "app"),
        tracking_plan="tracking_plan.json",
    )


def _rows(until: datetime) -> list[Message]:
    """Sixty purchases a day on the web, which change their name; the app and all else go on as ever."""
    rows = messages("web", OLD, days=24, a_day=60, first=FIRST)
    rows = [
        replace(each, event_text=NEW)
        if each.timestamp is not None and each.timestamp.date() >= RENAMED
        else each
        for each in rows
    ]
    rows += messages("web", "Signed Up", days=24, a_day=40, first=FIRST)
    rows += messages("app", "Signed Up", days=24, a_day=30, first=FIRST)
    return [each for each in rows if each.received_at <= until]


def _plan(*names: str) -> str:
    rules = [{"type": "TRACK", "key": each, "version": 1, "jsonSchema": {"type": "object"}} for each in names]
    return json.dumps({"data": {"rules": rules}})


def _write(
    shop: Shop,
    told: Mapping[str, Any],
    *,
    plan: Sequence[str] = (OLD, "Signed Up"),
    overrides: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Change the contract of a project."""
    folder = shop.folder / "expectations"
    write_expectations(folder, told)
    (folder / "tracking_plan.json").write_text(_plan(*plan), "utf-8")
    if overrides:
        (folder / "overrides.yml").write_text(json.dumps({"overrides": list(overrides)}), "utf-8")
    shop.workspace = load_workspace(folder)


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The first run that can see the rename."""
    folder = tmp_path_factory.mktemp("renamed")
    (folder / "expectations").mkdir()
    (folder / "expectations" / "tracking_plan.json").write_text(_plan(OLD, "Signed Up"), "utf-8")
    shop = Shop.build(folder, _contract())
    land_all(shop, _rows(AS_OF))
    shop.run(AS_OF, judge=True)
    return shop


@pytest.fixture
def shop(renamed: Shop, tmp_path: Path) -> Shop:
    return renamed.copy_to(tmp_path / "shop")


def _published(shop: Shop) -> dict[str, set[date]]:
    rows = shop.rows("reconciliation_published.event_counts_daily", ["destination", "day"])
    found: dict[str, set[date]] = {}
    for name, day in rows:
        found.setdefault(name, set()).add(day)
    return found


def _notices(shop: Shop) -> list[tuple[str, str]]:
    frame = shop.frame(
        "select i.kind, a.transition from reconciliation.alerts as a "
        "inner join reconciliation.incidents as i on a.incident_id = i.incident_id order by a.created_at, i.kind"
    )
    return list(zip(frame["kind"], frame["transition"], strict=True))


def _verdicts(shop: Shop, name: str, day: date) -> list[tuple[str, Any]]:
    """Every decision on a window, the first one first: the verdict, and who overrode it."""
    frame = shop.frame(
        "select verdict, overridden_by from reconciliation.gate_verdicts where destination = :name and day = :day "
        "order by decided_at, run_id",
        name=name,
        day=day,
    )
    frame = frame.astype(object).where(frame.notna(), None)
    return [tuple(row) for row in frame.itertuples(index=False, name=None)]


def test_it_is_one_incident_that_names_both_names_and_who_waits(renamed: Shop) -> None:
    (incident,) = [each for each in renamed.incidents() if each["severity"] != "info"]
    assert (incident["kind"], incident["source"]) == ("event_renamed", "web")
    assert (incident["event"], incident["renamed_to"]) == (OLD, NEW)
    assert as_day(incident["started_on"]) == RENAMED
    assert set(WAITING) <= set(json.loads(incident["destinations"]))
    assert incident["severity"] in ("error", "critical")
    assert "crm" not in incident["destinations"]


def test_exactly_the_days_of_those_who_wait_are_held(renamed: Shop) -> None:
    assert {name: renamed.held(name) for name in ("mail", "ads", "crm", "lake")} == {
        "mail": RENAMED_DAYS,
        "ads": RENAMED_DAYS,
        "crm": [],
        "lake": [],
    }


def test_no_held_day_is_published_and_every_other_complete_day_is(renamed: Shop) -> None:
    complete = {FIRST + timedelta(days) for days in range(20)}
    published = _published(renamed)
    for name in WAITING:
        assert published[name] == complete - set(RENAMED_DAYS)
    for name in ("crm", "lake"):
        assert published[name] == complete
    status = renamed.rows("reconciliation_published.window_status", ["destination", "day", "verdict"])
    assert status["mail", RENAMED, "held"] == 1


def test_it_is_told_once_however_often_it_is_found(shop: Shop) -> None:
    assert _notices(shop) == [("event_renamed", "opened")]
    shop.run(AS_OF + timedelta(hours=1), judge=True)
    assert _notices(shop) == [("event_renamed", "opened")]


def test_once_contract_and_tools_know_the_new_name_the_windows_open_by_themselves(shop: Shop) -> None:
    _write(shop, _contract(NEW), plan=[OLD, NEW, "Signed Up"])
    land_all(shop, _rows(LATER))
    shop.run(LATER, judge=True)
    _all_is_well(shop)


def test_once_the_old_name_is_sent_again_and_replayed_the_windows_open_by_themselves(shop: Shop) -> None:
    rows = [replace(each, event_text=OLD) if each.event_text == NEW else each for each in _rows(LATER)]
    land_all(shop, rows)
    shop.run(LATER)
    _all_is_well(shop)


def test_a_rename_that_is_taken_up_without_a_replay_leaves_losses_that_say_so(shop: Shop) -> None:
    _write(shop, _contract(NEW), plan=[OLD, NEW, "Signed Up"])
    rows = _rows(LATER)
    everything, _ = delivered(shop, rows)
    as_before, counts = delivered(shop, [each for each in rows if each.event_text != NEW])
    held = [each for each in everything if each.destination not in WAITING]
    held += [each for each in as_before if each.destination in WAITING]
    shop.land(rows, held, counts)
    shop.run(LATER)
    losses = [each for each in shop.incidents() if each["severity"] != "info"]
    missing = {json.loads(each["destinations"])[0]: each["messages_affected"] for each in losses}
    assert missing == dict.fromkeys(WAITING, 5 * 60)  # five days are due
    titles = {each["kind"]: each["title"] for each in losses}
    assert titles == {
        "delivery_loss": f'"{NEW}" (was "{OLD}"): 100% missing at mail since 11 Nov',
        "delivery_stopped": "Nothing arrives at ads since 11 Nov",  # which takes nothing else
    }
    for each in losses:
        assert f'web sends "{OLD}" as "{NEW}" since 11 Nov' in each["explanation"]
        assert "spread evenly" not in each["explanation"]
        assert "eplay the days from 11 Nov on from Segment" in each["suggestion"]
    (resolved,) = shop.incidents("resolved")
    # As of now, and not as of the run that last found it open.
    assert (resolved["messages_affected"], as_day(resolved["ended_on"])) == (300, date(2026, 11, 15))
    told = shop.frame("select payload from reconciliation.alerts where transition = 'resolved'")["payload"]
    (said,) = [Notice.model_validate_json(each).explanation for each in told]
    assert said.startswith(f'The contract takes "{NEW}" by now.')
    assert "is still missing: ads 300, mail 300." in said


def _all_is_well(shop: Shop) -> None:
    assert [each["kind"] for each in shop.incidents() if each["severity"] != "info"] == []
    (resolved,) = shop.incidents("resolved")
    assert (resolved["kind"], resolved["resolved_at"].to_pydatetime()) == ("event_renamed", LATER)
    assert _notices(shop) == [("event_renamed", "opened"), ("event_renamed", "resolved")]
    for name in WAITING:
        assert shop.held(name) == []
        assert set(RENAMED_DAYS) <= _published(shop)[name]
        assert _verdicts(shop, name, RENAMED) == [("held", None), ("open", None)]


def test_an_override_opens_a_held_window_for_a_while_and_leaves_the_others(shop: Shop) -> None:
    override = {
        "destination": "mail",
        "from": RENAMED.isoformat(),
        "to": RENAMED.isoformat(),
        "owner": "@ann",
        "reason": "counted by hand, the campaign may run",
        "until": LATER.date().isoformat(),
    }
    _write(shop, _contract(), overrides=[override])
    land_all(shop, _rows(LATER))
    shop.run(LATER)
    others = [*RENAMED_DAYS[1:], LATER.date() - timedelta(days=1)]
    assert shop.held("mail") == others
    assert shop.held("ads") == [RENAMED, *others]
    assert RENAMED in _published(shop)["mail"]
    ((reasons, owner),) = shop.rows(
        "(select reasons, overridden_by from reconciliation_published.window_status "
        f"where destination = 'mail' and day = date '{RENAMED}')",
        ["reasons", "overridden_by"],
    )
    assert owner == "@ann"
    assert json.loads(reasons)[-1] == (
        f"opened by @ann until {LATER.date()}: counted by hand, the campaign may run"
    )

    shop.run(LATER + timedelta(days=1))
    assert RENAMED in shop.held("mail")
    assert RENAMED not in _published(shop)["mail"]
    assert _verdicts(shop, "mail", RENAMED) == [("held", None), ("open", "@ann"), ("held", None)]
