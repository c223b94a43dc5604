"""What a run says of its alerts: how many Slack took, how many wait and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta

from dagster_project.core.message import visible
from dagster_project.flow.notified import ALERTS, OutboxState, outbox_state
from dagster_project.resources.slack import LogSender, WebhookSender, sender_from
from dagster_project.session import warehouse_of
from dagster_project.settings import Settings


@dataclass(frozen=True)
class Alerts:
    """How the alerts stand after a run. No text of it holds a secret, for none that is stored does."""

    sent: int = 0
    waiting: int = 0
    given_up: int = 0
    problem: str | None = None  # why some wait or were given up, with the next step
    said: str | None = None  # all of it in one line; null when there was nothing to send

    def as_json(self) -> dict[str, int | str | None]:
        return {
            "sent": self.sent,
            "waiting": self.waiting,
            "given_up": self.given_up,
            "problem": self.problem,
        }


def alerts_of(settings: Settings, channel: str | None, since: datetime, given_up: int) -> Alerts:
    """How the alerts stand after a run that began at `since` and gave up so many of them."""
    warehouse = warehouse_of(settings)
    if not warehouse.exists(ALERTS):
        return Alerts()
    state = outbox_state(warehouse, since)
    parts = [f"{_alerts(state.sent)} sent to Slack"] if state.sent else []
    problem = None
    if given_up:
        problem = visible(state.given_up_reason or "Slack refuses them")
        were, theirs = ("was", "its incident is") if given_up == 1 else ("were", "their incidents are")
        parts.append(f"{_alerts(given_up)} {were} given up: {problem}; {theirs} in `recon incidents`")
    if state.waiting:
        problem, words = _waiting(state, channel)
        parts.append(words)
    return Alerts(state.sent, state.waiting, given_up, problem, "; ".join(parts) or None)


def _waiting(state: OutboxState, channel: str | None) -> tuple[str, str]:
    """Why alerts wait, with the next step; and the same in the words of a terminal."""
    sender = sender_from(os.environ, channel)
    wait = f"{_alerts(state.waiting)} {'waits' if state.waiting == 1 else 'wait'}"
    if isinstance(sender, LogSender):
        problem = f"Slack is not configured: {visible(sender.reason)}"
        return problem, f"{wait}, for {problem}"
    them = "it is" if state.waiting == 1 else "they are"
    if state.reason is None:
        problem = "the run ended before it told anybody"
        return problem, f"{wait}, for {problem}; {them} {_when('sent', state.next_attempt_at)}"
    problem = visible(state.reason)
    if ";" not in problem:  # a failure that may pass by itself, with no next step of its own
        setting = " and SLACK_WEBHOOK_URL" if isinstance(sender, WebhookSender) else ""
        problem += f"; if that lasts, check the network{setting}"
    could_not = f"{_alerts(state.waiting)} could not be sent to Slack"
    return problem, f"{could_not}: {problem}; {them} kept and {_when('tried again', state.next_attempt_at)}"


def _when(what: str, earliest: datetime | None) -> str:
    # Up to the next minute, so that whoever keeps to it does not come seconds too early.
    run = "the next run"
    if earliest is not None:
        run += f" after {earliest + timedelta(minutes=1):%Y-%m-%d %H:%M} UTC"
    return f"{what} by {run}, or by Dagster where its daemon is at work"


def _alerts(number: int) -> str:
    return f"{number:,} alert{'' if number == 1 else 's'}"
