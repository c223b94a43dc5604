"""What a notice says, before it takes the form of a platform."""

from __future__ import annotations

import json
import re
from datetime import date

import pandas as pd
import pytest
from notified.examples import BASE_URL, EXAMPLES, RUN_ID, incident

from dagster_project.core.message import (
    Message,
    current,
    cut,
    digest,
    incident_message,
    markdown,
    plain,
    redacted,
    reminder,
    run_failed,
    run_link,
    shown,
    visible,
)


def _facts(message: Message) -> dict[str, str]:
    return {fact.label: "".join(span.text for span in fact.value) for fact in message.facts}


def test_a_rename_says_what_where_since_when_who_and_how_many() -> None:
    message = incident_message(incident(), "opened", owners={"lifecycle_email": "@lifecycle"})
    assert _facts(message) == {
        "Event": "Purchase Completed → purchase_completed",
        "Source": "web_app",
        "Destinations": "ads_conversions, attribution, lifecycle_email (@lifecycle)",
        "Since": "20 Oct 2026, ongoing",
        "How many": "12,345 messages",
    }
    assert "inc_0123456789ab" in plain(message)


def test_what_an_incident_does_not_have_is_not_said() -> None:
    empty = incident(event=None, renamed_to=float("nan"), source=pd.NA, destinations="[]", started_on=pd.NaT)
    assert _facts(incident_message({**empty, "messages_affected": None}, "opened")) == {}


def test_a_resolved_incident_says_that_it_is_over_and_asks_for_nothing() -> None:
    message = incident_message(incident(ended_on=date(2026, 11, 3)), "resolved")
    assert message.headline == "✅ RESOLVED · event renamed (was critical)"
    assert _facts(message)["Since"] == "20 Oct 2026 to 3 Nov 2026"
    assert message.suggestion == ""


def test_a_resolved_incident_says_how_it_ended_and_its_first_message_keeps_the_story() -> None:
    end = "When it was last found, 9 were missing; on the same days none is missing now."
    over = incident_message(incident(evidence=json.dumps({"end": end})), "resolved")
    assert over.explanation == end
    story = incident_message(incident(explanation="x" * 2_400), "opened")
    told = current(over, story).explanation
    assert told.startswith(f"{end}\nxxx")
    assert len(told) <= 2_500


def test_an_unknown_severity_is_told_as_an_error() -> None:
    assert incident_message(incident(severity="catastrophic"), "opened").severity == "error"


@pytest.mark.parametrize("value", ["[not json", '{"a": 1}', "7", '"one"', "[" * 100_000])
def test_destinations_that_are_no_list_do_not_break_the_notice(value: str) -> None:
    assert "Destinations" in _facts(incident_message(incident(destinations=value), "opened"))


def test_hidden_characters_are_seen() -> None:
    assert visible("a\u00a0b\u202ec\x1b[0m\td\n") == "a\\xa0b\\u202ec\\x1b[0m\\td\\n"
    assert shown("Purchase\u200bCompleted") == "Purchase\\u200bCompleted"
    assert shown("Purchase\u3164Completed") == "Purchase\\u3164Completed"
    assert shown("Purchase Completed 🛒 Ünïcödé 購入") == "Purchase Completed 🛒 Ünïcödé 購入"
    assert shown("") == "(empty)"


def test_long_names_are_cut_between_characters() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cut("abe\u0301def", 4) == "ab…"
    assert cut("ab\\u202edef", 7) == "ab…"
    assert len(shown("x" * 10**6)) == 80


def test_the_terminal_gets_no_control_characters_but_line_ends() -> None:
    said = plain(incident_message(*EXAMPLES["hostile"]))
    assert all(char == "\n" or ord(char) >= 32 for char in said)
    assert "\u202e" not in said
    assert '\\n @here" is not in the plan' in said


def test_markdown_takes_nothing_from_the_data_as_markup() -> None:
    said = markdown(incident_message(*EXAMPLES["hostile"], run_id=RUN_ID, base_url=BASE_URL))
    assert "<" not in re.sub(r"(`+)[^`].*?\1", "", said), (
        "a code span is literal; nothing else may hold a tag"
    )
    assert "\\*bold\\*" in said
    assert "`` a`b ``" in said
    assert f"[Open the run in Dagster]({BASE_URL}/runs/{RUN_ID})" in said
    assert "https://evil" not in said


def test_a_link_is_made_only_from_a_usable_address() -> None:
    assert run_link("http://127.0.0.1:3000/", "a/b>c|d") == "http://127.0.0.1:3000/runs/a%2Fb%3Ec%7Cd"
    assert run_link("https://[::1]:3000", "r") == "https://[::1]:3000/runs/r"
    for base in [None, "", "javascript:alert(1)", "http://u:p@host", "http://h|x>", "http://[", "ftp://host"]:
        assert run_link(base, "r") is None


def test_a_broken_run_names_stage_and_error_without_secrets_or_people() -> None:
    error = (
        "could not connect to snowflake://svc:p@ss@acme.eu/db password='hunter 2' token: abc "
        "https://hooks.slack.com/services/T1/B1/hush xoxb-123-secret Authorization: Bearer abcdefghijkl "
        "value 'jane.doe@example.com' is not a number"
    )
    said = plain(run_failed(RUN_ID, "matched", error, base_url=BASE_URL))
    assert '"matched"' in said
    assert f"{BASE_URL}/runs/{RUN_ID}" in said
    for secret in ["p@ss", "svc", "hunter", "abc ", "hush", "xoxb", "abcdefghijkl", "jane", "example.com"]:
        assert secret not in said, secret
    assert "is not a number" in said


@pytest.mark.parametrize(
    "text", ["a" * 50_000, "a." * 25_000, "://" * 20_000, "x@" * 20_000, "-----BEGIN A-----" * 900]
)
def test_redaction_of_long_text_is_quick(text: str) -> None:
    import time

    started = time.perf_counter()
    redacted(text)
    assert time.perf_counter() - started < 1.0


def test_a_digest_lists_titles_worst_severity_and_ids() -> None:
    rows = [
        incident("inc_a", severity="warning", title="first"),
        incident("inc_b", severity="error", title="second"),
    ]
    said = plain(digest([incident_message(row, "opened") for row in rows]))
    assert "2 more incidents" in said
    assert "🟠 warning, new: first [inc_a]" in said
    assert "🔴 error, new: second [inc_b]" in said


def test_a_digest_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one notice"):
        digest([])


def test_a_message_survives_storage() -> None:
    for row, transition in EXAMPLES.values():
        message = incident_message(row, transition, run_id=RUN_ID, base_url=BASE_URL)
        assert Message.model_validate_json(message.model_dump_json()) == message


LINES = {name: f"{name} on 20 Oct: gap 6.1% = 6.1% rename" for name in ("a", "b", "c", "d", "e")}


def test_the_ledger_is_said_for_the_three_destinations_that_are_hit_most() -> None:
    row = incident(
        destinations='["a", "b", "c", "d"]',
        evidence='{"messages_by_destination": {"d": 900, "b": 30, "a": 5, "c": "many"}}',
    )
    message = incident_message(row, "opened", ledger=LINES)
    assert message.ledger == (LINES["d"], LINES["b"], LINES["a"])
    assert LINES["d"] in plain(message)
    assert "gap 6.1%" in markdown(message).replace("\\", "")


@pytest.mark.parametrize("evidence", [None, "", "[", "[1]", "7", '{"messages_by_destination": 3}'])
def test_evidence_that_says_nothing_of_destinations_leaves_their_order(evidence: object) -> None:
    row = incident(destinations='["b", "a"]', evidence=evidence)
    assert incident_message(row, "opened", ledger=LINES).ledger == (LINES["b"], LINES["a"])


def test_an_end_needs_no_ledger() -> None:
    assert incident_message(incident(destinations='["a"]'), "resolved", ledger=LINES).ledger == ()


def test_a_hostile_line_of_the_ledger_is_one_short_line() -> None:
    row = incident(destinations='["a"]')
    (line,) = incident_message(row, "opened", ledger={"a": "<!channel>\n*x*\u202e" + "y" * 9_000}).ledger
    assert "\n" not in line and "\u202e" not in line
    assert len(line) <= 500


def test_a_reminder_lists_what_is_open_oldest_first() -> None:
    messages = [
        incident_message(incident("inc_b", started_on=date(2026, 10, 20), title="later"), "reminded"),
        incident_message(incident("inc_c", started_on=None, title="unknown"), "reminded"),
        incident_message(incident("inc_a", started_on=date(2026, 9, 1), title="first"), "reminded"),
    ]
    message = reminder(messages)
    assert [line.title for line in message.lines] == ["first", "later", "unknown"]
    assert message.headline == "🗓️ 3 incidents are still open"
    assert message.lines[0].words == "critical, since 1 Sep 2026"


def test_a_reminder_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        reminder([])


def test_the_first_message_of_a_thread_keeps_its_story_and_says_the_state_in_words() -> None:
    story = incident_message(incident(), "worsened")
    over = incident_message(incident(status="resolved"), "resolved")
    message = current(over, story)
    assert message.headline == "RESOLVED · event renamed (was critical)"
    assert _facts(message)["Now"] == "resolved"
    assert message.explanation == story.explanation
    assert message.suggestion == ""
    assert _facts(current(story, story))["Now"] == "open, and worse than told first"
