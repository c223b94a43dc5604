"""Notified: changes become rows of the outbox exactly once, and rows become messages in Slack."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import pandas as pd

from dagster_project.core.message import Message, current, digest, plain, reminder, run_failed, worst_first
from dagster_project.core.outbox import (
    BACKOFF,
    NOT_CONFIGURED,
    REMINDED,
    REMINDER_PAST,
    RESOLVED_MEANWHILE,
    SUPERSEDED,
    Accepted,
    After,
    Failed,
    Notice,
    Outcome,
    Rejected,
    Thread,
    Throttled,
    Told,
    TransitionLike,
    Unit,
    Waiting,
    after,
    due,
    notices,
    reminders,
    retry_after,
    revive,
)
from dagster_project.resources.slack import SlackSender, ThreadSender

logger = logging.getLogger(__name__)

ALERTS = "reconciliation.alerts"
INCIDENTS = "reconciliation.incidents"

COLUMNS: dict[str, str] = {
    "alert_id": "varchar",
    "incident_id": "varchar",
    "transition": "varchar",
    "created_at": "timestamp",
    "sent_at": "timestamp",
    "attempts": "bigint",
    "last_error": "varchar",
    # Internal: the message as it was worded then, who tells it together with which others, and when next.
    "payload": "varchar",
    "next_attempt_at": "timestamp",
    "group_id": "varchar",
    "run_id": "varchar",
    "claimed_by": "varchar",
    "claimed_until": "timestamp",
    # Where the first message of the incident stands: the channel as the contract names it, its id, and the
    # message's time stamp. A notice of its own has its own, a reply that of the message it stands under.
    "channel": "varchar",
    "channel_id": "varchar",
    "thread_ts": "varchar",
    "root_edit": "varchar",  # `due` until that first message says what this notice says; then `done`, or why not
}

_OPEN = f"select incident_id from {INCIDENTS} where status = 'open'"

# After this many failures in a row Slack is taken to be away; what is left stays due for the next time.
STOP_AFTER_FAILURES = 3
# Longer than any request takes; the waiting that Slack may ask for comes on top. A deliverer that died
# holds its one notice this long.
CLAIM = timedelta(minutes=3)
# DuckDB lets one process write at a time. After acceptance, waiting a little beats telling twice.
_MARK_TRIES = 20
_MARK_PAUSE = 0.5
# Edits of first messages: at most this many a delivery, and tried for this long.
_EDITS = 20
_EDIT_FOR = timedelta(days=1)
_DUE, _DONE = "due", "done"
_RUN_FAILED_PAUSES = (2.0, 5.0)


class Session(Protocol):
    """The part of an open transaction that the outbox uses."""

    def frame(self, sql: str, **params: Any) -> pd.DataFrame: ...
    def execute(self, sql: str, **params: Any) -> None: ...
    def ensure(self, table: str, columns: Mapping[str, str]) -> None: ...


class Warehouse(Session, Protocol):
    """The part of the warehouse that the outbox uses."""

    def transaction(self) -> AbstractContextManager[Session]: ...


@dataclass(frozen=True)
class DeliveryReport:
    """What a delivery did, in notices: a digest of nine counts nine."""

    sent: int = 0
    waiting: int = 0  # to be tried again
    failed: int = 0  # given up now
    logged: int = 0  # written to the log, because nothing is configured
    problem: str | None = None  # the last thing that went wrong, with its next step

    def __str__(self) -> str:
        said = f"{self.sent} sent, {self.waiting} waiting, {self.failed} failed, {self.logged} only logged"
        return f"{said} ({self.problem})" if self.problem else said


@dataclass(frozen=True)
class OutboxState:
    """How the outbox stands, in notices, with the reasons as they were stored."""

    sent: int = 0  # since the moment that was asked about
    waiting: int = 0  # to be sent, at whatever time, or once Slack is configured
    reason: str | None = None  # why the oldest of them that was tried was not sent
    next_attempt_at: datetime | None = None  # before it none of them is tried again; null: at any time
    given_up_reason: str | None = None  # of the newest notice that nobody will try again


def outbox_state(warehouse: Warehouse, since: datetime) -> OutboxState:
    """How the outbox stands now, and what was sent since a moment (naive UTC, by the clock and not by the as-of time).

    Of what was only logged it counts what would be told if Slack were configured now: the news that is still news.
    """
    waiting = sorted(_waiting(warehouse), key=lambda each: each.created_at)
    logged = _rows(_logged(warehouse))
    later = 0
    if logged:
        still_open = warehouse.frame(_OPEN)
        later = len(revive(logged, set(still_open["incident_id"])).waiting)
    sent = warehouse.frame(f"select count(*) as n from {ALERTS} where sent_at >= :since", since=since)
    given_up = warehouse.frame(
        f"select last_error from {ALERTS} where sent_at is null and next_attempt_at is null"
        " and last_error not in :told order by created_at desc, alert_id limit 1",
        told=[NOT_CONFIGURED, RESOLVED_MEANWHILE, SUPERSEDED, REMINDER_PAST],
    )
    tried = [each for each in waiting if each.last_error is not None]
    return OutboxState(
        sent=int(sent["n"].iloc[0]),
        waiting=len(waiting) + later,
        reason=tried[0].last_error if tried else None,
        # What was never tried is due at any time.
        next_attempt_at=min(each.next_attempt_at for each in tried)
        if tried and len(tried) == len(waiting)
        else None,
        given_up_reason=str(given_up["last_error"].iloc[0]) if len(given_up) else None,
    )


def write_outbox(
    warehouse: Warehouse | Session,
    transitions: Iterable[TransitionLike],
    incidents: pd.DataFrame,
    run_id: str,
    as_of: datetime,
    *,
    base_url: str | None = None,
    owners: Mapping[str, str] | None = None,
    ledger: Mapping[str, str] | None = None,
) -> int:
    """Insert the notices of a run, and once a week a reminder; returns how many are new.

    ``incidents`` are all of the life cycle's. ``ledger`` says for each destination in one line how its gap
    adds up.

    Pass the session of the transaction that writes the incidents: then a change and its notice are both kept
    or both lost. With a warehouse the notices are a transaction of their own. Either way doing it again adds
    nothing: the id of a notice is made of incident, transition and as-of time.
    """
    if hasattr(warehouse, "transaction"):
        with warehouse.transaction() as session:
            return write_outbox(
                session,
                transitions,
                incidents,
                run_id,
                as_of,
                base_url=base_url,
                owners=owners,
                ledger=ledger,
            )
    return _write(warehouse, list(transitions), incidents, run_id, as_of, base_url, owners, ledger)


def deliver(
    warehouse: Warehouse,
    sender: SlackSender,
    now: datetime,
    max_wait_s: float = 20.0,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> DeliveryReport:
    """Send what is due, oldest first. ``now`` is naive UTC; ``max_wait_s`` bounds the waiting Slack asks for.

    Each message is claimed, sent and marked before the next, and no connection is open while Slack is asked.
    A notice is told once, but for one window: when the process dies after Slack accepted and before the row
    is marked (or Slack's answer is lost on the way), the notice is told again after the claim has ended.
    Slack offers no key that would close it.
    """
    started = monotonic()

    def clock() -> datetime:
        return now + timedelta(seconds=monotonic() - started)

    warehouse.ensure(ALERTS, COLUMNS)
    if sender.configured:
        _revive(warehouse)
    sent = failed = logged = failures = 0
    waited = 0.0
    problem: str | None = None
    for unit in due(_waiting(warehouse), now):
        token = _claim(warehouse, unit, clock(), CLAIM + timedelta(seconds=max_wait_s))
        if token is None:
            continue
        message = _message(unit)
        outcome: Outcome
        if message is None:
            outcome = Rejected("the stored payload cannot be read; the notice is lost", of_message=True)
        else:
            thread = _thread(warehouse, sender, unit)
            outcome = _send(sender, message, thread)
            # One row at a time is asked to wait, for as long as we may; then it is tried again.
            while isinstance(outcome, Throttled) and waited + retry_after(outcome.retry_after) <= max_wait_s:
                pause = retry_after(outcome.retry_after)
                waited += pause
                sleep(pause)
                outcome = _send(sender, message, thread)
        state = after(outcome, unit, clock())
        _mark(warehouse, token, state, _place(sender, unit, outcome), sleep)
        size = len(unit.notices)
        if isinstance(outcome, Accepted):
            sent += size
            failures = 0
            continue
        if not sender.configured:
            logged += size
            continue
        problem = state.last_error
        if state.next_attempt_at is None:
            failed += size
            logger.error("a notice was given up: %s", problem)
        if isinstance(outcome, Throttled) or (isinstance(outcome, Rejected) and not outcome.of_message):
            # Slack's wish, and a fault of the configuration, are about the channel and not about one notice.
            _hold(warehouse, state, clock())
            break
        failures += isinstance(outcome, Failed)
        if failures >= STOP_AFTER_FAILURES:
            break
    else:
        if isinstance(sender, ThreadSender):
            _edit_first_messages(warehouse, sender, clock())
    waiting = len(_waiting(warehouse))
    report = DeliveryReport(sent, waiting, failed, logged, problem)
    if problem:
        logger.warning("slack: %s", report)
    return report


def tell_run_failed(
    sender: SlackSender,
    run_id: str,
    stage: str | None,
    error: str,
    *,
    base_url: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Tell that a run broke, past the outbox: the warehouse may be what broke.

    Tried a few times, and written to the log when Slack does not take it.
    """
    message = run_failed(run_id, stage, error, base_url=base_url)
    outcome = _send(sender, message)
    for pause in _RUN_FAILED_PAUSES:
        if not isinstance(outcome, Throttled | Failed):
            break
        sleep(min(retry_after(outcome.retry_after), 10.0) if isinstance(outcome, Throttled) else pause)
        outcome = _send(sender, message)
    if isinstance(outcome, Throttled | Failed | Rejected):
        why = "it asks to wait" if isinstance(outcome, Throttled) else outcome.reason
        logger.error("%s\n(not told in Slack: %s)", plain(message), why)
    return outcome


def _write(
    session: Session,
    transitions: Sequence[TransitionLike],
    incidents: pd.DataFrame,
    run_id: str,
    as_of: datetime,
    base_url: str | None,
    owners: Mapping[str, str] | None,
    ledger: Mapping[str, str] | None,
) -> int:
    session.ensure(ALERTS, COLUMNS)
    changed = {change.incident_id for change in transitions}
    alive = incidents["incident_id"].isin(changed) | (incidents["status"] == "open")
    rows = _by_id(incidents[alive])
    if not rows:
        return 0
    earlier = session.frame(
        f"select alert_id, incident_id, transition, payload, created_at from {ALERTS}"
        " where incident_id in :ids order by created_at, alert_id",
        ids=sorted(rows),
    )
    # A reminder changes nothing of what people believe.
    told = {
        str(row.incident_id): Told(str(row.transition), str(row.payload), _moment(row.created_at))
        for row in earlier[earlier["transition"].ne(REMINDED)].itertuples(index=False)
    }
    made = notices(
        transitions,
        rows,
        told,
        set(earlier["alert_id"]),
        run_id=run_id,
        as_of=as_of,
        base_url=base_url,
        owners=owners,
        ledger=ledger,
    )
    last = session.frame(f"select max(created_at) as at from {ALERTS} where transition = :t", t=REMINDED)
    made += reminders(
        [row for identity, row in rows.items() if identity not in changed],
        told,
        _moment(last["at"].max()),
        run_id=run_id,
        as_of=as_of,
        base_url=base_url,
        owners=owners,
    )
    for notice in made:
        _insert(session, notice, run_id)
    return len(made)


def _by_id(incidents: pd.DataFrame) -> dict[str, dict[str, Any]]:
    rows = [{str(key): value for key, value in row.items()} for row in incidents.to_dict("records")]
    return {str(row["incident_id"]): row for row in rows}


def _insert(session: Session, notice: Notice, run_id: str) -> None:
    # One statement decides and inserts, so that even two runs at once leave one row.
    session.execute(
        f"""
        insert into {ALERTS}
            (alert_id, incident_id, transition, created_at, attempts, payload, next_attempt_at,
             group_id, run_id)
        select
            :alert_id, :incident_id, :transition, cast(:created_at as timestamp), 0, :payload,
            cast(:created_at as timestamp), cast(:group_id as varchar), :run_id
        where not exists (select 1 from {ALERTS} where alert_id = :alert_id)
        """,
        alert_id=notice.alert_id,
        incident_id=notice.incident_id,
        transition=notice.transition,
        created_at=notice.created_at,
        payload=notice.payload,
        group_id=notice.group_id,
        run_id=run_id,
    )


def _waiting(warehouse: Warehouse) -> list[Waiting]:
    """The rows that are to be sent, at whatever time."""
    frame = warehouse.frame(f"select * from {ALERTS} where sent_at is null and next_attempt_at is not null")
    return _rows(frame)


def _logged(session: Session) -> pd.DataFrame:
    return session.frame(
        f"select * from {ALERTS} where sent_at is null and next_attempt_at is null and last_error = :why",
        why=NOT_CONFIGURED,
    )


def _revive(warehouse: Warehouse) -> None:
    """Take up what was only logged while nothing was configured: the news that is still news."""
    with warehouse.transaction() as session:
        logged = _rows(_logged(session))
        if not logged:
            return
        still_open = session.frame(_OPEN)
        decided = revive(logged, set(still_open["incident_id"]))
        for alert, group in decided.waiting.items():
            session.execute(
                f"update {ALERTS} set next_attempt_at = created_at, last_error = null,"
                " group_id = cast(:g as varchar) where alert_id = :alert",
                g=group,
                alert=alert,
            )
        for alert, why in decided.dropped.items():
            session.execute(
                f"update {ALERTS} set last_error = :why where alert_id = :alert", why=why, alert=alert
            )


def _claim(warehouse: Warehouse, unit: Unit, now: datetime, length: timedelta) -> str | None:
    """Mark the unit's rows as being sent by us; None when another deliverer was faster."""
    token = uuid.uuid4().hex
    ids = [notice.alert_id for notice in unit.notices]
    with warehouse.transaction() as session:
        session.execute(
            f"update {ALERTS} set claimed_by = :token, claimed_until = :until"
            " where alert_id in :ids and sent_at is null and next_attempt_at is not null"
            " and (claimed_until is null or claimed_until <= :now)"
            # Another deliverer may have tried it, and put it off, since we looked.
            " and (last_error is null or next_attempt_at <= :now)",
            token=token,
            until=now + length,
            ids=ids,
            now=now,
        )
        ours = session.frame(f"select count(*) as n from {ALERTS} where claimed_by = :token", token=token)
    return token if int(ours["n"].iloc[0]) == len(ids) else None


def _thread(warehouse: Warehouse, sender: SlackSender, unit: Unit) -> Thread | None:
    """Where the first message of the unit's incident stands; a digest is nobody's thread."""
    if len(unit.notices) > 1 or unit.is_reminder or not isinstance(sender, ThreadSender):
        return None
    return _threads(warehouse, sender, [unit.notices[0].incident_id]).get(unit.notices[0].incident_id)


def _threads(warehouse: Warehouse, sender: ThreadSender, incidents: Sequence[str]) -> dict[str, Thread]:
    """The newest thread of each incident in the channel that the contract names now."""
    if not incidents:
        return {}
    rows = warehouse.frame(
        f"select incident_id, channel_id, thread_ts from {ALERTS} where incident_id in :ids"
        " and thread_ts is not null and channel_id is not null and channel = :channel"
        " order by created_at, sent_at, alert_id",
        ids=sorted(incidents),
        channel=sender.channel,
    )
    return {
        str(row.incident_id): Thread(str(row.channel_id), str(row.thread_ts))
        for row in rows.itertuples(index=False)
    }


def _place(sender: SlackSender, unit: Unit, outcome: Outcome) -> dict[str, str | None]:
    """What is kept of where a message stands, and whether the first message of its thread is to be edited."""
    place: dict[str, str | None] = dict.fromkeys(("channel", "channel_id", "thread_ts", "root_edit"))
    if not isinstance(outcome, Accepted) or not isinstance(sender, ThreadSender) or unit.is_reminder:
        return place
    if len(unit.notices) > 1:
        # Their first messages may stand elsewhere; those that have none are passed over.
        return place | {"root_edit": _DUE}
    if outcome.channel_id is None or outcome.ts is None:
        return place
    reply = outcome.thread_ts is not None
    return {
        "channel": sender.channel,
        "channel_id": outcome.channel_id,
        "thread_ts": outcome.thread_ts or outcome.ts,
        "root_edit": _DUE if reply else None,
    }


def _edit_first_messages(warehouse: Warehouse, sender: ThreadSender, now: datetime) -> None:
    """Make the first message of a thread say how things stand, wherever a later notice said more.

    An edit may be done twice without harm: so it is tried again until it is known to have worked, for a day.
    """
    due_rows = warehouse.frame(
        f"select alert_id, incident_id, sent_at from {ALERTS}"
        " where root_edit = :due order by sent_at, created_at, alert_id",
        due=_DUE,
    )
    if due_rows.empty:
        return
    some = list(dict.fromkeys(str(each) for each in due_rows["incident_id"]))[:_EDITS]
    threads = _threads(warehouse, sender, some)
    said = warehouse.frame(
        f"select incident_id, transition, payload from {ALERTS} where incident_id in :ids"
        " and sent_at is not null and transition <> :reminded order by created_at, sent_at, alert_id",
        ids=sorted(some),
        reminded=REMINDED,
    )
    for incident in some:
        rows = due_rows[due_rows["incident_id"] == incident]
        message = _standing(said[said["incident_id"] == incident])
        if incident in threads and message is not None:
            outcome = _try(partial(sender.edit, message, threads[incident]))
            if isinstance(outcome, Throttled):
                return
            if isinstance(outcome, Failed) and now - _oldest(rows) < _EDIT_FOR:
                continue
            result = _DONE if isinstance(outcome, Accepted) else _reason(outcome)
        else:
            result = _DONE  # it was told in a digest, so there is no first message of its own
        warehouse.execute(
            f"update {ALERTS} set root_edit = :result where alert_id in :ids and root_edit = :due",
            result=result,
            ids=[str(each) for each in rows["alert_id"]],
            due=_DUE,
        )


def _standing(said: pd.DataFrame) -> Message | None:
    """How an incident stands by its notices, oldest first."""
    latest = story = None
    for row in said.itertuples(index=False):
        try:
            latest = Message.model_validate_json(str(row.payload))
        except ValueError:
            continue
        story = latest if latest.transition != "resolved" or story is None else story
    return None if latest is None or story is None else current(latest, story)


def _oldest(rows: pd.DataFrame) -> datetime:
    return _moment(rows["sent_at"].min()) or datetime.min


def _reason(outcome: Outcome) -> str:
    return f"gave up: {getattr(outcome, 'reason', 'not edited')}"


def _mark(
    warehouse: Warehouse,
    token: str,
    state: After,
    place: Mapping[str, str | None],
    sleep: Callable[[float], None],
) -> None:
    for left in reversed(range(_MARK_TRIES)):
        try:
            warehouse.execute(
                f"update {ALERTS} set sent_at = cast(:sent_at as timestamp), attempts = :attempts,"
                " last_error = cast(:last_error as varchar), next_attempt_at = cast(:next_at as timestamp),"
                " channel = cast(:channel as varchar), channel_id = cast(:channel_id as varchar),"
                " thread_ts = cast(:thread_ts as varchar), root_edit = cast(:root_edit as varchar),"
                " claimed_by = null, claimed_until = null where claimed_by = :token",
                **place,
                sent_at=state.sent_at,
                attempts=state.attempts,
                last_error=state.last_error,
                next_at=state.next_attempt_at,
                token=token,
            )
            return
        except Exception:
            if not left:
                raise
            sleep(_MARK_PAUSE)


def _hold(warehouse: Warehouse, state: After, now: datetime) -> None:
    warehouse.execute(
        f"update {ALERTS} set next_attempt_at = :until, last_error = coalesce(last_error, :why)"
        " where sent_at is null and next_attempt_at < :until",
        until=state.next_attempt_at or now + BACKOFF[-1],
        why=state.last_error,
    )


def _send(sender: SlackSender, message: Message, thread: Thread | None = None) -> Outcome:
    if thread is None or not isinstance(sender, ThreadSender):
        return _try(lambda: sender.send(message))
    # The channel hears of what is worse or back; an end is told to those who follow the thread.
    return _try(lambda: sender.reply(message, thread, broadcast=message.transition != "resolved"))


def _try(asked: Callable[[], Outcome]) -> Outcome:
    try:
        return asked()
    except Exception as problem:
        # A sender that breaks must not keep the other notices back; its text may hold a secret.
        logger.error("the Slack sender broke: %s", type(problem).__name__)
        return Failed(f"the Slack sender broke ({type(problem).__name__})")


def _message(unit: Unit) -> Message | None:
    """The unit's message; rows that cannot be read are left out of a digest, None when none can."""
    messages = []
    for notice in unit.notices:
        try:
            messages.append(Message.model_validate_json(notice.payload))
        except ValueError:
            logger.error("alert %s holds a payload that cannot be read", notice.alert_id)
    if not messages:
        return None
    if unit.is_reminder:
        return reminder(messages)
    return messages[0] if len(messages) == 1 else digest(sorted(messages, key=worst_first))


def _rows(frame: pd.DataFrame) -> list[Waiting]:
    return [
        Waiting(
            alert_id=str(row["alert_id"]),
            incident_id=str(row["incident_id"]),
            transition=str(row["transition"]),
            created_at=_moment(row["created_at"]) or datetime.min,
            attempts=0 if pd.isna(row["attempts"]) else int(row["attempts"]),
            last_error=None if pd.isna(row["last_error"]) else str(row["last_error"]),
            next_attempt_at=_moment(row["next_attempt_at"]) or datetime.min,
            group_id=None if pd.isna(row["group_id"]) else str(row["group_id"]),
            payload="" if pd.isna(row["payload"]) else str(row["payload"]),
        )
        for row in frame.to_dict("records")
    ]


def _moment(value: Any) -> datetime | None:
    return None if pd.isna(value) else pd.Timestamp(value).to_pydatetime()
