"""What cannot be read is named, stops nothing else, loses nothing, and once mended leaves no trace."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from builders import by_count, contract, destination
from scenarios.shop import Shop, by_file, csv_of, delivered, differing, land_all, messages

from dagster_project.core.oracle import Message

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
