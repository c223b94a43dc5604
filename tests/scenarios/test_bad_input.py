"""What cannot be read is named, stops nothing else, loses nothing, and once mended leaves no trace."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from builders import by_count, contract, destination
from matched.conftest import disagreements
from scenarios.shop import Shop, by_file, csv_of, delivered, differing, land_all, messages

from dagster_project.core.message import Message as Notice
from dagster_project.core.oracle import Delivery, Message
from dagster_project.core.slack_blocks import payload

pytestmark = pytest.mark.dbt

SUNDAY: Final = datetime(2026, 11, 8, 12)  # the last run in which all was well
MONDAY: Final = datetime(2026, 11, 9, 9)  # the run that meets the bad input
MENDED: Final = datetime(2026, 11, 9, 10)
BROKEN_SOURCES: Final = {
    "web": "schema web does not exist",
    "app": "table app.tracks does not exist",
    "till": "table till.tracks has no column event_text",
}
DAY_FILE: Final = f"{SUNDAY.date()}.csv"
BROKEN_EXPORTS: Final = {
    "gone": "table exports.gone does not exist",
    "other": "table exports.other has no column event_name",
    "cut": f"{DAY_FILE}.gz: ",
    "empty": f"{DAY_FILE}: ",
    "utf16": f"{DAY_FILE}: it is UTF-16",
    "columns": f"{DAY_FILE}: ",
    "twice": f"{DAY_FILE}: it has 2 columns named `event`",
}
FED_BY: Final = {"mail": "web", "ads": "app", "desk": "till"}  # one source each
BOOKS: Final = ("destination", "day", "event", "expected", "delivered")


def _contract() -> dict[str, Any]:
    def of(source: str) -> dict[str, Any]:
        return {"receives": {"sources": [source], "events": "all"}}

    return contract(
        destination("crm", **of("garden")),
        destination("gone", **of("garden")),
        destination("other", **of("garden")),
        *[by_file(name, **of("garden")) for name in ("cut", "empty", "utf16", "columns", "twice")],
        destination("mail", **of("web")),
        by_count("ads", **of("app")),
        destination("desk", **of("till")),
        destination("total"),
        sources=("garden", *BROKEN_SOURCES),
    )


def _rows(until: datetime) -> list[Message]:
    rows = []
    for source in ("garden", *BROKEN_SOURCES):
        rows += messages(source, "Order Completed", days=8, a_day=8)
        rows += messages(source, "Signed Up", days=8, a_day=3)
    return [each for each in rows if each.received_at <= until]


def _break(shop: Shop) -> None:
    """Three sources and seven exports, each with another fault; of files it is the newest one that is bad."""
    shop.warehouse.execute("drop schema web cascade")
    shop.warehouse.execute("drop table app.tracks")
    shop.warehouse.execute("alter table till.tracks drop column event_text")
    shop.warehouse.execute("drop table exports.gone")
    shop.warehouse.execute("alter table exports.other rename column event_name to name_of_the_event")
    sent, _ = delivered(shop, _rows(MONDAY))
    of_day = [each for each in sent if each.destination == "crm" and str(each.event_time) > DAY_FILE[:10]]
    text = csv_of(of_day)
    # The end of a gzip stream is lost in an upload that stopped.
    shop.path("cut", DAY_FILE).unlink()
    shop.write_file("cut", f"{DAY_FILE}.gz", gzip.compress(text.encode(), mtime=0)[:-20])
    shop.write_file("empty", DAY_FILE, b"")
    shop.write_file("utf16", DAY_FILE, text.encode("utf-16"))
    shop.write_file("columns", DAY_FILE, csv_of(of_day, ("name", "time", "key")))
    shop.write_file("twice", DAY_FILE, csv_of(of_day, ("event", "at", "event")))


def _mend(shop: Shop) -> None:
    land_all(shop, _rows(MONDAY))
    shop.path("cut", f"{DAY_FILE}.gz").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def sunday(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A week, run once on Sunday with nothing wrong; what came until Monday is landed after that run."""
    shop = Shop.build(tmp_path_factory.mktemp("sunday"), _contract())
    land_all(shop, _rows(SUNDAY))
    shop.run(SUNDAY)
    land_all(shop, _rows(MONDAY))
    return shop


@pytest.fixture(scope="module")
def undisturbed(sunday: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same week, run again on Monday with nothing wrong."""
    shop = sunday.copy_to(tmp_path_factory.mktemp("undisturbed") / "shop")
    shop.run(MENDED)
    assert shop.incidents() == []
    return shop


@pytest.fixture(scope="module")
def monday(sunday: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same week, run again on Monday with everything broken that is broken here."""
    shop = sunday.copy_to(tmp_path_factory.mktemp("monday") / "shop")
    _break(shop)
    shop.run(MONDAY)
    return shop


def _books(shop: Shop, *, before: datetime | None = None) -> Counter[tuple[Any, ...]]:
    rows = shop.rows("reconciliation_work.int_cells_daily", BOOKS)
    return Counter({row: n for row, n in rows.items() if before is None or row[1] < before.date()})


def test_every_source_and_export_that_cannot_be_read_is_named_with_its_fault(monday: Shop) -> None:
    for kind, told in (("source", BROKEN_SOURCES), ("export", BROKEN_EXPORTS)):
        problems = monday.health(kind)
        assert problems.keys() == told.keys()
        for name, words in told.items():
            assert problems[name].startswith(words), problems[name]


def test_each_of_them_is_one_incident_that_says_the_fault(monday: Shop) -> None:
    found = [(each["kind"], each["source"] or each["destinations"]) for each in monday.incidents()]
    assert Counter(found) == Counter(
        [("source_stopped", name) for name in BROKEN_SOURCES]
        + [("export_incomplete", f'["{name}"]') for name in BROKEN_EXPORTS]
    )
    text = " ".join(each["explanation"] for each in monday.incidents())
    for fault in [*BROKEN_SOURCES.values(), *BROKEN_EXPORTS.values()]:
        assert fault.rstrip() in text


def test_who_has_no_part_in_it_has_the_books_of_an_undisturbed_run(monday: Shop, undisturbed: Shop) -> None:
    assert monday.cells("crm") == undisturbed.cells("crm")
    assert monday.held("crm") == []


def test_nothing_that_was_read_before_is_lost(monday: Shop, undisturbed: Shop) -> None:
    assert _books(monday, before=SUNDAY) == _books(undisturbed, before=SUNDAY)


@pytest.mark.parametrize("name", [*FED_BY, "total", *BROKEN_EXPORTS])
def test_a_day_that_waits_for_what_cannot_be_read_is_held(name: str, monday: Shop) -> None:
    assert SUNDAY.date() in monday.held(name)


def _export_incident(shop: Shop) -> dict[str, Any]:
    (found,) = [each for each in shop.incidents() if each["kind"] == "export_incomplete"]
    return found


def _missing(shop: Shop, name: str) -> int:
    sql = "select sum(missing) as n from reconciliation.reconciliation_daily where destination = :name"
    return int(shop.frame(sql, name=name)["n"].iloc[0])


def test_of_a_file_that_is_cut_the_day_that_is_due_is_missing_and_the_running_one_is_not(
    sunday: Shop, tmp_path: Path
) -> None:
    shop = sunday.copy_to(tmp_path / "shop")
    whole = shop.path("cut", DAY_FILE).read_bytes()
    shop.path("cut", DAY_FILE).unlink()
    shop.write_file("cut", f"{DAY_FILE}.gz", gzip.compress(whole, mtime=0)[:-20])
    shop.path("cut", f"{MONDAY.date()}.csv").unlink()  # comes once the day is over
    shop.run(MONDAY)
    found = _export_incident(shop)
    assert sum(row[6] for row in shop.cells("cut")) > 0
    assert found["messages_affected"] == _missing(shop, "cut") > 0
    assert found["severity"] == "error"
    windows = shop.rows("reconciliation_work.incident_windows", ["destination", "day"])
    assert set(windows) == {("cut", SUNDAY.date())}
    assert "9 Nov" not in found["title"] + found["explanation"] + found["suggestion"]


def test_of_a_file_of_the_running_day_that_is_cut_nothing_is_missing_and_no_day_is_held(
    sunday: Shop, tmp_path: Path
) -> None:
    shop = sunday.copy_to(tmp_path / "shop")
    running = shop.path("cut", f"{MONDAY.date()}.csv")
    cut = gzip.compress(running.read_bytes(), mtime=0)[:-20]
    running.unlink()
    shop.write_file("cut", f"{running.name}.gz", cut)
    shop.run(MONDAY)
    found = _export_incident(shop)
    assert (found["severity"], found["messages_affected"], _missing(shop, "cut")) == ("warning", 0, 0)
    assert found["title"].endswith("cannot be read in full; nothing that is due is missing")
    assert shop.held("cut") == []


def test_once_all_is_mended_the_tables_are_those_of_an_undisturbed_run(
    monday: Shop, undisturbed: Shop, tmp_path: Path
) -> None:
    shop = monday.copy_to(tmp_path / "shop")
    _mend(shop)
    shop.run(MENDED)
    assert (shop.health("source"), shop.health("export")) == ({}, {})
    assert differing(shop.public(), undisturbed.public()) == []
    assert len(shop.incidents("resolved")) == len(BROKEN_SOURCES) + len(BROKEN_EXPORTS)


def test_a_workspace_that_was_broken_from_the_start_ends_like_one_that_never_was(
    tmp_path: Path, undisturbed: Shop
) -> None:
    shop = Shop.build(tmp_path / "shop", _contract())
    land_all(shop, _rows(MONDAY))
    _break(shop)
    shop.run(MONDAY)
    assert shop.health("source").keys() == BROKEN_SOURCES.keys()
    assert shop.health("export").keys() == BROKEN_EXPORTS.keys()
    assert shop.cells("crm") == undisturbed.cells("crm")
    _mend(shop)
    shop.run(MENDED)
    assert differing(shop.public(), undisturbed.public()) == []


# ---- names that would be code somewhere ----------------------------------------------------------------

HOSTILE: Final = (
    "Robert'); drop table web.tracks; --",
    "say \"hi\" and 'bye'",
    "two\nlines\r\nand a\ttab",
    "🎉 Käufe 売上 \u202egnihton",
    "<!channel> <@U123> *bold* `code` <https://evil.example|here>",
    "{{ ref('int_messages') }}{% raw %}",
    "100%s of %(name)s",
    ":source :name ::date",
    "\x01\x07\x1b[31mred",
    "back\\slash \\n \\",
    " padded ",
    "$1 ${HOME} $(id)",
    "- {a: b} # c",
    "../../etc/passwd",
    "x" * 10_000,
    "",
)
# Half of them are planned and routed, the others come as a surprise.
IN_CONTRACT: Final = HOSTILE[0:-1:2]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Every hostile name as an event, a route, a planned event and a name in a table and in a file."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "expectations").mkdir()
    rules = [
        {"type": "TRACK", "key": name, "version": 1, "jsonSchema": {"type": "object"}}
        for name in ("Signed Up", *IN_CONTRACT)
    ]
    plan = json.dumps({"data": {"rules": rules}})
    (folder / "expectations" / "tracking_plan.json").write_text(plan, "utf-8")
    aliased = [{"Signed Up": "Robert'); drop table x; --"}, *IN_CONTRACT]
    told = contract(
        destination("crm", receives={"sources": "all", "events": ["Signed Up", *IN_CONTRACT]}),
        by_count("ads", receives={"sources": "all", "events": aliased}),
        by_file("desk"),
        destination("lake"),
        sources=("web", "app"),
        tracking_plan="tracking_plan.json",
    )
    shop = Shop.build(folder, told)
    rows = messages("web", "Signed Up", days=8, a_day=4)
    for name in HOSTILE:
        rows += messages("app", name, days=8, a_day=4)
    rows = [each for each in rows if each.received_at <= MONDAY]
    sent, counts = delivered(shop, rows)
    # What a tool calls a thing that nobody sent it; often enough to be told.
    strange = [
        Delivery("crm", f"strange {name}", SUNDAY, message_id=f"strange {name[:9]} {number}")
        for name in HOSTILE
        for number in range(25)
    ]
    shop.land(rows, [*sent, *strange], counts)
    shop.run(MONDAY, judge=True)
    return shop


def test_hostile_names_are_matched_like_any_other(hostile: Shop) -> None:
    assert disagreements(hostile, MONDAY) == []
    books = hostile.rows(
        "reconciliation_work.int_cells_daily", ["destination", "event", "missing", "unexpected"]
    )
    assert {name for destination, name, _, _ in books if destination == "lake"} >= set(HOSTILE)
    assert {name for destination, name, _, _ in books if destination == "desk"} >= set(HOSTILE)
    assert not any(missing or unexpected for _, _, missing, unexpected in books)


def test_hostile_names_stand_in_the_tables_letter_by_letter(hostile: Shop) -> None:
    counted = hostile.rows("reconciliation.event_names_daily", ["event_text", "planned"])
    assert {name for name, _ in counted} == {"Signed Up", *HOSTILE}
    assert {name for name, planned in counted if planned} == {"Signed Up", *IN_CONTRACT}
    names = hostile.rows("reconciliation_work.int_delivery_names_daily", ["destination", "event_name"])
    assert {name for destination, name in names if destination == "crm"} >= {
        f"strange {name}" for name in HOSTILE
    }


def test_every_hostile_name_is_judged_and_nothing_breaks_on_it(hostile: Shop) -> None:
    results = hostile.rows("reconciliation_work.check_results", ["status"])
    assert results["PASS",] > 0
    assert results["ERROR",] == 0


def test_what_is_said_of_hostile_names_is_short_and_shows_nothing_as_code(hostile: Shop) -> None:
    incidents = hostile.incidents()
    named = {each["event"] for each in incidents}
    assert {name for name in HOSTILE if name and name not in IN_CONTRACT} <= named
    assert {f"strange {name}" for name in HOSTILE} <= named
    for each in incidents:
        assert len(each["title"]) <= 300
        assert each["title"].isprintable()
        assert "\x1b" not in each["explanation"] + each["suggestion"]
    notices = hostile.frame("select payload from reconciliation.alerts")["payload"]
    assert len(notices) >= len(HOSTILE)
    for notice in notices:
        sent = json.dumps(payload(Notice.model_validate_json(notice)), ensure_ascii=False)
        assert "<!channel>" not in sent
        assert "<@U123>" not in sent
        assert "<https://evil" not in sent


def test_nothing_was_dropped_by_a_name(hostile: Shop) -> None:
    assert len(hostile.frame("select 1 from web.tracks")) == len(
        [each for each in hostile.landed["messages"] if each.source == "web"]
    )
