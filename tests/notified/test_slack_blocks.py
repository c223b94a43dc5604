"""A message in Block Kit: golden files, Slack's limits, and nothing from the data that acts."""

from __future__ import annotations

import json
import os
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notified.block_kit import problems, units
from notified.examples import BASE_URL, EXAMPLES, RUN_ID, incident

from dagster_project.core.message import (
    TRANSITIONS,
    Span,
    current,
    digest,
    incident_message,
    reminder,
    run_failed,
)
from dagster_project.core.slack_blocks import fit, payload, spans_of, text_only

GOLDEN = Path(__file__).parent / "golden"
OWNERS = {"lifecycle_email": "@lifecycle", "<@U012AB3CD>": "@here"}


def _payload(row: dict[str, Any], transition: str) -> dict[str, Any]:
    return payload(incident_message(row, transition, run_id=RUN_ID, base_url=BASE_URL, owners=OWNERS))


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_posted_as_its_golden_file(name: str) -> None:
    made = json.dumps(_payload(*EXAMPLES[name]), indent=1, ensure_ascii=False) + "\n"
    golden = GOLDEN / f"{name}.json"
    if os.environ.get("RECON_UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(made, encoding="utf-8")
    assert made == golden.read_text(encoding="utf-8"), (
        "the message changed; look at it, then run the test once with RECON_UPDATE_GOLDEN=1"
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_keeps_to_the_limits(name: str) -> None:
    row, transition = EXAMPLES[name]
    assert problems(_payload(row, transition)) == []
    assert problems(text_only(incident_message(row, transition, owners=OWNERS))) == []


SHARP = [
    *("<!channel>", "@here", "@everyone", "`", "```", "*", "_", "~", "&", "&amp;", "<", ">", "\n", " ", "a"),
    *("\\n", "\u202e", "\u0301", "👩🏽‍💻", "\ud800", "\x00", ":tada:", "https://x.test", "|"),
]
hostile_text = st.one_of(
    st.none(),
    st.text(max_size=400),
    st.text(alphabet=string.punctuation + " \n\t@abc", max_size=400),
    st.lists(
        st.sampled_from(SHARP),
        max_size=60,
    ).map("".join),
    st.text(alphabet="&<`*é́🛒", min_size=2_500, max_size=4_000),
)
anything = st.one_of(hostile_text, st.integers(), st.floats(), st.booleans(), st.dates(), st.datetimes())
incidents = st.fixed_dictionaries(
    {},
    optional={
        "incident_id": hostile_text,
        "kind": hostile_text,
        "severity": st.one_of(st.sampled_from(["critical", "error", "warning", "info"]), anything),
        "source": anything,
        "event": anything,
        "renamed_to": anything,
        "property": anything,
        "identifier": anything,
        "destinations": st.one_of(anything, st.lists(hostile_text, max_size=15).map(json.dumps)),
        "started_on": anything,
        "ended_on": anything,
        "messages_affected": anything,
        "title": hostile_text,
        "explanation": hostile_text,
        "suggestion": hostile_text,
    },
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(row=incidents, transition=st.sampled_from(TRANSITIONS), base=st.just(BASE_URL) | hostile_text)
def test_any_incident_at_all_keeps_to_the_limits(
    row: dict[str, Any], transition: str, base: str | None
) -> None:
    message = incident_message(row, transition, run_id=RUN_ID, base_url=base)
    assert problems(payload(message)) == []
    assert problems(text_only(message)) == []


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(incidents, min_size=1, max_size=6), times=st.integers(1, 40))
def test_any_digest_keeps_to_the_limits(rows: list[dict[str, Any]], times: int) -> None:
    messages = [incident_message(row, "opened") for row in rows] * times
    assert problems(payload(digest(messages))) == []


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(hostile_text, max_size=4), rows=st.lists(incidents, min_size=1, max_size=5))
def test_any_ledger_reminder_and_edited_message_keeps_to_the_limits(
    lines: list[str | None], rows: list[dict[str, Any]]
) -> None:
    names = [f"d{number}" for number in range(len(lines))]
    row = incident(destinations=json.dumps(names))
    ledger = {name: line for name, line in zip(names, lines, strict=True) if line is not None}
    message = incident_message(row, "opened", ledger=ledger)
    assert problems(payload(message)) == []
    assert problems(text_only(message)) == []
    told = [incident_message(each, "reminded") for each in rows]
    assert problems(payload(reminder(told))) == []
    assert problems(payload(current(told[0], message))) == []


def test_a_digest_of_hundreds_says_how_many_it_does_not_list() -> None:
    messages = [incident_message(incident(f"inc_{n:012x}", title="&" * 500), "opened") for n in range(700)]
    made = payload(digest(messages))
    assert problems(made) == []
    assert "… and 670 more" in json.dumps(made, ensure_ascii=False)


@settings(max_examples=50, deadline=None)
@given(error=st.text(max_size=5_000), stage=st.text(max_size=200))
def test_any_broken_run_keeps_to_the_limits(error: str, stage: str) -> None:
    assert problems(payload(run_failed(RUN_ID, stage, error, base_url=BASE_URL))) == []


def test_the_validator_of_limits_can_fail() -> None:
    good = _payload(incident(), "opened")
    bad = json.loads(json.dumps(good))
    bad["blocks"][1]["text"]["text"] = "<!channel> @here *bold* &am `" + "x" * 3_000
    bad["blocks"][0]["text"]["text"] = "y" * 151
    bad["blocks"] += [{"type": "image"}] * 50
    assert len(problems(bad)) >= 50 + 7


def test_a_cut_falls_between_characters_and_never_inside_an_escape() -> None:
    assert fit([Span(text="a&b")], 7) == "a&amp;…"
    assert fit([Span(text="a&b")], 6) == "a…"
    assert fit([Span(text="ab\\u202ec")], 8) == "ab…"
    assert fit([Span(text="abe\u0301\u0301x")], 5) == "ab…"
    assert fit([Span(text="🛒🛒🛒")], 5) == "🛒🛒…"
    assert fit([Span(text="abcdef", code=True)], 6) == "`abc`…"


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="ab&<>`*_~\\nu202e é́🛒\n@here", max_size=80), limit=st.integers(5, 60))
def test_a_cut_never_exceeds_its_limit(text: str, limit: int) -> None:
    made = fit(spans_of(text), limit)
    assert units(made) <= limit
    assert made.count("`") % 2 == 0


def test_names_keep_their_exact_characters_in_code() -> None:
    assert fit(spans_of('"_private" and purchase_completed'), 100) == '`"_private"` and purchase_completed'
    assert fit(spans_of("write `- {a: B}` there"), 100) == "write `- {a: B}` there"
    assert fit([Span(text="Purchase ", code=True)], 100) == "`Purchase␠`"


def test_severity_is_a_word_and_not_only_a_colour() -> None:
    header = _payload(incident(severity="error"), "opened")["blocks"][0]["text"]["text"]
    assert header == "🔴 ERROR · new · event renamed"
