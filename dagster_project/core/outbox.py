"""Which notices a change makes, and what becomes of a notice after each attempt to send it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from dagster_project.core.message import (
    TRANSITIONS,
    Message,
    incident_message,
    severity_of,
    worst_first,
)

# What people were told this long ago, and is still open, is told again once a calendar week: by the first run
# of the week, which is Monday's, but not within this time after the last reminder.
REMINDED_AFTER = timedelta(days=3)

# This many notices of one run are told one by one; the rest of the run is one digest.
TOLD_ONE_BY_ONE = 5
# After the first failure, the second, ...; the last step repeats. 32 attempts are about a week.
BACKOFF = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
)
MAX_ATTEMPTS = 32
# Slack asks for seconds. A proxy may ask for anything, and an hour more of silence is our limit.
LONGEST_RETRY_AFTER = 3_600.0

# The exact value of last_error that marks a notice as logged and not sent, because nothing was configured.
NOT_CONFIGURED = "slack is not configured"
RESOLVED_MEANWHILE = "not sent: the incident was over before Slack was configured"
SUPERSEDED = "not sent: a later notice of the incident replaced it before Slack was configured"

REMINDER_PAST = "not sent: a reminder from before Slack was configured"

_ALARMS = frozenset({"opened", "worsened", "reopened"})
REMINDED = "reminded"


class TransitionLike(Protocol):
    """One change of one incident, as the life cycle reports it."""

    @property
    def incident_id(self) -> str: ...
    @property
    def transition(self) -> str: ...


@dataclass(frozen=True)
class Told:
    """The latest notice about an incident: what people believe of it."""

    transition: str
    payload: str
    created_at: datetime | None = None


@dataclass(frozen=True)
class Notice:
    """A row of the outbox as it is created. ``group_id`` joins the notices that one digest tells."""

    alert_id: str
    incident_id: str
    transition: str
    created_at: datetime
    group_id: str | None
    payload: str


@dataclass(frozen=True)
class Waiting:
    """A row of the outbox that is not sent yet and shall be."""

    alert_id: str
    incident_id: str
    transition: str
    created_at: datetime
    attempts: int
    last_error: str | None
    next_attempt_at: datetime
    group_id: str | None
    payload: str


@dataclass(frozen=True)
class Unit:
    """What one message tells: one notice, or the notices of a digest, worst first."""

    notices: tuple[Waiting, ...]

    @property
    def is_reminder(self) -> bool:
        return all(notice.transition == REMINDED for notice in self.notices)

    @property
    def attempts(self) -> int:
        return max(notice.attempts for notice in self.notices)


# --- What a sender may answer ---


@dataclass(frozen=True)
class Accepted:
    """Slack took the message. ``note`` says when it was not in its full form.

    Where it stands is known of a bot's messages only: the channel's id, its own time stamp, and that of the
    message under which it stands when it is a reply.
    """

    note: str | None = None
    channel_id: str | None = field(default=None, compare=False)
    ts: str | None = field(default=None, compare=False)
    thread_ts: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Throttled:
    """Slack asks to wait this many seconds; nothing is wrong with the message."""

    retry_after: float


@dataclass(frozen=True)
class Rejected:
    """Slack will not take it as things are. ``of_message`` tells a bad message from a bad configuration:
    the first never gets better, the second does once somebody mends it."""

    reason: str
    of_message: bool = False
    of_thread: bool = False  # only where it was to stand


@dataclass(frozen=True)
class Failed:
    """It did not work this time."""

    reason: str


@dataclass(frozen=True)
class Logged:
    """Nothing is configured; the notice went to the log."""


@dataclass(frozen=True)
class Thread:
    """Where the first message of an incident stands: later ones go under it, and it is edited."""

    channel_id: str
    ts: str


Outcome = Accepted | Throttled | Rejected | Failed | Logged


@dataclass(frozen=True)
class After:
    """The row after an attempt. Done when ``next_attempt_at`` is None."""

    sent_at: datetime | None
    attempts: int
    last_error: str | None
    next_attempt_at: datetime | None


# --- Creating notices ---


def alert_id(incident_id: str, transition: str, as_of: datetime) -> str:
    """The same change at the same as-of time is the same notice, whichever run tells it."""
    parts = "\x1f".join((incident_id, transition, as_of.isoformat()))
    return "alert_" + hashlib.sha256(parts.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def notices(
    transitions: Iterable[TransitionLike],
    incidents: Mapping[str, Mapping[str, Any]],
    told: Mapping[str, Told],
    existing: frozenset[str] | set[str],
    *,
    run_id: str,
    as_of: datetime,
    base_url: str | None = None,
    owners: Mapping[str, str] | None = None,
    ledger: Mapping[str, str] | None = None,
) -> list[Notice]:
    """The notices of a run, worst first.

    ``told`` is the latest notice of each incident, ``existing`` the ids that the outbox already holds. What
    people believe decides with the transition: an opening is not told twice, and an end only to those who
    heard of the beginning. So a run that is started again after a crash tells what is missing, and no more.
    """
    believed = dict(told)
    made: list[tuple[Message, Notice]] = []
    for change in transitions:
        incident = incidents.get(change.incident_id)
        if incident is None:
            raise ValueError(
                f"transition {change.transition!r} names incident {change.incident_id!r}, which is not among "
                "the incidents; pass the incidents that the same life cycle returned"
            )
        if change.transition not in TRANSITIONS:
            raise ValueError(
                f"incident {change.incident_id!r} has transition {change.transition!r}; "
                f"write one of {', '.join(TRANSITIONS)}"
            )
        identity = alert_id(change.incident_id, change.transition, as_of)
        message = incident_message(
            incident, change.transition, run_id=run_id, base_url=base_url, owners=owners, ledger=ledger
        )
        before = believed.get(change.incident_id)
        if identity not in existing and not _news(change.transition, severity_of(incident), message, before):
            continue
        payload = message.model_dump_json()
        believed[change.incident_id] = Told(change.transition, payload)
        if identity in existing:
            continue
        notice = Notice(identity, change.incident_id, change.transition, as_of, None, payload)
        made.append((message, notice))
    made.sort(key=lambda pair: worst_first(pair[0]))
    alarms = [notice for _, notice in made if notice.transition in _ALARMS]
    ends = [notice for _, notice in made if notice.transition not in _ALARMS]
    return _grouped(alarms) + _grouped(ends)


def _news(transition: str, severity: str, message: Message, before: Told | None) -> bool:
    believed_open = before is not None and before.transition in _ALARMS
    if transition == "resolved":
        return believed_open
    if severity == "info":
        return False
    if transition == "worsened":
        # The same words again are a run told twice, not a change.
        return before is None or not (
            before.transition == "worsened" and _same_words(message, before.payload)
        )
    if transition == "reopened":
        # Its end may have been silent, under a mute or told by another incident: the return is news all the same.
        return before is None or not (
            before.transition == "reopened" and _same_words(message, before.payload)
        )
    return not believed_open


def reminders(
    incidents: Iterable[Mapping[str, Any]],
    told: Mapping[str, Told],
    last: datetime | None,
    *,
    run_id: str,
    as_of: datetime,
    base_url: str | None = None,
    owners: Mapping[str, str] | None = None,
) -> list[Notice]:
    """The weekly reminder of what people were told and is still open; one message, so one group.

    ``last`` is when the outbox was last given one. It alone decides, so that a run which is started again, in
    the same week or after a crash, reminds nobody twice.
    """
    open_still = []
    for incident in incidents:
        identity = str(incident.get("incident_id"))
        before = told.get(identity)
        if before is None or before.created_at is None or before.transition not in _ALARMS:
            continue
        quiet = incident.get("muted_by")
        if (
            incident.get("status") == "open"
            and severity_of(incident) != "info"
            and not (isinstance(quiet, str) and quiet)
            and as_of - before.created_at >= REMINDED_AFTER
        ):
            open_still.append((identity, incident, before.created_at))
    if not open_still:
        return []
    # The first reminder is due in the week after the oldest notice.
    since = last or min(created for _, _, created in open_still)
    if as_of - since < REMINDED_AFTER or as_of.isocalendar()[:2] <= since.isocalendar()[:2]:
        return []
    made = [
        Notice(
            alert_id(identity, REMINDED, as_of),
            identity,
            REMINDED,
            as_of,
            None,
            incident_message(
                incident, REMINDED, run_id=run_id, base_url=base_url, owners=owners
            ).model_dump_json(),
        )
        for identity, incident, _ in open_still
    ]
    group = "remind" + _group_id(each.alert_id for each in made).removeprefix("digest")
    return [replace(each, group_id=group) for each in sorted(made, key=lambda each: each.alert_id)]


def _same_words(message: Message, payload: str) -> bool:
    try:
        other = Message.model_validate_json(payload)
    except ValueError:
        return False
    # The link names the run, which differs although nothing else does.
    return message.model_copy(update={"link": None}) == other.model_copy(update={"link": None})


def _grouped(made: Sequence[Notice]) -> list[Notice]:
    """The first few alone, the others under one group id. One left over needs no digest."""
    if len(made) <= TOLD_ONE_BY_ONE + 1:
        return list(made)
    alone, rest = made[:TOLD_ONE_BY_ONE], made[TOLD_ONE_BY_ONE:]
    group = _group_id(notice.alert_id for notice in rest)
    return [*alone, *(replace(notice, group_id=group) for notice in rest)]


def _group_id(alert_ids: Iterable[str]) -> str:
    return "digest_" + hashlib.sha256("\x1f".join(sorted(alert_ids)).encode()).hexdigest()[:16]


# --- Sending them ---


def due(waiting: Sequence[Waiting], now: datetime) -> list[Unit]:
    """What to send now, oldest first and the worst of one run first.

    A notice waits while an older one of its incident does: nobody hears of an end before the beginning.
    """
    ordered = sorted(waiting, key=_order)
    oldest: dict[str, datetime] = {}
    for notice in ordered:
        oldest.setdefault(notice.incident_id, notice.created_at)
    units: dict[str, list[Waiting]] = {}
    for notice in ordered:
        units.setdefault(notice.group_id or notice.alert_id, []).append(notice)
    return [
        Unit(tuple(members))
        for members in units.values()
        if all(_is_due(each, now) and oldest[each.incident_id] == each.created_at for each in members)
    ]


def after(outcome: Outcome, unit: Unit, now: datetime) -> After:
    """The state of a unit's rows after an attempt that ended at ``now``."""
    attempts = unit.attempts
    if isinstance(outcome, Accepted):
        return After(now, attempts + 1, outcome.note, None)
    if isinstance(outcome, Logged):
        # Not an attempt: nothing was tried.
        return After(None, attempts, NOT_CONFIGURED, None)
    if isinstance(outcome, Throttled):
        wait = timedelta(seconds=retry_after(outcome.retry_after))
        # Not counted: being asked to wait is no failure of this notice.
        return After(None, attempts, f"Slack asked to wait {wait.total_seconds():.0f} s", now + wait)
    attempts += 1
    if isinstance(outcome, Rejected) and outcome.of_message:
        return After(None, attempts, outcome.reason, None)
    if attempts >= MAX_ATTEMPTS:
        return After(None, attempts, f"gave up after {attempts} attempts: {outcome.reason}", None)
    # Also when the configuration is at fault: once somebody mended it, the notice shall arrive.
    return After(None, attempts, outcome.reason, now + BACKOFF[min(attempts, len(BACKOFF)) - 1])


def retry_after(seconds: float) -> float:
    """Slack's wish, within reason."""
    if not math.isfinite(seconds):
        return LONGEST_RETRY_AFTER
    return min(max(seconds, 1.0), LONGEST_RETRY_AFTER)


@dataclass(frozen=True)
class Revival:
    """What becomes of notices that were only logged, now that Slack is configured."""

    waiting: dict[str, str | None]  # alert_id -> group_id
    dropped: dict[str, str]  # alert_id -> why


def revive(logged: Sequence[Waiting], open_incidents: set[str] | frozenset[str]) -> Revival:
    """The latest notice of every incident that is still open is told; all others are history."""
    latest: dict[str, Waiting] = {}
    for notice in sorted(logged, key=_order):
        if notice.transition != REMINDED:
            latest[notice.incident_id] = notice
    dropped: dict[str, str] = {}
    kept: list[tuple[tuple[int, int, str, str], Notice]] = []
    for notice in logged:
        if notice.transition == REMINDED:
            dropped[notice.alert_id] = REMINDER_PAST
        elif notice.incident_id not in open_incidents or notice.transition not in _ALARMS:
            dropped[notice.alert_id] = RESOLVED_MEANWHILE
        elif latest[notice.incident_id] is not notice:
            dropped[notice.alert_id] = SUPERSEDED
        else:
            row = Notice(
                notice.alert_id,
                notice.incident_id,
                notice.transition,
                notice.created_at,
                None,
                notice.payload,
            )
            kept.append((_severity_order(notice), row))
    kept.sort(key=lambda pair: pair[0])
    grouped = _grouped([row for _, row in kept])
    return Revival({row.alert_id: row.group_id for row in grouped}, dropped)


def _is_due(notice: Waiting, now: datetime) -> bool:
    # A row that was never tried is due whatever its time says: the as-of time of a run need not be today.
    return notice.last_error is None or notice.next_attempt_at <= now


def _order(notice: Waiting) -> tuple[datetime, bool, tuple[int, int, str, str]]:
    return notice.created_at, notice.transition not in _ALARMS, _severity_order(notice)


def _severity_order(notice: Waiting) -> tuple[int, int, str, str]:
    try:
        rank, affected, incident = worst_first(Message.model_validate_json(notice.payload))
    except ValueError:
        rank, affected, incident = 0, 0, ""  # unreadable: met first, so that it is marked as such
    return rank, affected, incident, notice.alert_id
