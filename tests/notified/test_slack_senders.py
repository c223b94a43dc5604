"""The senders against a real HTTP server: what is taken, what may be tried again, what never works."""

from __future__ import annotations

import email.utils
import json
import logging
import socket
import time
from collections.abc import Callable

import pytest
from notified.conftest import WEBHOOK_PATH, Answer, FakeSlack
from notified.examples import incident

from dagster_project.core.message import incident_message
from dagster_project.core.outbox import Accepted, Failed, Logged, Rejected, Throttled
from dagster_project.resources.slack import (
    DEFAULT_RETRY_AFTER,
    BotSender,
    LogSender,
    SlackSender,
    WebhookSender,
    sender_from,
)

TOKEN = "xoxb-111-222-veryhush"
MESSAGE = incident_message(incident(), "opened")
Make = Callable[[FakeSlack], SlackSender]


def webhook(slack: FakeSlack) -> SlackSender:
    return WebhookSender(slack.webhook_url, timeout=(0.5, 0.3))


def bot(slack: FakeSlack) -> SlackSender:
    return BotSender(TOKEN, "#data-quality", api_url=slack.api_url, timeout=(0.5, 0.3))


both = pytest.mark.parametrize("make", [webhook, bot])


@both
def test_a_message_is_taken(make: Make, slack: FakeSlack) -> None:
    assert make(slack).send(MESSAGE) == Accepted()
    assert slack.accepted[0]["blocks"][0]["type"] == "header"
    assert slack.headers[0]["Content-Type"] == "application/json; charset=utf-8"


def test_the_bot_posts_to_its_channel_with_its_token_and_links_nothing(slack: FakeSlack) -> None:
    bot(slack).send(MESSAGE)
    assert slack.headers[0]["Authorization"] == f"Bearer {TOKEN}"
    assert slack.accepted[0]["channel"] == "#data-quality"
    assert slack.accepted[0]["parse"] == "none"
    assert "link_names" not in slack.accepted[0]


def test_a_netrc_file_does_not_replace_the_token(
    slack: FakeSlack, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:  # noqa: PTH123
        file.write("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", netrc)
    bot(slack).send(MESSAGE)
    assert slack.headers[0]["Authorization"] == f"Bearer {TOKEN}"


@both
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_may_be_tried_again(make: Make, slack: FakeSlack, status: int) -> None:
    slack.queue = [Answer(status, "<html>oops</html>")]
    sender = make(slack)
    assert sender.send(MESSAGE) == Failed(f"Slack answered {status}")
    assert sender.send(MESSAGE) == Accepted()


@both
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        (None, DEFAULT_RETRY_AFTER),
        ("soon", DEFAULT_RETRY_AFTER),
        ("-3", DEFAULT_RETRY_AFTER),
    ],
)
def test_throttling_names_the_wait(make: Make, slack: FakeSlack, header: str | None, seconds: float) -> None:
    slack.queue = [Answer(429, "rate_limited", {"Retry-After": header} if header else {})]
    assert make(slack).send(MESSAGE) == Throttled(seconds)


@both
def test_throttling_may_name_a_moment(make: Make, slack: FakeSlack) -> None:
    moment = email.utils.formatdate(time.time() + 60, usegmt=True)
    slack.queue = [Answer(429, "", {"Retry-After": moment})]
    outcome = make(slack).send(MESSAGE)
    assert isinstance(outcome, Throttled)
    assert 50 < outcome.retry_after <= 60


@both
def test_an_answer_that_does_not_come_may_have_been_taken(make: Make, slack: FakeSlack) -> None:
    slack.queue = [Answer(delay=0.6)]
    assert make(slack).send(MESSAGE) == Failed(
        "127.0.0.1 did not answer within 0.3 s; it may have taken the message"
    )


def test_a_server_that_is_not_there_may_come_back() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outcome = WebhookSender(f"http://127.0.0.1:{port}{WEBHOOK_PATH}").send(MESSAGE)
    assert outcome == Failed("could not connect to 127.0.0.1")


@pytest.mark.parametrize(
    ("status", "body", "of_message", "step"),
    [
        (400, "invalid_blocks", True, "form of this message"),
        (400, "invalid_payload", True, "form of this message"),
        (413, "", True, "too large"),
        (400, "", True, "without a reason"),
        (403, "action_prohibited", False, "administrator"),
        (403, "invalid_token", False, "SLACK_WEBHOOK_URL"),
        (404, "no_service", False, "make a new one and set SLACK_WEBHOOK_URL"),
        (404, "channel_not_found", False, "alerts.slack.channel"),
        (410, "channel_is_archived", False, "not archived"),
        (403, "<html>blocked by proxy</html>", False, "proxy"),
        (302, "", False, "redirect"),
    ],
)
def test_what_a_webhook_refuses_comes_with_a_next_step(
    slack: FakeSlack, status: int, body: str, of_message: bool, step: str
) -> None:
    slack.otherwise = lambda _payload: Answer(status, body, {"Location": "/elsewhere"})
    outcome = webhook(slack).send(MESSAGE)
    assert isinstance(outcome, Rejected)
    assert outcome.of_message is of_message
    assert step in outcome.reason
    assert "html" not in outcome.reason


@pytest.mark.parametrize(
    ("error", "of_message", "step"),
    [
        ("invalid_auth", False, "SLACK_BOT_TOKEN"),
        ("token_revoked", False, "SLACK_BOT_TOKEN"),
        ("missing_scope", False, "chat:write"),
        ("channel_not_found", False, "alerts.slack.channel"),
        ("not_in_channel", False, "invite"),
        ("is_archived", False, "another channel"),
        ("msg_blocks_too_long", True, "form of this message"),
    ],
)
def test_what_the_bot_is_refused_comes_with_a_next_step(
    slack: FakeSlack, error: str, of_message: bool, step: str
) -> None:
    slack.otherwise = lambda _payload: Answer(200, json.dumps({"ok": False, "error": error}))
    outcome = bot(slack).send(MESSAGE)
    assert isinstance(outcome, Rejected)
    assert outcome.of_message is of_message
    assert error in outcome.reason
    assert step in outcome.reason


@pytest.mark.parametrize("error", ["internal_error", "fatal_error", "service_unavailable", "a_new_word"])
def test_what_slack_cannot_do_just_now_may_be_tried_again(slack: FakeSlack, error: str) -> None:
    slack.queue = [Answer(200, json.dumps({"ok": False, "error": error}))]
    assert bot(slack).send(MESSAGE) == Failed(f"Slack answered 200 {error}")


def test_the_bot_is_throttled_in_words_too(slack: FakeSlack) -> None:
    slack.queue = [Answer(200, '{"ok": false, "error": "ratelimited"}', {"Retry-After": "3"})]
    assert bot(slack).send(MESSAGE) == Throttled(3.0)


@both
@pytest.mark.parametrize(
    "body", ["<html>log in to the network</html>", "", "[1]", "[" * 50_000, "true", '"ok"']
)
def test_an_answer_that_is_not_slacks_is_no_acceptance(make: Make, slack: FakeSlack, body: str) -> None:
    slack.queue = [Answer(200, body)]
    outcome = make(slack).send(MESSAGE)
    assert isinstance(outcome, Failed)
    assert "proxy" in outcome.reason


@both
def test_blocks_that_are_refused_are_sent_again_as_text(make: Make, slack: FakeSlack) -> None:
    def answer(payload: dict[str, object]) -> Answer:
        if "blocks" not in payload:
            return Answer()
        return (
            Answer(400, "invalid_blocks")
            if make is webhook
            else Answer(200, '{"ok": false, "error": "invalid_blocks"}')
        )

    slack.otherwise = answer
    outcome = make(slack).send(MESSAGE)
    assert isinstance(outcome, Accepted)
    assert outcome.note is not None and "invalid_blocks" in outcome.note
    assert "Next step" in slack.accepted[0]["text"]


@both
def test_no_secret_is_in_any_log_error_or_repr(
    make: Make, slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = [TOKEN, "veryhush", WEBHOOK_PATH, "hush0hush0hush", "T0SECRET"]
    caplog.set_level(logging.DEBUG)
    sender = make(slack)
    slack.queue = [
        Answer(),
        Answer(500, f"failed at {slack.webhook_url} with {TOKEN}"),
        Answer(404, f"{WEBHOOK_PATH} {TOKEN}"),
        Answer(delay=0.6),
        Answer(302, "", {"Location": slack.webhook_url}),
    ]
    said = [repr(sender.send(MESSAGE)) for _ in range(5)]
    slack.close()
    said += [repr(sender.send(MESSAGE)), repr(sender), str(sender), caplog.text]
    assert "urllib3" in caplog.text, "the test must see what urllib3 logs, or it proves nothing"
    for secret in secrets:
        for text in said:
            assert secret not in text


@pytest.mark.parametrize(
    ("environ", "channel", "kind"),
    [
        ({}, "#a", LogSender),
        ({"SLACK_WEBHOOK_URL": " "}, "#a", LogSender),
        ({"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/x"}, None, WebhookSender),
        ({"SLACK_BOT_TOKEN": TOKEN}, "#a", BotSender),
        ({"SLACK_BOT_TOKEN": TOKEN}, None, LogSender),
        ({"SLACK_BOT_TOKEN": TOKEN, "SLACK_WEBHOOK_URL": "https://h.test/x"}, "#a", BotSender),
        ({"SLACK_BOT_TOKEN": TOKEN, "SLACK_WEBHOOK_URL": "https://h.test/x"}, None, WebhookSender),
        ({"SLACK_WEBHOOK_URL": "hooks.slack.com/services/hush"}, None, LogSender),
        ({"SLACK_WEBHOOK_URL": "http://hooks.slack.com/services/hush"}, None, LogSender),
        ({"SLACK_WEBHOOK_URL": "https://[hush"}, None, LogSender),
        ({"SLACK_BOT_TOKEN": "hush\nhush"}, "#a", LogSender),
        ({"SLACK_BOT_TOKEN": TOKEN, "SLACK_API_URL": "http://elsewhere.test/hush"}, "#a", LogSender),
    ],
)
def test_the_environment_chooses_the_sender(
    environ: dict[str, str], channel: str | None, kind: type, caplog: pytest.LogCaptureFixture
) -> None:
    sender = sender_from(environ, channel)
    assert type(sender) is kind
    assert "hush" not in repr(sender)


def test_without_slack_the_notice_is_in_the_log_and_says_why_once(caplog: pytest.LogCaptureFixture) -> None:
    sender = sender_from({}, "#data-quality")
    assert sender.send(MESSAGE) == Logged()
    assert sender.send(MESSAGE) == Logged()
    assert caplog.text.count("set one to be told in Slack") == 1
    assert caplog.text.count("inc_0123456789ab") == 2
