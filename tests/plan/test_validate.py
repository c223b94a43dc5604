"""`recon plan validate`: what a developer is told before a change ships, where, in which form, and how it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from plan.plans import SHOP, track, track_rule

from dagster_project.cli.main import recon

RIGHT = track("Order Completed", {"total": 1, "currency": "EUR"})
WRONG = track("Order Completed", {"total": "secret value", "currency": "EUR"})
UNPLANNED = track("order completed", {"total": 1})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a developer stands: a checkout with a workspace of two plans."""
    expectations = tmp_path / "expectations"
    expectations.mkdir()
    other = track_rule("App Opened", {})
    (expectations / "web.json").write_text(json.dumps({"data": {"rules": SHOP}}))
    (expectations / "app.json").write_text(json.dumps({"data": {"rules": [other]}}))
    write_workspace(expectations)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("RECON_EXPECTATIONS_DIR", raising=False)
    return tmp_path


def write_workspace(expectations: Path, **more: Any) -> None:
    sources = {"web": {"tracking_plan": "web.json"}, "app": {"tracking_plan": "app.json"}, "bare": None}
    contract = {"name": "acme", "timezone": "UTC", "sources": sources, **more}
    (expectations / "workspace.yml").write_text(json.dumps(contract))


def validate(*arguments: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(recon, ["plan", "validate", *arguments], input=given)


def lines(*messages: Any) -> str:
    return "".join(json.dumps(each) + "\n" for each in messages)


def test_events_that_keep_to_the_plan_end_with_0(folder: Path) -> None:
    (folder / "events.json").write_text(json.dumps([RIGHT, RIGHT]))
    done = validate("events.json", "--source", "web")
    assert (done.exit_code, done.output) == (0, "2 messages judged: all keep to the plan\n")


def test_each_violation_is_one_line_with_its_place_and_what_to_send(folder: Path) -> None:
    (folder / "events.ndjson").write_text(lines(RIGHT) + "\n" + lines(WRONG, UNPLANNED))
    done = validate("events.ndjson", "--source", "web")
    assert done.exit_code == 1
    column = json.dumps(WRONG).index('"secret') + 1
    name = json.dumps(UNPLANNED).index('"order completed"') + 1
    assert done.output.splitlines() == [
        f'events.ndjson:3:{column}: track "Order Completed", properties.total: Invalid type. Expected: number, '
        "given: string; send a number",
        f"events.ndjson:4:{name}: track: `order completed` is not in the tracking plan; "
        "did you mean `Order Completed`? Send that, or put this one into the plan",
        "2 of 3 messages break the plan, in 2 places",
    ]


@pytest.mark.parametrize(
    "written",
    [
        lines(WRONG),
        json.dumps(WRONG, indent=2),
        json.dumps([WRONG]),
        json.dumps({"batch": [WRONG], "sentAt": "2026-11-01T00:00:00Z"}),
        "\ufeff" + lines(WRONG),
        "\n\n" + lines(WRONG),
    ],
    ids=["a line", "indented", "a list", "a batch", "a byte order mark", "blank lines before"],
)
def test_events_are_read_as_people_have_them(folder: Path, written: str) -> None:
    done = validate("-", "--source", "web", "--format", "json", given=written.encode())
    assert done.exit_code == 1
    (found,) = json.loads(done.output)["violations"]
    assert (found["kind"], found["field"], found["message_id"]) == ("type", "properties.total", "m1")
    text = written.removeprefix("\ufeff").splitlines()[found["line"] - 1]
    assert text[found["column"] - 1 :].startswith('"secret value"')


def test_a_batchs_context_holds_for_its_messages(folder: Path) -> None:
    plan = folder / "versions.json"
    versions = [track_rule("E", {}, version=n, required=[f"p{n}"]) for n in (1, 2)]
    plan.write_text(json.dumps(versions))
    batch = {"batch": [track("E", {})], "context": {"protocols": {"event_version": 2}}}
    done = validate("-", "--plan", str(plan), given=json.dumps(batch))
    assert "`p2` is required" in done.output


def test_values_are_shown_only_when_asked_for(folder: Path) -> None:
    (folder / "e.json").write_text(json.dumps(WRONG))
    for form in ("text", "json", "github"):
        assert "secret" not in validate("e.json", "--source", "web", "--format", form).output
    assert "secret value" in validate("e.json", "--source", "web", "--show-values").output


def test_an_annotation_cannot_be_forged_by_a_name(folder: Path) -> None:
    name = "a,b:c%\n::error::forged\x1b[31m"
    (folder / "e,1:2.json").write_text(json.dumps(track(name, {})))
    done = validate("e,1:2.json", "--source", "web", "--format", "github")
    annotations = [each for each in done.output.splitlines() if each.startswith("::")]
    assert len(annotations) == 1
    assert annotations[0].startswith("::error file=e%2C1%3A2.json,line=1,col=")
    assert (
        "title=tracking plan%3A unplanned_event::track: `a,b:c%25\\n::error::forged\\x1b[31m`"
        in annotations[0]
    )
    assert "\x1b" not in done.output


def test_what_cannot_be_judged_is_told_and_ends_with_3_while_the_rest_is_judged(folder: Path) -> None:
    (folder / "e.ndjson").write_text(lines(WRONG) + '{"type": \n' + lines({"type": "trak"}, RIGHT))
    done = validate("e.ndjson", "--source", "web")
    assert done.exit_code == 3
    assert "e.ndjson:2:" in done.output
    assert "not JSON" in done.output
    assert "e.ndjson:3:1: no message of Segment: its `type` is `" in done.output
    assert "1 of 3 messages breaks the plan, in 1 place; 2 could not be judged" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the sources have several plans; add --source with one of `web`, `app`"),
        (("--source", "wep"), "no source is named 'wep'"),
        (("--source", "bare"), "bare has no tracking plan"),
        (("--source", "web", "--plan", "x.json"), "--source and --plan name two plans"),
        (("--source", "web", "nowhere.json"), "nowhere.json cannot be read"),
        (("--source", "web", "-"), "there is no message to judge"),
    ],
)
def test_wrong_use_says_what_to_write(folder: Path, arguments: Sequence[str], said: str) -> None:
    done = validate(*arguments, given="")
    assert done.exit_code == 2
    assert said in done.output


def test_what_is_exempt_is_let_through(folder: Path) -> None:
    (folder / "e.json").write_text(json.dumps([WRONG, UNPLANNED]))
    exemptions = [
        {"source": "web", "event": "Order Completed", "property": "total", "rule": "type"},
        {"source": "app", "event": "order completed"},
    ]
    write_workspace(folder / "expectations", plan_exemptions=exemptions)
    done = validate("e.json", "--source", "web")
    assert done.exit_code == 1
    assert "1 of 2 messages breaks the plan, in 1 place" in done.output


def test_strict_finds_properties_that_the_plan_does_not_name(folder: Path) -> None:
    sent = track("Order Completed", {"total": 1, "currency": "EUR", "curency": "EUR"})
    (folder / "e.json").write_text(json.dumps(sent))
    assert validate("e.json", "--source", "web").exit_code == 0
    done = validate("e.json", "--source", "web", "--strict")
    assert done.exit_code == 1
    assert "did you mean `currency`?" in done.output


def test_hundreds_of_violations_are_a_page_and_all_of_them_in_json(folder: Path) -> None:
    (folder / "e.ndjson").write_text(lines(*[WRONG] * 500))
    done = validate("e.ndjson", "--source", "web")
    assert len(done.output.splitlines()) == 202
    assert "... and 300 more; --format json has all" in done.output
    assert (
        len(json.loads(validate("e.ndjson", "--source", "web", "--format", "json").output)["violations"])
        == 500
    )


def test_beyond_a_number_violations_are_only_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagster_project.cli.plan_validate.MOST_KEPT", 300)
    (folder / "e.ndjson").write_text(lines(*[WRONG] * 500))
    assert (
        "... and 300 more; --format json has the first 300" in validate("e.ndjson", "--source", "web").output
    )
    said = json.loads(validate("e.ndjson", "--source", "web", "--format", "json").output)
    assert (said["broken"], said["places"], len(said["violations"])) == (500, 500, 300)


@pytest.mark.parametrize(
    "hostile",
    [
        "[" * 100_000,
        '{"type":"track","event":"\\ud800","properties":{}}',
        '{"type":"track","event":"a","event":"b"}',
    ],
    ids=["deep", "half a surrogate pair", "a key twice"],
)
def test_hostile_json_is_a_message_not_a_traceback(folder: Path, hostile: str) -> None:
    done = validate("-", "--source", "web", given=hostile)
    assert done.exit_code == 3
    assert done.output.count("<stdin>:1:") >= 1


def test_a_pull_request_fails_before_it_ships(folder: Path) -> None:
    """The whole command as a workflow runs it: events of a test suite piped in, annotations and exit code out."""
    environment = {**os.environ, "RECON_EXPECTATIONS_DIR": str(folder / "expectations")}
    command = [sys.executable, "-m", "dagster_project.cli.main", "plan", "validate", "-"]
    done = subprocess.run(
        [*command, "--source", "web", "--format", "github"],
        input=lines(RIGHT, UNPLANNED),
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("::error title=tracking plan%3A unplanned_event::track: `order completed`")
    assert done.stderr == ""


# ------------------------------------------------------------------------------ the other subcommands


def test_the_function_is_written_for_a_source(folder: Path) -> None:
    done = CliRunner().invoke(
        recon, ["plan", "function", "--source", "web", "--mode", "drop", "--out", "out/f.js"]
    )
    assert done.exit_code == 0
    assert re.fullmatch(r"out/f.js: 2 events, mode drop, \d+ KB\n", done.output)
    printed = CliRunner().invoke(recon, ["plan", "function", "--source", "web", "--mode", "drop"])
    assert printed.output == (folder / "out" / "f.js").read_text("utf-8")


def test_the_schemas_are_draft_07_and_stay_in_their_folder(folder: Path) -> None:
    from jsonschema import Draft7Validator

    rules = [*SHOP, track_rule("../../etc/passwd", {}), track_rule("步", {}), track_rule("signed up", {})]
    (folder / "plan.json").write_text(json.dumps(rules))
    done = CliRunner().invoke(recon, ["plan", "schemas", "--plan", "plan.json", "--out", "schemas"])
    assert (done.exit_code, done.output) == (0, "schemas: 6 schemas\n")
    written = sorted(path for path in (folder / "schemas").rglob("*") if path.is_file())
    assert len(written) == 6
    for path in written:
        Draft7Validator.check_schema(json.loads(path.read_text("utf-8")))
    titles = {json.loads(path.read_text("utf-8"))["title"] for path in written}
    assert {"Signed Up", "signed up", "../../etc/passwd", "(identify)"} <= titles


def test_the_rules_that_no_column_shows_are_listed_with_their_place_and_reason(folder: Path) -> None:
    done = CliRunner().invoke(recon, ["plan", "rules", "--source", "web"])
    assert done.exit_code == 0
    assert "array_as_text (" in done.output
    assert "expectations/web.json:1:" in done.output
    assert '"Order Completed" products.$.sku, required: not judged on landed rows' in done.output
    every = json.loads(
        CliRunner().invoke(recon, ["plan", "rules", "--source", "web", "--format", "json"]).output
    )
    assert {each["verdict"] for each in every} == {"judged", "in_part", "not_here"}
    assert all(each["reasons"] or each["verdict"] == "judged" for each in every)


def test_a_broken_plan_is_told_with_its_place(folder: Path) -> None:
    (folder / "expectations" / "web.json").write_text(json.dumps([track_rule("E", {"p": {"pattern": "("}})]))
    done = validate("-", "--source", "web", given=lines(RIGHT))
    assert not isinstance(done.exception, click.ClickException)
    assert str(done.exception).startswith("expectations/web.json:1:")
    assert "is not a regular expression" in str(done.exception)
