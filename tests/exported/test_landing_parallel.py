"""Files are read by several threads: in bounded memory, and with the same tables for any number of them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from exported.landing_desk import NOON, Desk, events, gz, some_events, zst

import dagster_project.flow.landing as landing
from dagster_project.resources.export_ahead import Ahead


def tables_of(folder: Path, threads: int) -> list[object]:
    """A folder with a bit of everything, landed, delivered again in part, and landed once more."""
    desk = Desk(folder)
    for number in range(40):
        names = [f"{number}-{row}" for row in range(number)]
        pack = (str.encode, gz, zst)[number % 3]
        suffix = ("csv", "csv.gz", "csv.zst")[number % 3]
        desk.write(f"dt={number % 4}/{number:02}.{suffix}", pack(some_events(*names)))
    desk.write("broken.csv", "nonsense")
    desk.destinations = (events(files="exports/**/*.csv*"),)
    land = landing.land_files
    first = land(desk.warehouse, desk.workspace, NOON, "first", threads=threads)
    desk.write("dt=1/01.csv.gz", gz(some_events("grown", "by", "two")))
    desk.path("dt=2/02.csv.zst").rename(desk.path("dt=3/moved.csv.zst"))
    desk.path("dt=3/03.csv").unlink()
    desk.write("dt=3/03.csv.gz", gz(some_events("the", "same", "day")))
    second = land(desk.warehouse, desk.workspace, NOON, "second", threads=threads)
    unordered = desk.warehouse.frame("select * from reconciliation_landing.email").values.tolist()
    ledger = desk.warehouse.frame(f"select * from {landing.LEDGER}").drop(columns="mtime").values.tolist()
    return [str(first), str(second), str(unordered), str(ledger)]


@pytest.mark.parametrize("threads", [2, 7])
def test_any_number_of_threads_gives_the_same_tables_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(landing, "_CHUNK_ROWS", 9)  # so that many files come in several pieces
    monkeypatch.setattr("dagster_project.resources.export_text.BLOCK", 128)
    one = tables_of(tmp_path / "one", 1)
    assert tables_of(tmp_path / "many", threads) == one


def test_the_number_of_threads_is_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    class Counted(Ahead):  # type: ignore[type-arg]
        def __init__(self, *args: object, threads: int, **rest: object) -> None:
            started.append(threads)
            super().__init__(*args, threads=threads, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(landing, "Ahead", Counted)
    monkeypatch.setenv("RECON_THREADS", "3")
    desk = Desk(tmp_path)
    desk.write("a.csv", some_events("A"))
    desk.land()
    assert started == [3]


def test_a_large_file_delivered_again_in_pieces_by_threads_replaces_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "_CHUNK_ROWS", 50)
    monkeypatch.setattr("dagster_project.resources.export_text.BLOCK", 1024)
    desk = Desk(tmp_path)
    for letter in "abcdef":
        desk.write(f"{letter}.csv.gz", gz(some_events(*(f"{letter}{row}" for row in range(500)))))
    landing.land_files(desk.warehouse, desk.workspace, NOON, "run", threads=4)
    for letter in "bde":
        desk.write(f"{letter}.csv.gz", gz(some_events(*(f"{letter}{row}" for row in range(620)))))
    landing.land_files(desk.warehouse, desk.workspace, NOON, "run", threads=4)
    lengths = {"b": 620, "d": 620, "e": 620}
    assert desk.rows(["event_name", "_row"]) == [
        (f"{letter}{row}", row + 1) for letter in "abcdef" for row in range(lengths.get(letter, 500))
    ]


# The hands and the queue, with numbers for files.


def ahead(items: list[int], work: object, threads: int = 4, room: int = 10) -> Ahead[int, int]:
    return Ahead(items, work, threads=threads, room=room, weight=lambda piece: 1)  # type: ignore[arg-type]


def test_pieces_come_in_the_order_of_the_items_however_long_each_takes() -> None:
    dice = random.Random(7)

    def work(item: int) -> Generator[int, None, None]:
        for piece in range(item % 5):
            time.sleep(dice.random() / 500)
            yield item * 10 + piece

    with ahead(list(range(50)), work) as running:
        found = [(item, list(pieces)) for item, pieces in running]
    assert found == [(item, [item * 10 + piece for piece in range(item % 5)]) for item in range(50)]


def test_what_waits_never_weighs_more_than_the_room() -> None:
    made = 0
    lock = threading.Lock()

    def work(item: int) -> Generator[int, None, None]:
        nonlocal made
        for piece in range(100):
            with lock:
                made += 1
            yield piece

    used = 0
    most = 0
    with ahead(list(range(6)), work, threads=3, room=10) as running:
        for _, pieces in running:
            for _ in pieces:
                used += 1
                time.sleep(0.0005)
                most = max(most, made - used)
    assert used == 600
    # Ten wait, each of three threads holds one that found no room, and one more is the next in turn.
    assert most <= 10 + 3 + 1


def test_a_piece_heavier_than_the_room_passes_when_it_is_its_turn() -> None:
    def work(item: int) -> Generator[int, None, None]:
        yield item
        yield item

    with Ahead([1, 2, 3], work, threads=3, room=5, weight=lambda piece: 100) as running:
        assert [(item, list(pieces)) for item, pieces in running] == [(1, [1, 1]), (2, [2, 2]), (3, [3, 3])]


def test_an_error_comes_out_where_its_item_is_used_and_harms_no_other() -> None:
    def work(item: int) -> Generator[int, None, None]:
        yield item
        if item == 2:
            raise ValueError("two")

    said: list[object] = []
    with ahead([1, 2, 3], work) as running:
        for _, pieces in running:
            try:
                said += pieces
            except ValueError as error:
                said.append(str(error))
    assert said == [1, 2, "two", 3]


def test_threads_end_when_nobody_wants_their_pieces_any_more() -> None:
    closed = threading.Event()

    def work(item: int) -> Generator[int, None, None]:
        try:
            while True:
                yield item
        finally:
            closed.set()

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), ahead([1, 2, 3], work) as running:
        for _, pieces in running:
            next(pieces)
            raise KeyboardInterrupt
    assert closed.wait(5)
    assert threading.active_count() == before
