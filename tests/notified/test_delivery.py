"""From changes to messages, over a real warehouse and a real HTTP server: told once, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from notified.conftest import Answer, FakeSlack
from notified.examples import AS_OF, BASE_URL, RUN_ID, Change, frame, incident

from dagster_project.core.outbox import Accepted, Failed, Logged, Outcome
from dagster_project.flow.notified import ALERTS, DeliveryReport, deliver, tell_run_failed, write_outbox
from dagster_project.resources.slack import BotSender, LogSender, SlackSender, WebhookSender
from dagster_project.resources.warehouse import Warehouse, WarehouseSession

NOW = datetime(2026, 11, 22, 9)


def _open(warehouse: Warehouse, count: int, as_of: datetime = AS_OF, **columns: Any) -> pd.DataFrame:
    ids = [f"inc_{number:03}" for number in range(count)]
    rows = frame(*(incident(each, title=f"title of {each}", **columns) for each in ids))
    write_outbox(warehouse, [Change(each, "opened") for each in ids], rows, RUN_ID, as_of, base_url=BASE_URL)
    return rows


def _alerts(warehouse: Warehouse) -> pd.DataFrame:
    return warehouse.frame(f"select * from {ALERTS} order by created_at, incident_id, transition")


def _store_incidents(warehouse: Warehouse, status: dict[str, str]) -> None:
    rows = pd.DataFrame({"incident_id": list(status), "status": list(status.values())})
    warehouse.replace("reconciliation.incidents", rows, {"incident_id": "varchar", "status": "varchar"})


@pytest.fixture
def sender(slack: FakeSlack) -> WebhookSender:
    return WebhookSender(slack.webhook_url, timeout=(0.5, 0.3))


def _titles(slack: FakeSlack) -> list[str]:
    return [payload["blocks"][1]["text"]["text"] for payload in slack.accepted]


# --- the outbox ---


def test_a_change_becomes_one_row_with_the_columns_of_the_contract(warehouse: Warehouse) -> None:
    _open(warehouse, 1)
    row = _alerts(warehouse).iloc[0]
    assert row["alert_id"].startswith("alert_")
    assert (row["incident_id"], row["transition"], row["attempts"]) == ("inc_000", "opened", 0)
    assert pd.Timestamp(row["created_at"]) == pd.Timestamp(AS_OF)
    assert pd.isna(row["sent_at"]) and pd.isna(row["last_error"])
    assert json.loads(row["payload"])["title"] == "title of inc_000"


def test_the_same_run_again_changes_nothing(warehouse: Warehouse) -> None:
    _open(warehouse, 9)
    before = _alerts(warehouse)
    _open(warehouse, 9)
    pd.testing.assert_frame_equal(_alerts(warehouse), before)


def test_a_run_that_was_killed_before_its_incidents_were_kept_tells_nothing_twice(
    warehouse: Warehouse,
) -> None:
    _open(warehouse, 3)
    _open(warehouse, 3, as_of=AS_OF + timedelta(hours=2))
    assert len(_alerts(warehouse)) == 3


def test_two_runs_that_insert_the_same_notice_at_once_leave_one_row(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open(warehouse, 1)
    real = WarehouseSession.frame
    # The second run looked before the first had written.
    monkeypatch.setattr(
        WarehouseSession, "frame", lambda self, sql, **params: real(self, sql, **params).head(0)
    )
    _open(warehouse, 1)
    monkeypatch.undo()
    assert len(_alerts(warehouse)) == 1


def test_a_change_and_its_notice_are_kept_together_or_lost_together(warehouse: Warehouse) -> None:
    with pytest.raises(RuntimeError, match="killed"), warehouse.transaction() as session:
        write_outbox(session, [Change("inc_a", "opened")], frame(incident("inc_a")), RUN_ID, AS_OF)
        raise RuntimeError("killed")
    assert not warehouse.exists(ALERTS)


def test_a_life_is_told_from_its_beginning_to_its_end(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    for day, transition in enumerate(["opened", "worsened", "resolved", "reopened", "resolved"]):
        row = frame(incident("inc_a", messages_affected=10 * day))
        write_outbox(warehouse, [Change("inc_a", transition)], row, RUN_ID, AS_OF + timedelta(days=day))
        deliver(warehouse, sender, NOW)
    headers = [payload["blocks"][0]["text"]["text"] for payload in slack.accepted]
    assert [header.split(" · ")[1] for header in headers] == [
        "new",
        "worse than told before",
        "event renamed (was critical)",
        "back again",
        "event renamed (was critical)",
    ]


def test_a_hostile_name_reaches_the_outbox_and_slack_unharmed(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    name = "'; drop table reconciliation.alerts; -- :bind <!channel> \x00\x1b 🛒"
    row = incident("inc_'; --", event=name, title=f'"{name}" is new')
    write_outbox(warehouse, [Change("inc_'; --", "opened")], frame(row), RUN_ID, AS_OF)
    assert deliver(warehouse, sender, NOW).sent == 1
    assert "&lt;!channel&gt; \\x00\\x1b 🛒" in json.dumps(slack.accepted, ensure_ascii=False).replace(
        "\\\\", "\\"
    )


def test_no_change_makes_no_row_but_the_table(warehouse: Warehouse) -> None:
    assert write_outbox(warehouse, [], frame(), RUN_ID, AS_OF) == 0
    assert len(_alerts(warehouse)) == 0


# --- delivery ---


def test_a_notice_is_told_once(warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender) -> None:
    _open(warehouse, 1)
    assert deliver(warehouse, sender, NOW) == DeliveryReport(sent=1)
    assert deliver(warehouse, sender, NOW) == DeliveryReport()
    assert len(slack.received) == 1
    row = _alerts(warehouse).iloc[0]
    assert NOW <= row["sent_at"] < NOW + timedelta(minutes=1)
    assert row["attempts"] == 1
    assert pd.isna(row["last_error"])


def test_many_at_once_are_five_messages_and_a_digest_and_every_row_is_marked(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    _open(warehouse, 40)
    assert deliver(warehouse, sender, NOW).sent == 40
    assert len(slack.accepted) == 6
    assert _titles(slack)[0] == "title of inc_000"
    assert "35 more incidents" in slack.accepted[-1]["text"]
    assert _alerts(warehouse)["sent_at"].notna().all()


def test_after_a_failure_the_notice_waits_longer_each_time_and_then_arrives(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    _open(warehouse, 1)
    slack.queue = [Answer(500), Answer(503), Answer(delay=0.6)]
    now = NOW
    for wait in (1, 5, 30):
        report = deliver(warehouse, sender, now)
        assert (report.sent, report.waiting) == (0, 1)
        early = deliver(warehouse, sender, now + timedelta(minutes=wait, seconds=-10))
        assert (early.sent, early.waiting, early.problem) == (0, 1, None)
        now += timedelta(minutes=wait, seconds=10)
    assert deliver(warehouse, sender, now) == DeliveryReport(sent=1)
    assert _alerts(warehouse)["attempts"].tolist() == [4]
    assert len(slack.received) == 4


def test_a_short_throttle_is_waited_for(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    _open(warehouse, 1)
    slack.queue = [Answer(429, "", {"Retry-After": "7"})]
    slept: list[float] = []
    assert deliver(warehouse, sender, NOW, 10, sleep=slept.append) == DeliveryReport(sent=1)
    assert slept == [7.0]


def test_a_long_throttle_holds_everything_until_it_is_over(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    _open(warehouse, 3)
    slack.queue = [Answer(), Answer(429, "", {"Retry-After": "120"})]
    report = deliver(warehouse, sender, NOW, 10, sleep=lambda _s: pytest.fail("must not sleep"))
    assert (report.sent, report.waiting) == (1, 2)
    assert deliver(warehouse, sender, NOW + timedelta(seconds=110)).sent == 0
    assert len(slack.received) == 2
    assert deliver(warehouse, sender, NOW + timedelta(seconds=130)).sent == 2
    assert _alerts(warehouse)["attempts"].tolist() == [1, 1, 1]


def test_one_message_that_slack_refuses_does_not_keep_the_others_back(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    _open(warehouse, 3)
    slack.otherwise = lambda payload: Answer(400, "invalid_blocks") if "inc_001" in str(payload) else Answer()
    report = deliver(warehouse, sender, NOW)
    assert (report.sent, report.failed, report.waiting) == (2, 1, 0)
    refused = _alerts(warehouse).set_index("incident_id").loc["inc_001"]
    assert pd.isna(refused["sent_at"]) and pd.isna(refused["next_attempt_at"])
    assert "invalid_blocks" in refused["last_error"]
    assert deliver(warehouse, sender, NOW + timedelta(days=9)) == DeliveryReport()


@pytest.mark.parametrize(("status", "body"), [(403, "invalid_token"), (404, "no_service")])
def test_a_faulty_configuration_is_tried_rarely_and_heals(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender, status: int, body: str
) -> None:
    _open(warehouse, 4)
    slack.otherwise = lambda _payload: Answer(status, body)
    report = deliver(warehouse, sender, NOW)
    assert (report.sent, report.failed, report.waiting) == (0, 0, 4)
    assert report.problem is not None and "SLACK_WEBHOOK_URL" in report.problem
    assert len(slack.received) == 1, "the fault is not the notice's, so the others are not tried"
    slack.otherwise = lambda _payload: Answer()
    assert deliver(warehouse, sender, NOW + timedelta(hours=1)).sent == 4


def test_a_bot_whose_channel_is_gone_says_what_to_do(warehouse: Warehouse, slack: FakeSlack) -> None:
    _open(warehouse, 1)
    slack.queue = [Answer(200, '{"ok": false, "error": "channel_not_found"}')]
    bot = BotSender("xoxb-1", "#gone", api_url=slack.api_url)
    report = deliver(warehouse, bot, NOW)
    assert report.problem is not None and "alerts.slack.channel" in report.problem
    assert deliver(warehouse, bot, NOW + timedelta(hours=1)).sent == 1


def test_when_slack_is_away_a_delivery_ends_soon(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    _open(warehouse, 5)
    slack.otherwise = lambda _payload: Answer(500)
    assert deliver(warehouse, sender, NOW).waiting == 5
    assert len(slack.received) == 3


def test_a_row_that_cannot_be_read_stops_nothing(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    _open(warehouse, 3)
    warehouse.execute(f"update {ALERTS} set payload = '{{' where incident_id = 'inc_001'")
    report = deliver(warehouse, sender, NOW)
    assert (report.sent, report.failed) == (2, 1)
    assert report.problem is not None and "cannot be read" in report.problem


class _Dies:
    """Accepts, and then the process is killed before the row can be marked."""

    configured = True

    def __init__(self, inner: SlackSender) -> None:
        self.inner = inner

    def send(self, message: Any) -> Outcome:
        self.inner.send(message)
        raise KeyboardInterrupt


def test_a_death_between_acceptance_and_marking_is_the_one_window_of_a_second_telling(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    _open(warehouse, 2)
    with pytest.raises(KeyboardInterrupt):
        deliver(warehouse, _Dies(sender), NOW)
    assert deliver(warehouse, sender, NOW + timedelta(seconds=5)).sent == 1, "the claimed one is left alone"
    assert deliver(warehouse, sender, NOW + timedelta(minutes=5)).sent == 1
    assert _titles(slack) == ["title of inc_000", "title of inc_001", "title of inc_000"]


def test_two_deliverers_at_once_tell_once(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    _open(warehouse, 2)

    class Nested:
        """While its message is on the way, a whole other delivery runs."""

        configured = True
        inner = False

        def send(self, message: Any) -> Outcome:
            if not self.inner:
                self.inner = True
                assert deliver(warehouse, sender, NOW).sent == 1
            return sender.send(message)

    assert deliver(warehouse, Nested(), NOW).sent == 1
    assert sorted(_titles(slack)) == ["title of inc_000", "title of inc_001"]


def test_a_warehouse_that_is_busy_for_a_moment_after_acceptance_does_not_lose_the_mark(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open(warehouse, 1)
    real, busy = warehouse.execute, [True, True]

    def execute(sql: str, **params: Any) -> None:
        if "sent_at = " in sql and busy:
            busy.pop()
            raise RuntimeError("another process writes")
        real(sql, **params)

    monkeypatch.setattr(warehouse, "execute", execute)
    assert deliver(warehouse, sender, NOW, sleep=lambda _s: None).sent == 1
    assert deliver(warehouse, sender, NOW + timedelta(hours=1)) == DeliveryReport()
    assert len(slack.received) == 1


def test_no_connection_is_open_while_slack_is_asked(
    warehouse: Warehouse, sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open(warehouse, 2)
    depth = [0]
    real = warehouse.transaction

    @contextmanager
    def counted() -> Iterator[Any]:
        depth[0] += 1
        try:
            with real() as session:
                yield session
        finally:
            depth[0] -= 1

    class Asks:
        configured = True

        def send(self, _message: Any) -> Outcome:
            assert depth[0] == 0
            return Accepted()

    monkeypatch.setattr(warehouse, "transaction", counted)
    assert deliver(warehouse, Asks(), NOW).sent == 2


def test_a_sender_that_breaks_is_a_failure_and_its_words_are_not_repeated(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    class Breaks:
        configured = True

        def send(self, _message: Any) -> Outcome:
            raise OSError("https://hooks.slack.com/services/hush")

    _open(warehouse, 1)
    report = deliver(warehouse, Breaks(), NOW)
    assert (report.sent, report.waiting) == (0, 1)
    assert "hush" not in caplog.text + str(report) + str(_alerts(warehouse)["last_error"].tolist())


# --- without slack ---


def test_without_slack_the_notice_is_logged_once_and_stays_unsent(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    _open(warehouse, 1)
    assert deliver(warehouse, LogSender(), NOW) == DeliveryReport(logged=1)
    assert deliver(warehouse, LogSender(), NOW) == DeliveryReport()
    assert caplog.text.count("title of inc_000") == 1
    row = _alerts(warehouse).iloc[0]
    assert pd.isna(row["sent_at"])
    assert (row["attempts"], row["last_error"]) == (0, "slack is not configured")


def test_when_slack_is_configured_later_only_what_is_still_open_is_told(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    _open(warehouse, 3)
    deliver(warehouse, LogSender(), NOW)
    write_outbox(
        warehouse,
        [Change("inc_000", "resolved"), Change("inc_001", "worsened")],
        frame(incident("inc_000"), incident("inc_001", title="inc_001 got worse")),
        RUN_ID,
        AS_OF + timedelta(days=1),
    )
    deliver(warehouse, LogSender(), NOW)
    _store_incidents(warehouse, {"inc_000": "resolved", "inc_001": "open", "inc_002": "open"})
    assert deliver(warehouse, sender, NOW) == DeliveryReport(sent=2)
    assert sorted(_titles(slack)) == ["inc_001 got worse", "title of inc_002"]
    assert deliver(warehouse, sender, NOW + timedelta(days=1)) == DeliveryReport()


def test_a_month_without_slack_does_not_end_in_a_flood(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    for number in range(12):
        row = frame(incident(f"inc_{number:03}"))
        as_of = AS_OF + timedelta(days=number)
        write_outbox(warehouse, [Change(f"inc_{number:03}", "opened")], row, RUN_ID, as_of)
        deliver(warehouse, LogSender(), NOW)
    _store_incidents(warehouse, {f"inc_{number:03}": "open" for number in range(12)})
    assert deliver(warehouse, sender, NOW).sent == 12
    assert len(slack.accepted) == 6


# --- a run that broke ---


def test_a_broken_run_is_told_past_the_warehouse(slack: FakeSlack, sender: WebhookSender) -> None:
    slack.queue = [Answer(500), Answer(429, "", {"Retry-After": "1"})]
    slept: list[float] = []
    outcome = tell_run_failed(sender, RUN_ID, "matched", "boom", base_url=BASE_URL, sleep=slept.append)
    assert outcome == Accepted()
    assert "RUN FAILED" in slack.accepted[0]["text"]
    assert slept == [2.0, 1.0]


def test_a_broken_run_that_slack_does_not_take_is_in_the_log(
    slack: FakeSlack, sender: WebhookSender, caplog: pytest.LogCaptureFixture
) -> None:
    slack.otherwise = lambda _payload: Answer(500)
    outcome = tell_run_failed(sender, RUN_ID, None, "boom", sleep=lambda _s: None)
    assert outcome == Failed("Slack answered 500")
    assert "boom" in caplog.text
    assert "not told in Slack" in caplog.text


def test_a_broken_run_without_slack_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert tell_run_failed(LogSender(), RUN_ID, "judged", "boom") == Logged()
    assert "boom" in caplog.text


# --- one thread an incident ---


@pytest.fixture
def bot(slack: FakeSlack) -> BotSender:
    return BotSender("xoxb-1", "#data", api_url=slack.api_url, timeout=(0.5, 0.5))


def _change(warehouse: Warehouse, transition: str, day: int, **columns: Any) -> None:
    row = frame(incident("inc_a", **columns))
    write_outbox(warehouse, [Change("inc_a", transition)], row, RUN_ID, AS_OF + timedelta(days=day))


def _headers(payloads: list[dict[str, Any]]) -> list[str]:
    return [payload["blocks"][0]["text"]["text"] for payload in payloads]


def test_the_later_notices_of_an_incident_stand_under_its_first(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender
) -> None:
    for day, transition in enumerate(["opened", "worsened", "resolved", "reopened"]):
        _change(warehouse, transition, day, messages_affected=10 * day)
        assert deliver(warehouse, bot, NOW + timedelta(days=day)).sent == 1
    first, worse, over, back = slack.posted
    assert "thread_ts" not in first and first["channel"] == "#data"
    assert {each["thread_ts"] for each in (worse, over, back)} == {"1700000000.000001"}
    assert {each["channel"] for each in (worse, over, back)} == {"C0DATA"}
    # The channel hears of what is worse and of what is back; an end is read where it belongs.
    assert [each["reply_broadcast"] for each in (worse, over, back)] == [True, False, True]


def test_the_first_message_says_how_things_stand_in_words(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender
) -> None:
    for day, transition in enumerate(["opened", "worsened", "resolved"]):
        _change(warehouse, transition, day)
        deliver(warehouse, bot, NOW + timedelta(days=day))
    assert [(each["channel"], each["ts"]) for each in slack.edited] == [("C0DATA", "1700000000.000001")] * 2
    worse, over = slack.edited
    assert _headers([worse, over]) == [
        "CRITICAL · worse than told before · event renamed",
        "RESOLVED · event renamed (was critical)",
    ]
    assert over["blocks"][2]["fields"][0]["text"] == "*Now*\nresolved"
    assert "3 destinations wait for the old name" in json.dumps(over), "the story stays where people look"
    assert "Next step" not in json.dumps(over)
    assert over["parse"] == "none"
    assert _alerts(warehouse)["root_edit"].tolist()[1:] == ["done", "done"]


def test_an_incident_whose_first_message_is_gone_gets_a_new_one(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender
) -> None:
    _change(warehouse, "opened", 0)
    deliver(warehouse, bot, NOW)
    slack.deleted.add("1700000000.000001")
    _change(warehouse, "worsened", 1)
    deliver(warehouse, bot, NOW + timedelta(days=1))
    _change(warehouse, "resolved", 2)
    deliver(warehouse, bot, NOW + timedelta(days=2))
    assert slack.posted[2]["thread_ts"] == "1700000000.000002"
    assert [each["ts"] for each in slack.edited] == ["1700000000.000002"]


@pytest.mark.parametrize("error", ["invalid_thread_ts", "restricted_action_thread_locked"])
def test_a_thread_that_takes_no_reply_is_left_for_the_channel(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender, error: str
) -> None:
    _change(warehouse, "opened", 0)
    deliver(warehouse, bot, NOW)
    slack.queue = [Answer(200, json.dumps({"ok": False, "error": error}))]
    _change(warehouse, "worsened", 1)
    assert deliver(warehouse, bot, NOW + timedelta(days=1)).sent == 1
    assert "thread_ts" not in slack.posted[-1]


def test_in_another_channel_an_incident_begins_a_thread_of_its_own(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender
) -> None:
    _change(warehouse, "opened", 0)
    deliver(warehouse, bot, NOW)
    moved = BotSender("xoxb-1", "#elsewhere", api_url=slack.api_url)
    _change(warehouse, "worsened", 1)
    deliver(warehouse, moved, NOW + timedelta(days=1))
    assert "thread_ts" not in slack.posted[-1] and slack.posted[-1]["channel"] == "#elsewhere"
    assert slack.edited == []


def test_an_edit_that_fails_is_tried_again_and_the_notice_is_not_told_twice(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender
) -> None:
    _change(warehouse, "opened", 0)
    deliver(warehouse, bot, NOW)
    _change(warehouse, "resolved", 1)
    slack.otherwise = lambda payload: Answer(500) if "ts" in payload else Answer()
    assert deliver(warehouse, bot, NOW).sent == 1
    slack.otherwise = lambda _payload: Answer(429, "", {"Retry-After": "9"})
    assert deliver(warehouse, bot, NOW + timedelta(minutes=1)) == DeliveryReport()
    slack.otherwise = lambda _payload: Answer()
    assert deliver(warehouse, bot, NOW + timedelta(minutes=2)) == DeliveryReport()
    assert (len(slack.posted), len(slack.edited)) == (2, 1)
    assert deliver(warehouse, bot, NOW + timedelta(minutes=3)) == DeliveryReport()
    assert len(slack.edited) == 1


def test_an_edit_that_never_works_is_given_up_after_a_day(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender
) -> None:
    _change(warehouse, "opened", 0)
    _change(warehouse, "resolved", 1)
    slack.otherwise = lambda payload: Answer(500) if "ts" in payload else Answer()
    deliver(warehouse, bot, NOW)
    deliver(warehouse, bot, NOW)
    assert _alerts(warehouse)["root_edit"].tolist()[-1] == "due"
    deliver(warehouse, bot, NOW + timedelta(days=2))
    assert "gave up" in _alerts(warehouse)["root_edit"].tolist()[-1]


def test_a_first_message_that_may_not_be_edited_stays_as_it_is(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender
) -> None:
    _change(warehouse, "opened", 0)
    deliver(warehouse, bot, NOW)
    _change(warehouse, "resolved", 1)
    slack.otherwise = lambda payload: (
        Answer(200, '{"ok": false, "error": "edit_window_closed"}') if "ts" in payload else Answer()
    )
    assert deliver(warehouse, bot, NOW) == DeliveryReport(sent=1)
    assert "edit_window_closed" in _alerts(warehouse)["root_edit"].tolist()[-1]


def test_an_end_that_is_told_in_a_digest_still_shows_in_the_first_message(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender
) -> None:
    rows = _open(warehouse, 9)
    deliver(warehouse, bot, NOW)
    changes = [Change(each, "resolved") for each in rows["incident_id"]]
    write_outbox(warehouse, changes, rows.assign(status="resolved"), RUN_ID, AS_OF + timedelta(days=1))
    assert deliver(warehouse, bot, NOW + timedelta(days=1)).sent == 9
    digests = [payload for payload in slack.posted if "more incidents" in payload["text"]]
    assert len(digests) == 2
    assert all("thread_ts" not in payload for payload in digests)
    # The five that were told one by one have a first message; the four of the digest have none.
    assert len(slack.edited) == 5
    assert all("RESOLVED" in header for header in _headers(slack.edited))


def test_a_webhook_posts_every_notice_to_its_channel(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    for day, transition in enumerate(["opened", "worsened", "resolved"]):
        _change(warehouse, transition, day)
        deliver(warehouse, sender, NOW)
    assert len(slack.posted) == 3
    assert not any("thread_ts" in payload for payload in slack.posted)
    assert slack.edited == []
    assert _alerts(warehouse)["thread_ts"].isna().all()


# --- the weekly reminder ---


def test_a_month_of_daily_runs_reminds_once_a_week_in_one_message_oldest_first(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender
) -> None:
    rows = frame(
        incident("inc_new", started_on=date(2026, 11, 8), title="the newer"),
        incident("inc_old", started_on=date(2026, 9, 1), severity="warning", title="the older"),
        incident("inc_quiet", title="nobody was told of this"),
    )
    for day in range(28):
        changes = [] if day else [Change("inc_new", "opened"), Change("inc_old", "opened")]
        for _ in range(2):  # a run that is started again
            write_outbox(warehouse, changes, rows, RUN_ID, AS_OF + timedelta(days=day))
        deliver(warehouse, bot, NOW + timedelta(days=day))
    reminded = [payload for payload in slack.posted if "still open" in payload["text"]]
    assert len(reminded) == 3
    assert len(slack.posted) == 5
    text = reminded[0]["blocks"][2]["text"]["text"]
    assert text.splitlines() == [
        "🟠 warning, since 1 Sep 2026: the older `inc_old`",
        "🚨 critical, since 8 Nov 2026: the newer `inc_new`",
    ]
    assert "thread_ts" not in reminded[0]
    assert set(_alerts(warehouse)["transition"]) == {"opened", "reminded"}


def test_a_reminder_does_not_stand_in_the_way_of_an_end(
    warehouse: Warehouse, slack: FakeSlack, bot: BotSender
) -> None:
    _change(warehouse, "opened", 0)
    deliver(warehouse, bot, NOW)
    write_outbox(warehouse, [], frame(incident("inc_a")), RUN_ID, AS_OF + timedelta(days=7))
    deliver(warehouse, bot, NOW)
    _change(warehouse, "resolved", 8, status="resolved")
    assert deliver(warehouse, bot, NOW).sent == 1
    assert slack.posted[-1]["thread_ts"] == "1700000000.000001"


# --- how the gap adds up ---


def test_a_notice_says_how_the_gap_of_its_destinations_adds_up(
    warehouse: Warehouse, slack: FakeSlack, sender: WebhookSender
) -> None:
    gap = "attribution on 20 Oct: gap 6.1% = 4.0% steady loss + 1.6% rename + 0.5% unexplained"
    row = frame(incident("inc_a"))
    write_outbox(
        warehouse,
        [Change("inc_a", "opened")],
        row,
        RUN_ID,
        AS_OF,
        ledger={"attribution": gap, "not hit": "not said"},
    )
    deliver(warehouse, sender, NOW)
    section = slack.posted[0]["blocks"][4]["text"]["text"]
    assert section == f"*How the gap adds up*\n{gap}"
    assert "not said" not in json.dumps(slack.posted)
