"""What `recon` says, where it says it, and how it ends; every command in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import dagster as dg
import pytest
from commands.conftest import AS_OF, FIRST, NEW, OLD, RENAMED, Desk, Ended, desk_in, ended
from scenarios.shop import land_all, messages

from dagster_project.cli.check import ended_mutes
from dagster_project.core.contracts import Mute, Workspace
from dagster_project.flow.census import as_day
from dagster_project.resources.reconciliation import Reconciliation
from dagster_project.session import RunInThePast
from dagster_project.settings import Settings

TIME = AS_OF.isoformat() + "Z"
COLUMNS = {
    *("incident_id", "kind", "severity", "status", "source", "event", "renamed_to", "property", "identifier"),
    *("destinations", "started_on", "ended_on", "detected_at", "resolved_at", "messages_affected"),
    *("state", "runs_seen", "runs_clean", "last_seen_at", "reopened_at", "muted_until", "muted_by"),
    *("title", "explanation", "suggestion", "evidence"),
}

# ---- without a run -------------------------------------------------------------------------------------


def test_a_right_configuration_is_in_order(empty_desk: Desk) -> None:
    done = empty_desk.recon("check")
    assert (done.code, done.err) == (0, "")
    assert "2 sources, 2 destinations, 2 planned events; everything is in order" in done.out
    assert empty_desk.recon("check", "--format", "json").json == {"ok": True, "problems": []}


@pytest.mark.parametrize("command", [("check",), ("run",), ("generate",)], ids=" ".join)
def test_a_wrong_configuration_is_told_with_its_place_and_ends_with_2(
    command: tuple[str, ...], empty_desk: Desk
) -> None:
    file = empty_desk.write(
        "destinations/crm.yml",
        "name: crm\ntimezone: Europe/Berlln\ngrain: event\nreceives: {sources: all, events: all}\n"
        "export: {table: exports.crm, columns: {event_name: e, event_time: t, message_id: m}}\n",
    )
    done = empty_desk.recon(*command)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"{file}:2:11: ")
    assert "Europe/Berlin" in done.err


def test_every_problem_of_a_configuration_is_an_object_of_its_own_in_json(empty_desk: Desk) -> None:
    file = empty_desk.write(
        "workspace.yml", "name: acme\ntimezon: UTC\nsources: {web: {}, app: {schma: x}}\n"
    )
    done = empty_desk.recon("check", "--format", "json")
    assert done.code == 2
    assert not done.json["ok"]
    places = {(each["file"], each["line"]) for each in done.json["problems"]}
    assert {(str(file), 2), (str(file), 3)} <= places
    assert all(each["fact"] and each["instead"] and each["column"] for each in done.json["problems"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--form", "yaml"], "--form"),
        (["run", "--as-of", "yesterday"], "write it like 2026-11-09T12:00:00Z"),
        (["run", "--from", "9 Nov"], "write it like 2026-11-09"),
        (["run", "--from", "2026-11-09", "--to", "2026-11-08"], "swap them"),
        (["reconcile"], "reconcile"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_told_and_ends_with_2(words: list[str], said: str, empty_desk: Desk) -> None:
    done = empty_desk.recon(*words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("more", [(), ("--all", "--format", "json")], ids=" ".join)
def test_before_any_run_nobody_says_that_no_incident_is_open(more: tuple[str, ...], empty_desk: Desk) -> None:
    done = empty_desk.recon("incidents", *more)
    assert (done.code, done.out) == (2, "")
    path = empty_desk.environment["RECON_DUCKDB_PATH"]
    assert f"nothing has been reconciled in DuckDB file {path} yet; run `recon run` first" in done.err


READING = [
    ("incidents",),
    ("incidents", "--format", "json"),
    ("check", "--warehouse"),
    ("run", "--as-of", TIME),
    ("run", "--as-of", TIME, "--from", "2026-11-02", "--format", "json"),
    ("run", "--plan"),
    ("plan", "health"),
    ("plan", "lint", "--landed"),
    ("plan", "patch", "tracking_plan.json"),
    ("plan", "infer"),
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_wrong_path_of_the_warehouse_is_told_and_leaves_nothing_there(
    command: tuple[str, ...], empty_desk: Desk
) -> None:
    place = empty_desk.folder / "elsewhere"
    path = place / "typo\u202e.duckdb"
    done = empty_desk.with_environment(RECON_DUCKDB_PATH=str(path)).recon(*command)
    assert not place.exists()
    if "--plan" in command:  # needs no warehouse
        assert done.code == 0
        return
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert f"the DuckDB file {place}/typo\\u202e.duckdb does not exist; check RECON_DUCKDB_PATH, or " in line
    assert "reconciling" not in done.err


def test_a_folder_in_the_place_of_the_warehouse_is_told(empty_desk: Desk) -> None:
    done = empty_desk.with_environment(RECON_DUCKDB_PATH=str(empty_desk.folder)).recon("incidents")
    assert done.code == 2
    assert f"the DuckDB file {empty_desk.folder} is no file; check RECON_DUCKDB_PATH" in done.err


def test_a_warehouse_that_is_not_there_is_one_problem_in_json(empty_desk: Desk) -> None:
    path = empty_desk.folder / "typo.duckdb"
    desk = empty_desk.with_environment(RECON_DUCKDB_PATH=str(path))
    done = desk.recon("check", "--warehouse", "--format", "json")
    assert done.code == 2
    (problem,) = done.json["problems"]
    assert str(path) in problem["fact"]
    assert not path.exists()


def test_what_the_warehouse_lacks_is_named(empty_desk: Desk) -> None:
    empty_desk.shop.warehouse.execute("drop table web.tracks")
    empty_desk.shop.warehouse.execute("drop table exports.crm")
    assert empty_desk.recon("check").code == 0
    done = empty_desk.recon("check", "--warehouse")
    assert done.code == 2
    assert "table web.tracks does not exist" in done.err
    assert "table exports.crm does not exist" in done.err
    facts = [
        each["fact"] for each in empty_desk.recon("check", "--warehouse", "--format", "json").json["problems"]
    ]
    assert len(facts) == 2


def test_a_second_witness_that_does_not_exist_is_named(empty_desk: Desk) -> None:
    path = empty_desk.folder / "expectations" / "workspace.yml"
    path.write_text(
        json.dumps(json.loads(path.read_text("utf-8")) | {"violations": "protocols_audit"}), "utf-8"
    )
    done = empty_desk.recon("check", "--warehouse")
    assert done.code == 2
    assert "protocols_audit.violation_generated does not exist" in done.err


def test_a_mute_that_has_ended_is_a_remark_and_no_mistake(empty_desk: Desk) -> None:
    mutes = [
        {"incident": "inc_0123456789ab", "owner": "@da\u202eta", "reason": "x", "until": "2199-12-31"},
        {
            "kind": "volume_anomaly",
            "event": "A\x1bB",
            "owner": "@web\u202e",
            "reason": "x",
            "until": "2026-02-28",
        },
        {"incident": "inc_0123456789ab", "owner": "@data", "reason": "x", "until": "2026-03-01"},
    ]
    file = empty_desk.write("mutes.yml", json.dumps({"mutes": mutes}))
    remarks = [
        f"{file}: the mute of volume_anomaly, A\\x1bB by @web\\u202e ended on 2026-02-28 and keeps no notice back any "
        "more; take it out, or write a later `until`",
        f"{file}: the mute of inc_0123456789ab by @data ended on 2026-03-01 and keeps no notice back any more; take it "
        "out, or write a later `until`",
    ]
    done = empty_desk.recon("check")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:-1] == remarks
    assert done.out.endswith("everything is in order\n")
    done = empty_desk.recon("check", "--format", "json")
    assert (done.code, done.json) == (0, {"ok": True, "problems": [], "remarks": remarks})


def test_a_mute_still_counts_on_its_last_day() -> None:
    mute = Mute(kind="volume_anomaly", owner="@web", reason="x", until=date(2026, 11, 30))
    told = Workspace(name="shop", mutes=(mute,))
    assert ended_mutes(told, Settings(), date(2026, 11, 30)) == []
    assert len(ended_mutes(told, Settings(), date(2026, 12, 1))) == 1


def test_what_is_generated_is_written_kept_fresh_and_told_when_stale(empty_desk: Desk) -> None:
    folder = empty_desk.folder / "expectations"
    done = empty_desk.recon("generate", "--check")
    assert done.code == 1
    assert "missing; run `recon generate`" in done.err
    assert empty_desk.recon("generate").code == 0
    assert (folder / "suites" / "mail__counts.json").is_file()
    assert (folder / "schema" / "destination.schema.json").is_file()
    done = empty_desk.recon("generate", "--check")
    assert (done.code, done.err) == (0, "")
    # A destination that goes leaves suites over; one that changes makes its own stale.
    (folder / "destinations" / "crm.yml").unlink()
    mail = json.loads((folder / "destinations" / "mail.yml").read_text("utf-8"))
    empty_desk.write(
        "destinations/mail.yml", json.dumps(mail | {"identifiers": {"user_id": {"required": True}}})
    )
    done = empty_desk.recon("generate", "--check")
    assert done.code == 1
    assert "crm__counts.json: left over" in done.err
    assert empty_desk.recon("generate").code == 0
    assert not (folder / "suites" / "crm__counts.json").exists()
    assert empty_desk.recon("generate", "--check").code == 0


# ---- a workspace in which all is well ------------------------------------------------------------------


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return desk_in(tmp_path_factory.mktemp("clean") / "desk")


@pytest.fixture(scope="module")
def clean_run(clean: Desk) -> Ended:
    return clean.recon("run", "--as-of", TIME, "--format", "json")


def test_a_reconciled_workspace_ends_with_0_and_json_alone(clean_run: Ended) -> None:
    assert clean_run.code == 0, clean_run.err
    told = clean_run.json
    assert (told["exit_code"], told["incidents"], told["broken"], told["checks_broken"]) == (0, [], [], 0)
    assert told["as_of"] == TIME
    books = {each["destination"]: each for each in told["destinations"]}
    assert list(books) == ["crm", "mail"]
    for row in books.values():
        assert row["expected"] == row["delivered"] + row["missing"] + row["pending"] > 0
        assert (row["missing"], row["days"], row["days_held"]) == (0, 21, 1)
    # Progress is for people, on the other stream.
    assert "one row per message" in clean_run.err


def test_every_complete_day_until_the_as_of_time_is_open(clean: Desk, clean_run: Ended) -> None:
    frame = clean.shop.frame("select day, verdict from reconciliation_published.window_status")
    days = {as_day(day) for day in frame["day"]}
    assert max(days) == AS_OF.date()
    still_held = {as_day(day) for day in frame.loc[frame["verdict"] == "held", "day"]}
    assert still_held == {AS_OF.date()}


def test_a_workspace_in_which_nothing_has_landed_yet_is_reconciled_and_so_is_what_lands_first(
    empty_desk: Desk,
) -> None:
    done = empty_desk.recon("run", "--as-of", TIME)
    assert done.code == 1, done.err
    assert "CRITICAL Nothing has ever arrived from web" in done.out
    assert "no destination has a day yet" in done.out
    assert empty_desk.shop.frame("select * from reconciliation_published.window_status").empty
    sent = messages("web", "Signed Up", days=3, a_day=5, first=FIRST)
    land_all(empty_desk.shop, sent)
    again = empty_desk.recon("run", "--as-of", TIME)
    assert "Nothing has ever arrived from app" in again.out
    assert "Nothing has ever arrived from web" not in again.out
    books = empty_desk.shop.frame(
        "select sum(expected) as expected, sum(delivered) as delivered from reconciliation.reconciliation_daily"
    ).iloc[0]
    assert (int(books["expected"]), int(books["delivered"])) == (2 * len(sent), 2 * len(sent))


@pytest.fixture(scope="module")
def instance(clean: Desk, clean_run: Ended) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that the run was recorded in, as the UI opens it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(clean.folder / "state"))
        with dg.DagsterInstance.get() as found:
            yield found


def test_a_run_does_not_go_back_in_time(clean: Desk, clean_run: Ended) -> None:
    def held_days() -> list[tuple[object, ...]]:
        rows = clean.shop.frame("select * from reconciliation_published.window_status order by all")
        return list(rows.itertuples(index=False, name=None))

    before = held_days()
    earlier = (AS_OF - timedelta(days=2)).isoformat() + "Z"
    done = clean.recon("run", "--as-of", earlier)
    assert (done.code, done.out) == (2, "")
    assert "the last run was as of 2026-11-15 09:00:00 UTC" in done.err
    assert "as of 2026-11-13 09:00:00 UTC" in done.err
    assert "--from and --to" in done.err
    assert held_days() == before


def test_a_run_launched_in_the_past_breaks_before_it_reads(
    clean: Desk, clean_run: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in clean.environment.items():
        monkeypatch.setenv(name, value)
    # For the life of a process, which here is that of other tests too.
    monkeypatch.setattr("dagster_project.resources.reconciliation.quicken_sqlite", lambda: None)

    def launch(as_of: datetime, **config: bool) -> None:
        launched = Reconciliation(as_of=as_of.isoformat(), **config)
        with launched.yield_for_execution(dg.build_init_resource_context()) as ready:
            assert ready.run.as_of == as_of

    earlier = AS_OF - timedelta(days=2)
    with pytest.raises(RunInThePast, match="the last run was as of 2026-11-15 09:00:00 UTC"):
        launch(earlier)
    launch(AS_OF)  # the same run again, as after it was killed
    launch(earlier, look_back=True)


def test_the_run_is_one_dagster_run_with_assets_checks_and_numbers(
    instance: dg.DagsterInstance, clean_run: Ended
) -> None:
    run = instance.get_run_by_id(clean_run.json["run_id"])
    assert run is not None
    assert (run.job_name, run.status) == ("reconcile", dg.DagsterRunStatus.SUCCESS)
    assert run.tags["dagster/asset_partition_range_end"] == AS_OF.date().isoformat()
    events = [each.dagster_event for each in instance.all_logs(run.run_id) if each.dagster_event]
    assets = {
        "/".join(each.asset_key.path) for each in events if each.is_step_materialization and each.asset_key
    }
    assert {
        *("sources/web", "sources/app", "exported/mail", "exported/crm", "normalised/int_messages"),
        *("matched/int_cells_daily", "diagnosed/incidents", "judged/mail", "gated/verdicts"),
        *("published/event_counts_daily", "published/release_mail", "notified/outbox"),
    } <= assets
    checks = {
        ("/".join(each.asset_key.path), each.check_name): each
        for each in (event.asset_check_evaluation_data for event in events if _is_check(event))
    }
    for family in ("names", "counts", "freshness", "identifiers", "properties"):
        check = checks["judged/mail", family]
        assert check.passed
        numbers = [
            each
            for each in check.metadata.values()
            if isinstance(each, dg.FloatMetadataValue | dg.IntMetadataValue)
        ]
        assert len(numbers) >= 3, family
    assert checks["gated/gate_mail", "open"].passed


def _is_check(event: dg.DagsterEvent) -> bool:
    return event.event_type_value == "ASSET_CHECK_EVALUATION"


def test_two_runs_at_once_take_turns_and_both_end_well(clean: Desk, clean_run: Ended) -> None:
    """One over some days, one over all; the one that comes second says whom it waits for."""
    first = clean.start("run", "--as-of", TIME, "--from", "2026-11-02", "--to", "2026-11-03")
    second = clean.start("run", "--as-of", TIME, "--format", "json")
    done = [ended(first), ended(second)]
    assert [each.code for each in done] == [0, 0], [each.err for each in done]
    waited = [each for each in done if "another run of this workspace is at work" in each.err]
    assert len(waited) == 1
    assert done[1].json["incidents"] == []
    # Today is not complete, so it is held at both destinations: not everything is reconciled.
    assert (
        "No incident is open.\n2 days are not complete yet, and held until a later run has judged them."
        in (done[0].out)
    )
    assert "something else" not in done[0].out


def test_the_days_asked_for_are_the_partitions_of_the_run(instance: dg.DagsterInstance, clean: Desk) -> None:
    ranges = {
        (run.tags["dagster/asset_partition_range_start"], run.tags["dagster/asset_partition_range_end"])
        for run in instance.get_runs()
    }
    assert ("2026-11-02", "2026-11-03") in ranges


def test_a_suite_that_cannot_be_read_ends_with_3_and_holds_its_destination(
    clean: Desk, clean_run: Ended
) -> None:
    desk = Desk(clean.shop.copy_to(clean.folder.parent / "corrupt"))
    desk.write("suites/mail__counts.json", '{"name": "mail__counts", "expectations": [')
    # A late message opens a day again, so that there is one to judge.
    day = date(2026, 11, 13)
    desk.shop.warehouse.execute(
        f"insert into web.tracks select id || '-2' as id, * exclude (id) from web.tracks "
        f"where cast(timestamp as date) = date '{day}' limit 1"
    )
    done = desk.recon("run", "--as-of", TIME)
    assert done.code == 3, done.err
    assert "checks could not be judged" in done.err
    held = desk.shop.held("mail")
    assert day in held
    assert desk.shop.held("crm") == []
    assert "No incident is open.\n" in done.out
    (line,) = [each for each in done.out.splitlines() if "held by something else" in each]
    # Today is held as well, and would be, were it complete.
    assert line.startswith(
        f"{len(held) + 1} days are held by something else, such as mail on {AS_OF.date()}: could not "
    )
    assert line.endswith("; reconciliation_published.window_status has all reasons.")
    assert "1 day is not complete yet, and held until a later run has judged it." in done.out


# ---- a workspace in which an event was renamed ---------------------------------------------------------


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, Ended]:
    desk = desk_in(tmp_path_factory.mktemp("renamed") / "desk", renamed=True)
    return desk, desk.recon("run", "--as-of", TIME)


def test_a_rename_ends_with_1_and_is_told_in_a_line(renamed: tuple[Desk, Ended]) -> None:
    _, done = renamed
    assert done.code == 1, done.err
    (line,) = [each for each in done.out.splitlines() if each.startswith("CRITICAL")]
    assert OLD in line
    assert NEW in line
    assert "mail" in done.out
    assert "What a rename keeps away is not among the missing" in done.out


def test_incidents_are_told_in_words_and_as_rows(renamed: tuple[Desk, Ended]) -> None:
    desk, _ = renamed
    done = desk.recon("incidents")
    assert done.code == 1
    assert "event_renamed" in done.out
    assert "What to do: " in done.out
    done = desk.recon("incidents", "--format", "json")
    assert done.code == 1
    (row,) = done.json
    assert row.keys() == COLUMNS
    assert (row["kind"], row["source"], row["event"], row["renamed_to"]) == ("event_renamed", "web", OLD, NEW)
    assert (row["started_on"], row["destinations"]) == (RENAMED.isoformat(), ["mail"])
    assert len(desk.recon("incidents", "--all", "--format", "json").json) >= 1


def test_a_run_after_which_nothing_changed_finds_the_same(renamed: tuple[Desk, Ended]) -> None:
    desk, _ = renamed
    before = desk.recon("incidents", "--format", "json").json
    done = desk.recon("run", "--as-of", TIME, "--format", "json")
    assert done.code == 1
    assert done.json["incidents"] == before
