"""`recon run` says on its terminal what became of its alerts, in a process of its own and with a Slack on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands.conftest import AS_OF, Desk, Ended, desk_in
from notified.conftest import WEBHOOK_PATH, Answer, FakeSlack

TIME = AS_OF.isoformat() + "Z"


@pytest.fixture(scope="module")
def refusing() -> Iterator[FakeSlack]:
    server = FakeSlack()
    server.otherwise = lambda _payload: Answer(404, "<html>not here</html>")
    yield server
    server.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, refusing: FakeSlack) -> Desk:
    desk = desk_in(tmp_path_factory.mktemp("alerts") / "desk", renamed=True)
    return desk.with_environment(SLACK_WEBHOOK_URL=refusing.webhook_url, NO_PROXY="127.0.0.1")


@pytest.fixture(scope="module")
def refused(desk: Desk) -> Ended:
    return desk.recon("run", "--as-of", TIME)


def alerts_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if "alert" in line]


def test_a_webhook_that_refuses_is_told_in_a_line_without_its_secret(refused: Ended, desk: Desk) -> None:
    assert refused.code == 1, refused.err
    (line,) = alerts_in(refused.err)
    assert line.startswith(
        "1 alert could not be sent to Slack: Slack answered 404; check SLACK_WEBHOOK_URL or "
    )
    assert "; it is kept and tried again by the next run after " in line
    log = (desk.folder / "state" / "recon.log").read_text("utf-8")
    assert WEBHOOK_PATH not in refused.out + refused.err + log


def test_without_slack_the_next_run_says_that_it_waits(refused: Ended, desk: Desk) -> None:
    done = desk.with_environment(SLACK_WEBHOOK_URL="").recon("run", "--as-of", TIME, "--format", "json")
    assert (done.code, done.json["exit_code"]) == (1, 1)
    problem = (
        "Slack is not configured: neither SLACK_WEBHOOK_URL nor SLACK_BOT_TOKEN is set; "
        "set one to be told in Slack"
    )
    assert done.json["alerts"] == {"sent": 0, "waiting": 1, "given_up": 0, "problem": problem}
    assert alerts_in(done.err) == [f"1 alert waits, for {problem}"]


def test_a_message_that_is_refused_for_good_is_told_once(
    desk: Desk, refusing: FakeSlack, refused: Ended
) -> None:
    """As if nobody had tried it yet: then this run is the one that gives it up."""
    desk.shop.warehouse.execute(
        "update reconciliation.alerts set last_error = null, next_attempt_at = created_at where sent_at is null"
    )
    refusing.queue = [Answer(400, "invalid_payload")] * 2  # with blocks, and without
    done = desk.recon("run", "--as-of", TIME, "--format", "json")
    assert done.code == 1
    told = done.json["alerts"]
    assert (told["sent"], told["waiting"], told["given_up"]) == (0, 0, 1)
    assert "Slack answered 400 invalid_payload" in told["problem"]
    again = desk.recon("run", "--as-of", TIME, "--format", "json")
    assert again.json["alerts"] == {"sent": 0, "waiting": 0, "given_up": 0, "problem": None}
    assert alerts_in(again.err) == []


def test_what_is_sent_is_counted(desk: Desk, refusing: FakeSlack, refused: Ended) -> None:
    desk.shop.warehouse.execute(
        "update reconciliation.alerts set last_error = null, next_attempt_at = created_at where sent_at is null"
    )
    refusing.queue = [Answer()]
    done = desk.recon("run", "--as-of", TIME)
    assert done.code == 1
    assert alerts_in(done.err) == ["1 alert sent to Slack"]
