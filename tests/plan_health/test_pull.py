"""`recon plan pull` against a real HTTP server: every page, every refusal, and a token that shows nowhere."""

from __future__ import annotations

import email.utils
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from plan_health.segment_server import TOKEN, Answer, FakeSegment, track

from dagster_project.cli.plan_commands import plan as plan_group
from dagster_project.core.plan import parse_plan
from dagster_project.core.segment_api import TRIES, SegmentApiError, wait_before
from dagster_project.resources.segment_api import SegmentApi

RULES = [track(f"Event {number:03}", price={"type": "number"}) for number in range(450)]


def api(segment: FakeSegment, **more: Any) -> tuple[SegmentApi, list[float], list[str]]:
    waits: list[float] = []
    told: list[str] = []
    options: dict[str, Any] = {"timeout": (0.5, 0.5), "tell": told.append, "sleep": waits.append, **more}
    return SegmentApi(TOKEN, segment.base, **options), waits, told


def pull(*arguments: str) -> Result:
    return CliRunner().invoke(plan_group, ["pull", *arguments], prog_name="recon plan")


# ------------------------------------------------------------------------------------------ pages


def test_all_pages_of_a_plan_are_fetched_in_their_order(segment: FakeSegment) -> None:
    segment.add("tp_1", "Web", RULES)
    client, waits, _ = api(segment)
    assert [rule["key"] for rule in client.rules("tp_1")] == [rule["key"] for rule in RULES]
    assert len(segment.asked) == 3
    assert waits == []
    assert segment.headers[0]["Authorization"] == f"Bearer {TOKEN}"
    assert segment.headers[0]["Accept"] == "application/vnd.segment.v1+json"


def test_a_cursor_is_sent_back_as_it_came_whatever_characters_it_has(segment: FakeSegment) -> None:
    segment.add("tp_1", "Web", RULES)
    segment.cursor_of = lambda start: f"a+b/c=&d?{start} é"
    assert len(api(segment)[0].rules("tp_1")) == 450


def test_a_plan_without_rules_is_empty(segment: FakeSegment) -> None:
    segment.add("tp_1", "Web", [])
    assert api(segment)[0].rules("tp_1") == []


def test_only_live_plans_are_listed_by_name(segment: FakeSegment) -> None:
    segment.add("tp_2", "web", [])
    segment.add("tp_1", "Apps", [])
    segment.add("tp_3", "Common properties", [], kind="PROPERTY_LIBRARY")
    assert [plan.name for plan in api(segment)[0].plans()] == ["Apps", "web"]


def test_a_cursor_that_comes_again_ends_in_an_error_and_not_never(segment: FakeSegment) -> None:
    page = {"data": {"rules": RULES[:2], "pagination": {"current": "x", "next": "x"}}}
    segment.queue = [Answer(body=json.dumps(page).encode()) for _ in range(3)]
    with pytest.raises(SegmentApiError, match="again and again"):
        api(segment)[0].rules("tp_1")
    assert len(segment.asked) == 2


def test_pages_without_end_and_without_rules_end_in_an_error(segment: FakeSegment) -> None:
    segment.queue = [
        Answer(body=json.dumps({"data": {"rules": [], "pagination": {"next": str(number)}}}).encode())
        for number in range(400)
    ]
    with pytest.raises(SegmentApiError, match="nothing in it"):
        api(segment)[0].rules("tp_1")


def test_a_plan_of_too_many_rules_is_a_named_limit(
    segment: FakeSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_project.resources.segment_api.MOST_RULES", 300)
    segment.add("tp_1", "Web", RULES)
    with pytest.raises(SegmentApiError, match="more than 300 rules"):
        api(segment)[0].rules("tp_1")


def test_a_rule_that_stands_on_two_pages_is_kept_once(segment: FakeSegment) -> None:
    segment.add("tp_1", "Web", [*RULES[:200], RULES[199], RULES[200]])
    assert len(api(segment)[0].rules("tp_1")) == 201


# ------------------------------------------------------------------------------------------ waits and refusals


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"X-RateLimit-Reset": "12"}, 12.0),
        ({"X-RateLimit-Reset": "1800000030"}, 30.0),
        ({"X-RateLimit-Reset": "1800000030000"}, 30.0),
        ({"Retry-After": email.utils.formatdate(1_800_000_009, usegmt=True)}, 9.0),
        ({"Retry-After": "soon"}, 1.0),
        ({}, 1.0),
    ],
)
def test_a_rate_limit_is_waited_for_as_long_as_it_says(
    segment: FakeSegment, headers: Mapping[str, str], waited: float
) -> None:
    segment.add("tp_1", "Web", RULES[:3])
    segment.queue = [Answer(429, headers=dict(headers))]
    client, waits, told = api(segment, clock=lambda: 1_800_000_000.0)
    assert len(client.rules("tp_1")) == 3
    assert waits == [waited]
    assert told == [f"127.0.0.1 answered 429; waiting {waited:,.0f} s"]


def test_a_rate_limit_of_an_hour_is_said_and_not_waited_for(segment: FakeSegment) -> None:
    segment.queue = [Answer(429, headers={"Retry-After": "3600"})]
    client, waits, _ = api(segment)
    with pytest.raises(SegmentApiError, match="rate limit"):
        client.rules("tp_1")
    assert waits == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_server_that_fails_and_recovers_costs_only_time(segment: FakeSegment, status: int) -> None:
    segment.add("tp_1", "Web", RULES)
    segment.queue = [Answer(status), Answer(status), None, Answer(status)]
    client, waits, told = api(segment)
    assert len(client.rules("tp_1")) == 450
    assert waits == [1.0, 2.0, 1.0]
    assert len(told) == 3


def test_a_server_that_keeps_failing_is_said_once(segment: FakeSegment) -> None:
    segment.queue = [Answer(503, b"<html>secret proxy words</html>") for _ in range(TRIES)]
    client, waits, _ = api(segment)
    with pytest.raises(SegmentApiError) as caught:
        client.rules("tp_1")
    assert (
        str(caught.value) == "127.0.0.1 answered 503, 6 times; try again later, or look at status.segment.com"
    )
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert not caught.value.lasting


BROKEN = {
    "truncated JSON": Answer(body=b'{"data": {"rules": [{"type": "TRA'),
    "not JSON": Answer(body=b"<html>a proxy's page</html>"),
    "not UTF-8": Answer(body=b'{"data": "\xff\xfe"}'),
    "another shape": Answer(body=b'{"data": {"rules": {}}}'),
    "rules that are no objects": Answer(body=b'{"data": {"rules": [1]}}'),
    "a cut connection": Answer(body=b'{"data": {"rules": []}}' + b" " * 5_000, cut=30),
    "no answer": Answer(delay=0.9),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_is_asked_for_again(segment: FakeSegment, answer: Answer) -> None:
    segment.add("tp_1", "Web", RULES[:3])
    segment.queue = [answer]
    client, waits, _ = api(segment)
    assert len(client.rules("tp_1")) == 3
    assert waits == [1.0]


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_answers_that_stay_broken_end_in_one_line(segment: FakeSegment, answer: Answer) -> None:
    segment.queue = [answer] * TRIES
    with pytest.raises(SegmentApiError) as caught:
        api(segment, timeout=(0.3, 0.3))[0].rules("tp_1")
    assert "\n" not in str(caught.value)
    assert "proxy's page" not in str(caught.value)


def test_deeply_nested_json_is_a_broken_answer(segment: FakeSegment) -> None:
    segment.queue = [Answer(body=b"[" * 100_000)] * TRIES
    with pytest.raises(SegmentApiError, match="not whole JSON"):
        api(segment)[0].rules("tp_1")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "expired"),
        (403, "may not read"),
        (404, "no such tracking plan"),
        (400, "check --region"),
        (302, "redirect"),
    ],
)
def test_a_refusal_is_not_tried_again(segment: FakeSegment, status: int, words: str) -> None:
    segment.queue = [Answer(status, headers={"Location": "http://127.0.0.1:1/elsewhere"})]
    client, waits, _ = api(segment)
    with pytest.raises(SegmentApiError, match=words) as caught:
        client.rules("tp_1")
    assert caught.value.lasting
    assert waits == []


def test_nobody_there_is_said_plainly() -> None:
    client = SegmentApi(TOKEN, "http://127.0.0.1:9", sleep=lambda _s: None, timeout=(0.3, 0.3))
    with pytest.raises(SegmentApiError, match=r"connection to 127\.0\.0\.1 failed"):
        client.plans()


@pytest.mark.parametrize(
    "url",
    [
        "http://api.segmentapis.com",
        "ftp://x",
        "https://",
        "https://user:pw@host",
        "https://h/?a=b",
        "https://[::1",
    ],
)
def test_an_address_that_would_show_the_token_or_is_none_is_refused_unrepeated(url: str) -> None:
    with pytest.raises(SegmentApiError) as caught:
        SegmentApi(TOKEN, url)
    assert "pw" not in str(caught.value)
    assert caught.value.lasting


@pytest.mark.parametrize("plan_id", ["../sources", "tp_1/rules?x=", "tp 1", "", "tp_1\r\nX: y"])
def test_an_id_never_leaves_its_place_in_the_address(segment: FakeSegment, plan_id: str) -> None:
    with pytest.raises(SegmentApiError, match="no tracking plan's id"):
        api(segment)[0].rules(plan_id)
    assert segment.asked == []


def test_waits_grow_and_are_never_negative() -> None:
    assert [wait_before(attempt, {}, 0.0) for attempt in range(1, 5)] == [1.0, 2.0, 4.0, 8.0]
    assert wait_before(1, {"Retry-After": "0"}, 0.0) == 0.1
    assert wait_before(1, {"x-ratelimit-reset": "1700000000"}, 1_800_000_000.0) == 0.1


# ------------------------------------------------------------------------------------------ the token


def test_the_token_is_in_no_output_no_log_and_no_error(
    at_segment: FakeSegment, caplog: pytest.LogCaptureFixture
) -> None:
    at_segment.add("tp_1", "Web", RULES[:3])
    said = []
    with caplog.at_level(logging.DEBUG):
        at_segment.queue = [Answer(401)]
        said += [pull("Web"), pull("Web"), pull("Nowhere"), pull()]
        at_segment.queue = [Answer(403, f"you sent {TOKEN}".encode())]
        said.append(pull("Web"))
    words = [each.output + repr(each.exception) for each in said] + [
        record.getMessage() for record in caplog.records
    ]
    assert not any("veryhush" in each for each in words)
    client = SegmentApi(TOKEN, at_segment.base)
    assert "veryhush" not in repr(client) + repr(vars(client)["_auth"])


def test_a_netrc_file_does_not_replace_the_token(
    segment: FakeSegment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    segment.add("tp_1", "Web", [])
    assert len(api(segment)[0].plans()) == 1


@pytest.mark.parametrize("token", ["", "  "])
def test_a_missing_token_is_named_with_what_needs_it(
    at_segment: FakeSegment, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("SEGMENT_API_TOKEN", token)
    assert "SEGMENT_API_TOKEN is not set, and `recon plan pull` needs it" in str(pull("Web").exception)


def test_a_token_with_a_line_break_is_refused_before_it_is_sent(segment: FakeSegment) -> None:
    with pytest.raises(SegmentApiError, match="copy it again"):
        SegmentApi("sgp_a\r\nX-Other: 1", segment.base)


# ------------------------------------------------------------------------------------------ the command


def test_without_a_name_the_plans_are_listed(at_segment: FakeSegment) -> None:
    at_segment.add("tp_1", "Web", RULES)
    at_segment.add("tp_2", "Apps\x1b[31m", [])
    result = pull()
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["tp_2  2026-11-20  Apps\\x1b[31m", "tp_1  2026-11-20  Web"]
    listed = json.loads(pull("--format", "json").stdout)
    assert [each["id"] for each in listed] == ["tp_2", "tp_1"]


def test_a_pulled_plan_is_the_contracts_file_and_loads(at_segment: FakeSegment) -> None:
    at_segment.add("tp_1", "Web", list(reversed(RULES)))
    result = pull("Web", "--out", "plans/web.json")
    assert result.exit_code == 0, result.output
    assert "Web (tp_1): 450 rules; plans/web.json is new" in result.stdout
    data = json.loads(Path("plans/web.json").read_text("utf-8"))
    assert list(data) == ["data"]
    assert data["data"]["rules"] == RULES
    plan, problems = parse_plan(data)
    assert (len(plan.events), problems) == (450, [])
    assert [path.name for path in Path("plans").iterdir()] == ["web.json"]


def test_the_order_in_which_segment_answers_does_not_change_the_file(at_segment: FakeSegment) -> None:
    at_segment.add("tp_1", "Web", RULES)
    pull("tp_1", "--out", "web.json")
    first = Path("web.json").read_bytes()
    at_segment.rules["tp_1"] = list(reversed(RULES))
    result = pull("tp_1", "--out", "web.json")
    assert Path("web.json").read_bytes() == first
    assert "says the same" in result.stdout


def test_a_second_pull_says_what_changed(at_segment: FakeSegment) -> None:
    at_segment.add(
        "tp_1", "Web", [track("Old"), track("Kept", price={"type": "integer"}, gone={"type": "string"})]
    )
    pull("Web", "--out", "web.json")
    at_segment.rules["tp_1"] = [
        track("New"),
        track("Kept", version=2),
        track("Kept", price={"type": ["number", "null"], "minimum": 0}),
    ]
    assert pull("Web", "--out", "web.json").stdout.splitlines() == [
        '- TRACK "Old"',
        '+ TRACK "Kept" version 2',
        '+ TRACK "New"',
        '~ TRACK "Kept"',
        '    - gone.type: "string"',
        "    + price.minimum: 0",
        '    ~ price.type: "integer" is now ["null", "number"]',
        '    ~ required: ["gone", "price"] is now ["price"]',
        "Web (tp_1): 3 rules; 4 rules differ from web.json, which is written anew",
    ]


def test_check_writes_nothing_and_says_by_its_exit_code_whether_the_file_is_segments(
    at_segment: FakeSegment,
) -> None:
    at_segment.add("tp_1", "Web", RULES[:2])
    assert pull("Web", "--out", "web.json", "--check").exit_code == 1
    assert not Path("web.json").exists()
    pull("Web", "--out", "web.json")
    assert pull("Web", "--out", "web.json", "--check").exit_code == 0
    at_segment.rules["tp_1"] = RULES[:1]
    result = pull("Web", "--out", "web.json", "--check", "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["changes"] == [
        {"change": "removed", "type": "TRACK", "key": "Event 001", "version": "1", "lines": []}
    ]
    assert len(json.loads(Path("web.json").read_text())["data"]["rules"]) == 2


def test_an_unknown_name_is_answered_with_the_names_that_there_are(at_segment: FakeSegment) -> None:
    at_segment.add("tp_1", "Web", [])
    result = pull("web")
    assert result.exit_code == 2
    assert "no live tracking plan has the id or the exact name 'web'" in result.output
    assert "tp_1  Web" in result.output


def test_two_plans_of_one_name_are_asked_for_by_id(at_segment: FakeSegment) -> None:
    at_segment.add("tp_1", "Web", [])
    at_segment.add("tp_2", "Web", RULES[:1])
    assert "ask by id: tp_1, tp_2" in pull("Web").output
    assert pull("tp_2", "--out", "web.json").exit_code == 0


def test_the_default_file_is_the_workspaces_one_plan(at_segment: FakeSegment) -> None:
    at_segment.add("tp_1", "Web", RULES[:1])
    assert "expectations/tracking_plan.json is new" in pull("Web").stdout
    text = "name: acme\ntimezone: UTC\nsources:\n  web: {tracking_plan: tracking_plan.json}\n"
    Path("expectations/workspace.yml").write_text(text)
    assert "expectations/tracking_plan.json says the same" in pull("Web").stdout
    Path("expectations/apps.json").write_bytes(Path("expectations/tracking_plan.json").read_bytes())
    Path("expectations/workspace.yml").write_text(text + "  apps: {tracking_plan: apps.json}\n")
    result = pull("Web")
    assert result.exit_code == 2
    assert "say with --out which of them this one is" in result.output


def test_a_failing_api_leaves_the_file_as_it_was(at_segment: FakeSegment) -> None:
    at_segment.add("tp_1", "Web", RULES)
    Path("web.json").write_text("as it was")
    at_segment.queue = [None, None, Answer(403)]  # the list, the first page, then no more
    result = pull("Web", "--out", "web.json")
    assert result.exit_code == 2
    assert Path("web.json").read_text() == "as it was"


def test_a_rule_with_half_a_character_is_kept_for_the_loader_to_name(at_segment: FakeSegment) -> None:
    at_segment.add("tp_1", "Web", [track("half \ud800")])
    assert pull("Web", "--out", "web.json").exit_code == 0
    assert b"\\ud800" in Path("web.json").read_bytes()
