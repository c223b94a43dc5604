"""What a run says of its alerts, over a real warehouse and a real HTTP server: how many wait, why, and until when."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from notified.conftest import WEBHOOK_PATH, Answer, FakeSlack
from notified.examples import AS_OF, RUN_ID, Change, frame, incident

from dagster_project.cli.alerts import Alerts, alerts_of
from dagster_project.flow.notified import ALERTS, DeliveryReport, deliver, write_outbox
from dagster_project.resources.slack import sender_from
from dagster_project.resources.warehouse import Warehouse
from dagster_project.settings import Settings

BEGUN = datetime(2026, 11, 22, 8, 59)
NOW = datetime(2026, 11, 22, 9)
NEXT = "by the next run after 2026-11-22 09:02 UTC, or by Dagster where its daemon is at work"
Told = Callable[..., Alerts]


def _open(warehouse: Warehouse, count: int, first: int = 0) -> None:
    ids = [f"inc_{number:03}" for number in range(first, first + count)]
    rows = frame(*(incident(each) for each in ids))
    write_outbox(warehouse, [Change(each, "opened") for each in ids], rows, RUN_ID, AS_OF)
    status = pd.DataFrame({"incident_id": ids, "status": "open"})
    warehouse.replace("reconciliation.incidents", status, {"incident_id": "varchar", "status": "varchar"})


@pytest.fixture
def environment(slack: FakeSlack) -> dict[str, str]:
    return {"SLACK_WEBHOOK_URL": slack.webhook_url}


@pytest.fixture
def told(
    warehouse: Warehouse, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Told:
    """Delivers at a time as a run in the environment does, and says how things stand."""
    settings = Settings(duckdb_path=tmp_path / "warehouse.duckdb")

    def deliver_and_tell(now: datetime = NOW, *, delivers: bool = True) -> Alerts:
        for name in ("SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        report = DeliveryReport()
        if delivers:
            report = deliver(warehouse, sender_from(environment, None), now, sleep=lambda _s: None)
        return alerts_of(settings, None, BEGUN, report.failed)

    return deliver_and_tell


def test_what_slack_took_is_counted_and_an_outbox_without_news_is_silent(
    warehouse: Warehouse, told: Told
) -> None:
    assert told(delivers=False) == Alerts()
    _open(warehouse, 2)
    assert told() == Alerts(sent=2, said="2 alerts sent to Slack")


def test_what_an_earlier_run_sent_is_not_told_again(warehouse: Warehouse, told: Told) -> None:
    _open(warehouse, 1)
    told(BEGUN - timedelta(days=1))
    assert told() == Alerts()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(404, "<html>"), "Slack answered 404; check SLACK_WEBHOOK_URL or SLACK_BOT_TOKEN, and what "),
        (Answer(404, "no_service"), "Slack answered 404 no_service; the webhook was removed"),
        (
            Answer(500, "oops " + WEBHOOK_PATH),
            "Slack answered 500; if that lasts, check the network and SLACK",
        ),
    ],
)
def test_a_refusal_is_told_with_its_answer_and_the_next_step(
    warehouse: Warehouse, slack: FakeSlack, told: Told, answer: Answer, why: str
) -> None:
    slack.otherwise = lambda _payload: answer
    _open(warehouse, 1)
    alerts = told()
    assert (alerts.sent, alerts.waiting, alerts.given_up) == (0, 1, 0)
    assert alerts.problem is not None and alerts.problem.startswith(why)
    assert alerts.said == (
        f"1 alert could not be sent to Slack: {alerts.problem}; it is kept and tried again {NEXT}"
    )
    # A run so soon after asks nobody, and what is said is the same.
    asked = len(slack.received)
    assert told(NOW + timedelta(seconds=20)) == alerts
    assert len(slack.received) == asked


def test_a_connection_that_is_refused_is_told(
    warehouse: Warehouse, environment: dict[str, str], told: Told
) -> None:
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        environment["SLACK_WEBHOOK_URL"] = f"http://127.0.0.1:{taken.getsockname()[1]}{WEBHOOK_PATH}"
        _open(warehouse, 5)
        alerts = told()
    assert (alerts.sent, alerts.waiting) == (0, 5)
    assert alerts.said == (
        "5 alerts could not be sent to Slack: could not connect to 127.0.0.1; if that lasts, check the network and "
        # Three failures in a row end a delivery: two of the five were not tried, so they are due at once.
        "SLACK_WEBHOOK_URL; they are kept and tried again by the next run, or by Dagster where its daemon is at work"
    )


def test_some_sent_and_some_given_up_are_told_apart(
    warehouse: Warehouse, slack: FakeSlack, told: Told
) -> None:
    slack.queue = [Answer(), Answer(400, "invalid_payload"), Answer(400, "invalid_payload")]
    _open(warehouse, 2)
    alerts = told()
    assert (alerts.sent, alerts.waiting, alerts.given_up) == (1, 0, 1)
    assert alerts.said == (
        "1 alert sent to Slack; 1 alert was given up: Slack answered 400 invalid_payload: it refuses the form of this "
        "message; its incident is in `recon incidents`"
    )
    assert told().given_up == 0, "what an earlier run gave up is not told again"


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({}, "neither SLACK_WEBHOOK_URL nor SLACK_BOT_TOKEN is set; set one to be told in Slack"),
        (
            {"SLACK_WEBHOOK_URL": "hush"},
            "SLACK_WEBHOOK_URL is not a web address; set it to one that begins with",
        ),
        (
            {"SLACK_BOT_TOKEN": "xoxb-hush"},
            "SLACK_BOT_TOKEN is set but expectations/workspace.yml names no channel",
        ),
    ],
    ids=["nothing", "no_address", "no_channel"],
)
def test_without_slack_what_would_be_told_waits_as_long_as_it_is_open(
    warehouse: Warehouse, environment: dict[str, str], told: Told, setting: dict[str, str], why: str
) -> None:
    environment.clear()
    environment.update(setting)
    _open(warehouse, 3)
    alerts = told()
    assert (alerts.sent, alerts.waiting, alerts.given_up) == (0, 3, 0)
    assert alerts.problem is not None and alerts.problem.startswith(f"Slack is not configured: {why}")
    assert alerts.said == f"3 alerts wait, for {alerts.problem}"
    assert "hush" not in alerts.said
    assert told(NOW + timedelta(days=1)) == alerts, "the next run says it again"
    warehouse.execute(
        "update reconciliation.incidents set status = 'resolved' where incident_id <> 'inc_000'"
    )
    assert told().waiting == 1


def test_what_waits_is_sent_once_slack_is_there(
    warehouse: Warehouse, slack: FakeSlack, environment: dict[str, str], told: Told
) -> None:
    environment.clear()
    _open(warehouse, 3)
    told()
    environment["SLACK_WEBHOOK_URL"] = slack.webhook_url
    assert told() == Alerts(sent=3, said="3 alerts sent to Slack")


def test_a_run_that_broke_before_it_told_anybody_says_so(warehouse: Warehouse, told: Told) -> None:
    _open(warehouse, 2)
    alerts = told(delivers=False)
    assert alerts.said == (
        "2 alerts wait, for the run ended before it told anybody; they are sent by the next run, or by Dagster where "
        "its daemon is at work"
    )


def test_a_reason_that_somebody_else_stored_cannot_steer_a_terminal(
    warehouse: Warehouse, slack: FakeSlack, told: Told
) -> None:
    slack.otherwise = lambda _payload: Answer(500)
    _open(warehouse, 1)
    told()
    warehouse.execute(f"update {ALERTS} set last_error = :text", text="\x1b[2J\u202e\nall is well")
    said = told(NOW + timedelta(seconds=20)).said
    assert said is not None and "\\x1b[2J\\u202e\\nall is well" in said
