"""Each file lands once: delivered again, grown, moved, removed, broken, repaired, or cut by a killed run."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from exported.landing_desk import COLUMNS, NOON, Desk, csv_text, event, events, gz, some_events, zst

import dagster_project.flow.landing as landing
from dagster_project.resources.export_folder import FolderFile
from dagster_project.resources.warehouse import WarehouseSession


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_second_run_changes_nothing_and_reads_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("a.csv", some_events("A", "B"))
    desk.write("b.csv.gz", gz(some_events("C")))
    assert (desk.land().files_new, desk.names()) == (2, ["A", "B", "C"])
    before = desk.tables()
    monkeypatch.setattr(FolderFile, "opened", lambda self: pytest.fail("opened a file that did not change"))
    again = desk.land("second")
    assert (again.status, again.files_new, again.files_changed, again.rows) == ("ok", 0, 0, 0)
    assert desk.tables() == before


def test_the_ledger_says_what_is_known_of_a_file(desk: Desk) -> None:
    path = desk.write("a.csv", some_events("A"))
    desk.land("run-1", datetime(2026, 11, 22, 14, tzinfo=timezone(timedelta(hours=2))))
    (row,) = desk.ledger()
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
    assert (row["destination"], row["file"], row["status"]) == ("email", "a.csv", "ok")
    assert (row["size"], row["mtime"], row["row_count"]) == (path.stat().st_size, modified, 1)
    assert (row["landed_at"], row["run_id"], row["problem"]) == (NOON, "run-1", None)
    assert len(row["sha256"]) == 64


def test_a_file_delivered_again_unchanged_is_not_landed_again(desk: Desk) -> None:
    desk.write("a.csv", some_events("A"))
    desk.land("first")
    desk.write("a.csv", some_events("A"))
    again = desk.land("second", NOON + timedelta(days=1))
    assert (again.files_new, again.files_changed, again.rows) == (0, 0, 0)
    (row,) = desk.ledger()
    assert (row["run_id"], row["landed_at"]) == ("first", NOON)


def test_a_grown_file_replaces_its_rows_exactly(desk: Desk) -> None:
    desk.write("a.csv", some_events("A", "B"))
    desk.write("b.csv", some_events("X"))
    desk.land()
    desk.write("a.csv", some_events("A", "B", "C"))
    grown = desk.land()
    assert (grown.files_new, grown.files_changed, grown.rows) == (0, 1, 3)
    assert desk.names() == ["A", "B", "C", "X"]


def test_a_corrected_file_replaces_its_rows_even_when_it_shrinks(desk: Desk) -> None:
    desk.write("a.csv", some_events("A", "B", "C"))
    desk.land()
    desk.write("a.csv", some_events("D"))
    assert desk.land().files_changed == 1
    assert desk.names() == ["D"]
    desk.write("a.csv", some_events())
    assert desk.land().notes != []
    assert desk.names() == []


def test_a_change_of_content_in_the_same_size_is_seen_by_its_time(desk: Desk) -> None:
    desk.write("a.csv", some_events("A"))
    desk.land()
    desk.write("a.csv", some_events("B"))
    desk.land()
    assert desk.names() == ["B"]


def test_a_file_removed_from_disk_keeps_its_rows(desk: Desk) -> None:
    desk.write("a.csv", some_events("A"))
    desk.write("b.csv", some_events("B"))
    desk.land()
    desk.path("a.csv").unlink()
    assert desk.land().status == "ok"
    assert desk.names() == ["A", "B"]
    desk.path("b.csv").unlink()
    landed = desk.land()
    assert landed.status == "empty"
    assert "the 2 rows landed earlier stay" in landed.problems[0].fact
    assert desk.names() == ["A", "B"]


def test_a_renamed_file_is_not_landed_twice(desk: Desk) -> None:
    desk.write("a.csv", some_events("A"))
    desk.land()
    desk.path("a.csv").rename(desk.path("z.csv"))
    moved = desk.land()
    assert (moved.files_new, moved.files_changed) == (0, 1)
    assert desk.rows(["event_name", "_file"]) == [("A", "z.csv")]
    assert [row["file"] for row in desk.ledger()] == ["z.csv"]


def test_a_glob_that_starts_higher_up_does_not_land_everything_twice(tmp_path: Path) -> None:
    desk = Desk(tmp_path, events(files="exports/braze/*.csv"))
    desk.write("braze/a.csv", some_events("A"))
    desk.write("braze/b.csv", some_events("B"))
    desk.land()
    desk.destinations = (events(files="exports/**/*.csv"),)
    desk.land()
    assert desk.rows(["event_name", "_file"]) == [("A", "braze/a.csv"), ("B", "braze/b.csv")]


def test_rotated_names_end_with_what_is_on_disk(desk: Desk) -> None:
    desk.write("1.csv", some_events("Yesterday"))
    desk.write("2.csv", some_events("The day before"))
    desk.land()
    desk.path("2.csv").rename(desk.path("3.csv"))
    desk.path("1.csv").rename(desk.path("2.csv"))
    desk.write("1.csv", some_events("Today"))
    desk.land()
    assert desk.names() == ["Today", "Yesterday", "The day before"]


@pytest.mark.parametrize("first", ["csv", "csv.gz", "csv.zst"])
@pytest.mark.parametrize("second", ["csv", "csv.gz", "csv.zst"])
def test_a_file_delivered_again_in_another_compression_takes_the_place_of_the_first(
    desk: Desk, first: str, second: str
) -> None:
    pack = {"csv": str.encode, "csv.gz": gz, "csv.zst": zst}
    desk.write(f"dt=1/a.{first}", pack[first](some_events("A", "B")))
    desk.write("dt=2/a.csv.gz", gz(some_events("X")))
    desk.destinations = (events(files="exports/*/*"),)
    desk.land()
    desk.path(f"dt=1/a.{first}").unlink()
    desk.write(f"dt=1/a.{second}", pack[second](some_events("A", "B", "C")))
    assert (desk.land().files_changed, desk.names()) == (1, ["A", "B", "C", "X"])
    assert [row["file"] for row in desk.ledger()] == [f"dt=1/a.{second}", "dt=2/a.csv.gz"]


def test_both_compressions_count_until_one_of_them_is_taken_away(desk: Desk) -> None:
    desk.write("a.csv.gz", gz(some_events("A")))
    desk.land()
    desk.write("a.csv.zst", zst(some_events("A")))
    desk.land()
    assert desk.names() == ["A", "A"]
    desk.path("a.csv.gz").unlink()
    desk.land()
    assert desk.rows(["event_name", "_file"]) == [("A", "a.csv.zst")]
    assert [row["file"] for row in desk.ledger()] == ["a.csv.zst"]


def test_a_broken_delivery_in_another_compression_takes_no_place(desk: Desk) -> None:
    desk.write("a.csv.gz", gz(some_events("A")))
    desk.land()
    desk.path("a.csv.gz").unlink()
    desk.write("a.csv.zst", zst(some_events("A", "B"))[:-3])
    assert desk.land().status == "broken"
    assert desk.land().status == "broken"
    assert desk.names() == ["A"]
    desk.write("a.csv.zst", zst(some_events("A", "B")))
    desk.land()
    assert desk.rows(["event_name", "_file"]) == [("A", "a.csv.zst"), ("B", "a.csv.zst")]


def test_a_broken_file_gives_way_to_its_repair_in_another_compression(desk: Desk) -> None:
    desk.write("a.csv.gz", gz(some_events("A")))
    desk.land()
    desk.write("a.csv.gz", gz(some_events("A", "B"))[:-9])
    desk.land()
    desk.path("a.csv.gz").unlink()
    desk.write("a.csv", some_events("A", "B"))
    assert (desk.land().status, desk.names()) == ("ok", ["A", "B"])
    assert [(row["file"], row["status"]) for row in desk.ledger()] == [("a.csv", "ok")]


def test_another_format_of_the_same_name_is_another_file(desk: Desk) -> None:
    desk.write("a.csv", some_events("A"))
    desk.land()
    desk.path("a.csv").unlink()
    desk.write("a.jsonl", '{"event": "B", "at": "t", "user": "u", "anon": "a", "id": "m"}\n')
    desk.land()
    assert desk.names() == ["A", "B"]


def test_a_ledger_of_an_earlier_release_is_read_on(desk: Desk) -> None:
    desk.write("a.csv", some_events("A"))
    desk.land("first")
    desk.warehouse.execute(f"alter table {landing.LEDGER} drop column etag")
    desk.land("second")
    assert [(row["run_id"], row["etag"]) for row in desk.ledger()] == [("first", None)]


def test_two_files_of_the_same_content_are_both_landed(desk: Desk) -> None:
    # An export that was sent twice is a finding for later stages, not something to hide here.
    desk.write("a.csv", some_events("A"))
    desk.write("b.csv", some_events("A"))
    desk.land()
    assert desk.names() == ["A", "A"]


def test_a_link_beside_its_file_is_the_same_file(desk: Desk) -> None:
    path = desk.write("z_2026-11-20.csv", some_events("A"))
    desk.path("latest.csv").symlink_to(path)
    desk.path("again.csv").hardlink_to(path)
    assert desk.land().files_new == 1
    assert desk.names() == ["A"]


def test_a_file_is_known_by_its_own_name_not_by_a_link_to_it(desk: Desk) -> None:
    path = desk.write("z_2026-11-20.csv", some_events("A"))
    desk.path("latest.csv").symlink_to(path)
    desk.land()
    assert desk.rows(["event_name", "_file"]) == [("A", "z_2026-11-20.csv")]


def test_links_out_of_the_folder_are_followed(desk: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.csv").write_text(some_events("A"))
    (outside / "day").mkdir()
    (outside / "day" / "b.csv").write_text(some_events("B"))
    desk.path("a.csv").symlink_to(outside / "a.csv")
    desk.path("day").symlink_to(outside / "day")
    desk.destinations = (events(files="exports/**/*.csv"),)
    desk.land()
    assert desk.rows(["event_name", "_file"]) == [("A", "a.csv"), ("B", "day/b.csv")]


def test_a_folder_that_links_to_itself_lands_each_file_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path, events(files="exports/**/*.csv"))
    desk.write("a.csv", some_events("A"))
    desk.path("loop").symlink_to(desk.path("."))
    desk.land()
    assert desk.rows(["event_name", "_file"]) == [("A", "a.csv")]


@pytest.mark.parametrize(
    "name", ["a'; drop table x; --.csv", "new\nline.csv", "brack[1].csv", "🛒 .csv", '"q".csv']
)
def test_file_names_are_data(desk: Desk, name: str) -> None:
    desk.write(name, some_events("A"))
    desk.land()
    desk.write(name, some_events("A", "B"))
    desk.land()
    assert desk.rows(["event_name", "_file"]) == [("A", name), ("B", name)]


def test_a_file_name_that_is_no_text_lands_readably(desk: Desk) -> None:
    raw = os.fsencode(desk.path("")) + b"/caf\xe9.csv"
    Path(os.fsdecode(raw)).write_text(some_events("A"))
    desk.land()
    assert desk.rows(["_file"]) == [("caf\\xe9.csv",)]


def test_a_root_with_brackets_in_its_name_is_no_pattern(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "team [a]")
    desk.write("a.csv", some_events("A"))
    assert desk.land().files_new == 1


def test_an_absolute_glob_and_a_single_file_are_named_below_their_fixed_part(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write("x/a.csv", some_events("A"))
    desk.destinations = (
        events("absolute", str(desk.path("")) + "/*/a.csv"),
        events("single", "exports/x/a.csv"),
        events("above", "../expectations/exports/x/?.csv"),
    )
    desk.land()
    assert desk.rows(["_file"], "absolute") == [("x/a.csv",)]
    assert desk.rows(["_file"], "single") == [("a.csv",)]
    assert desk.rows(["_file"], "above") == [("a.csv",)]


def test_a_destination_with_a_table_is_not_landed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    table = events("table").model_copy(
        update={"export": desk.destinations[0].export.model_copy(update={"files": None, "table": "s.t"})}
    )
    desk.destinations = (table, events())
    assert [each.destination for each in desk.land_all()] == ["email"]


# Broken files.


def test_a_broken_file_keeps_the_rows_of_its_last_good_version(desk: Desk) -> None:
    desk.write("a.csv", some_events("A", "B"))
    desk.land("first")
    desk.write("a.csv", some_events("A", "B", "C") + "cut,off")
    landed = desk.land("second", NOON + timedelta(days=1))
    assert (landed.status, landed.rows) == ("broken", 0)
    assert desk.names() == ["A", "B"]
    (row,) = desk.ledger()
    assert (row["status"], row["row_count"], row["landed_at"]) == ("broken", 2, NOON)
    assert "line 5 has 2 fields" in row["problem"]
    assert row["next_step"]


def test_a_broken_file_is_told_on_every_run_and_read_again_only_when_it_changes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write("a.csv", "nonsense")
    first = desk.land("first")
    before = desk.tables()
    with monkeypatch.context() as patch:
        patch.setattr(
            FolderFile, "opened", lambda self: pytest.fail("read a broken file that did not change")
        )
        second = desk.land("second")
    assert (second.status, second.problems) == ("broken", first.problems)
    assert desk.tables() == before
    desk.write("a.csv", "nonsense")
    assert desk.land().problems == first.problems
    desk.write("a.csv", some_events("A"))
    repaired = desk.land("third")
    assert (repaired.status, repaired.files_new, desk.names()) == ("ok", 1, ["A"])
    assert (desk.ledger()[0]["status"], desk.ledger()[0]["problem"]) == ("ok", None)


def test_the_good_version_put_back_repairs_a_broken_file(desk: Desk) -> None:
    desk.write("a.csv", some_events("A"))
    desk.land()
    desk.write("a.csv", "nonsense")
    desk.land()
    desk.write("a.csv", some_events("A"))
    assert desk.land().status == "ok"
    assert desk.names() == ["A"]


def test_a_broken_file_that_is_taken_away_is_no_problem_any_more(desk: Desk) -> None:
    desk.write("good.csv", some_events("G"))
    desk.write("never.csv", "nonsense")
    desk.write("once.csv", some_events("O"))
    desk.land()
    desk.write("once.csv", "nonsense")
    assert len(desk.land().problems) == 2
    desk.path("never.csv").unlink()
    desk.path("once.csv").unlink()
    assert (desk.land().status, desk.names()) == ("ok", ["G", "O"])
    assert [(row["file"], row["status"], row["row_count"]) for row in desk.ledger()] == [
        ("good.csv", "ok", 1),
        ("once.csv", "ok", 1),
    ]
    before = desk.tables()
    desk.land()
    assert desk.tables() == before
    desk.write("once.csv", some_events("P"))
    assert (desk.land().files_changed, desk.names()) == (1, ["G", "P"])


def test_a_corrected_contract_reads_its_files_again(desk: Desk) -> None:
    desk.write("a.csv", csv_text([event("A")]).replace("user", "customer"))
    desk.write("b.csv", csv_text([event("B")]).replace("user", "customer"))
    assert len(desk.land().problems) == 2
    desk.destinations = (events(columns=COLUMNS.model_copy(update={"user_id": "customer"})),)
    assert desk.land().status == "ok"
    assert desk.rows(["event_name", "user_id"]) == [("A", "u1"), ("B", "u1")]
    desk.destinations = (events(columns=COLUMNS.model_copy(update={"user_id": "anon"})),)
    assert desk.land().files_changed == 2
    assert desk.rows(["event_name", "user_id"]) == [("A", "a1"), ("B", "a1")]


# Killed runs.


class Killed(BaseException):
    """What a signal does to a run: nothing catches it."""


@pytest.mark.parametrize("stroke", range(1, 14))
def test_a_run_killed_anywhere_and_run_again_gives_the_tables_of_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stroke: int
) -> None:
    monkeypatch.setattr(landing, "_CHUNK_ROWS", 3)
    monkeypatch.setattr("dagster_project.resources.export_text.BLOCK", 64)

    def prepare(folder: Path) -> Desk:
        desk = Desk(folder)
        desk.write("a.csv", some_events("old A"))
        desk.write("f.csv", some_events("old F"))
        desk.land("before")
        desk.write("a.csv", some_events("A1", "A2"))
        desk.write("b.csv.gz", gz(some_events(*(f"B{number}" for number in range(11)))))
        desk.write("c.csv", "nonsense")
        desk.write("d.csv", some_events("D"))
        desk.write("e.csv", some_events(*(f"E{number}" for number in range(4))))
        desk.path("f.csv").rename(desk.path("g.csv"))
        return desk

    undisturbed = prepare(tmp_path / "undisturbed")
    undisturbed.land()
    desk = prepare(tmp_path / "killed")
    statements = 0
    for name in ("execute", "append"):
        original = getattr(WarehouseSession, name)

        def struck(
            self: WarehouseSession, *args: object, _original: object = original, **params: object
        ) -> object:
            nonlocal statements
            statements += 1
            if statements == stroke + 4:  # past the statements that create the tables
                raise Killed
            return _original(self, *args, **params)  # type: ignore[operator]

        monkeypatch.setattr(WarehouseSession, name, struck)
    with pytest.raises(Killed):
        desk.land("killed")
    monkeypatch.undo()
    desk.land("again")
    assert desk.tables() == undisturbed.tables()


def test_a_run_killed_between_files_goes_on_where_it_was(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "_FILES_PER_TRANSACTION", 1)
    for name in "abcd":
        desk.write(f"{name}.csv", some_events(name))

    def kill_at_c(message: str) -> None:
        if "c.csv" in message:
            raise Killed

    with pytest.raises(Killed):
        landing.land_files(desk.warehouse, desk.workspace, NOON, "killed", kill_at_c)
    assert desk.names() == ["a", "b"]
    assert (desk.land().files_new, desk.names()) == (2, ["a", "b", "c", "d"])


def test_many_small_files_share_transactions(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    appended: list[int] = []
    for name in ("append", "append_arrow"):
        original = getattr(WarehouseSession, name)

        def counted(self: WarehouseSession, table: str, rows: object, _original: object = original) -> None:
            appended.append(len(rows))  # type: ignore[arg-type]
            _original(self, table, rows)  # type: ignore[operator]

        monkeypatch.setattr(WarehouseSession, name, counted)
    for number in range(60):
        desk.write(f"{number:02}.csv", some_events(f"E{number}"))
    assert desk.land().files_new == 60
    assert appended == [60, 60]  # their rows and their ledger entries
    assert desk.names() == [f"E{number}" for number in range(60)]


def test_progress_names_destination_and_file_on_one_line(desk: Desk) -> None:
    desk.write("a.csv", some_events("A"))
    desk.write("b\nb.csv", some_events("B"))
    said: list[str] = []
    landing.land_files(desk.warehouse, desk.workspace, NOON, "run", said.append)
    assert said == ["email: file 1 of 2, a.csv", "email: file 2 of 2, b\\nb.csv"]


def test_a_whole_folder_copied_elsewhere_lands_the_same(tmp_path: Path) -> None:
    # What lands depends on the files and the contract, not on where the checkout is.
    desk = Desk(tmp_path / "one")
    desk.write("x.csv", some_events("A"))
    desk.land()
    other = Desk(tmp_path / "two")
    shutil.copytree(desk.root, other.root, dirs_exist_ok=True, copy_function=shutil.copy2)
    other.land()
    assert other.tables() == desk.tables()
