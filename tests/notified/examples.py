"""Incidents as the life cycle returns them: a plain one, and ones that mean harm."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd

AS_OF = datetime(2026, 11, 9, 12)
RUN_ID = "7a1f0f6e-3f4e-4b8e-9d52-0a6f7a3f0001"
BASE_URL = "http://127.0.0.1:3000"


@dataclass(frozen=True)
class Change:
    incident_id: str
    transition: str


def incident(incident_id: str = "inc_0123456789ab", **columns: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "incident_id": incident_id,
        "kind": "event_renamed",
        "severity": "critical",
        "status": "open",
        "source": "web_app",
        "event": "Purchase Completed",
        "renamed_to": "purchase_completed",
        "property": None,
        "identifier": None,
        "destinations": json.dumps(["ads_conversions", "attribution", "lifecycle_email"]),
        "started_on": date(2026, 10, 20),
        "ended_on": None,
        "detected_at": AS_OF,
        "resolved_at": None,
        "messages_affected": 12345,
        "title": '"Purchase Completed" became "purchase_completed" in web_app on 20 Oct',
        "explanation": (
            "Since 20 Oct web_app sends purchase_completed where it sent Purchase Completed. "
            "3 destinations wait for the old name: attribution (6,100), lifecycle_email (4,245) "
            "and ads_conversions (2,000)."
        ),
        "suggestion": (
            "Rename it back in the next release, or accept both: add `- {purchase_completed: Purchase}` "
            "to expectations/destinations/lifecycle_email.yml. Then replay 20 Oct to 8 Nov from Segment."
        ),
        "evidence": "{}",
    }
    return {**row, **columns}


EXAMPLES: dict[str, tuple[dict[str, Any], str]] = {
    "rename": (incident(), "opened"),
    "loss_got_worse": (
        incident(
            kind="delivery_loss",
            severity="error",
            source=None,
            renamed_to=None,
            destinations='["attribution"]',
            messages_affected=1,
            title="attribution loses 12% of Order Refunded",
            explanation="Of 1,000 messages a day 120 do not arrive.\nAll other events of attribution do.",
            suggestion="Ask @attribution whether a filter was added.",
        ),
        "worsened",
    ),
    "resolved": (incident(status="resolved", ended_on=date(2026, 11, 3)), "resolved"),
    "source_stopped": (
        incident(
            kind="source_stopped",
            event=None,
            renamed_to=None,
            destinations=None,
            messages_affected=None,
            title="ios_app has sent nothing since 7 Nov 03:00",
        ),
        "reopened",
    ),
    "hostile": (
        incident(
            severity="warning",
            kind="unplanned_event",
            event="<!channel> *bold* \n @here",
            renamed_to=None,
            source="web_app\u202e\u200b",
            destinations=json.dumps(["<@U012AB3CD>", "a`b", "_x_", "~gone~ "]),
            title='"<!channel> *bold* \n @here" is not in the plan & <https://evil.test|click> :tada:',
            explanation=(
                "`unbalanced @everyone\n> quoted __dunder__ ~struck~ https://evil.test www.evil.test\x1b[31m"
            ),
            suggestion="```rm -rf``` @Channel &amp; <!here>",
        ),
        "opened",
    ),
    "ten_thousand_characters": (
        incident(
            event="x" * 10_000,
            renamed_to="&" * 10_000,
            destinations=json.dumps([f"destination_{number}_" + "y" * 200 for number in range(300)]),
            title="&" * 10_000,
            explanation="`" + "<é́" * 5_000,
            suggestion="word " * 2_000,
        ),
        "opened",
    ),
    "emoji": (
        incident(
            event="🛒 Cart 👩🏽‍💻 Opened",
            renamed_to="🛒" * 100,
            title="🛒 " * 400,
            destinations='["📧"]',
            explanation="🔥" * 3_000,
        ),
        "opened",
    ),
}


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows) or [incident()])
