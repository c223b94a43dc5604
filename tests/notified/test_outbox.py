"""Which notices a change makes, and what becomes of them: the pure rules."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from notified.examples import AS_OF, RUN_ID, Change, incident

from dagster_project.core.message import incident_message
from dagster_project.core.outbox import (
    BACKOFF,
    MAX_ATTEMPTS,
    NOT_CONFIGURED,
    REMINDER_PAST,
    RESOLVED_MEANWHILE,
    SUPERSEDED,
    TOLD_ONE_BY_ONE,
    Accepted,
    Failed,
    Logged,
    Notice,
    Outcome,
    Rejected,
    Throttled,
    Told,
    Unit,
    Waiting,
    after,
    alert_id,
    due,
    notices,
    reminders,
    revive,
)

LATER = AS_OF + timedelta(days=1)


def _make(
    changes: list[Change],
    rows: list[dict[str, Any]],
    told: dict[str, str] | None = None,
    existing: set[str] | None = None,
    as_of: datetime = AS_OF,
) -> list[Notice]:
    payloads = {
        identity: Told(transition, incident_message(incident(identity), transition).model_dump_json())
        for identity, transition in (told or {}).items()
    }
    by_id = {row["incident_id"]: row for row in rows}
    return notices(changes, by_id, payloads, existing or set(), run_id=RUN_ID, as_of=as_of)


def _opened(count: int, **columns: Any) -> tuple[list[Change], list[dict[str, Any]]]:
    ids = [f"inc_{number:03}" for number in range(count)]
    return [Change(each, "opened") for each in ids], [incident(each, **columns) for each in ids]


@pytest.mark.parametrize(
    ("severity", "told"), [("critical", 1), ("error", 1), ("warning", 1), ("info", 0), ("unheard of", 1)]
)
def test_warning_and_above_is_told(severity: str, told: int) -> None:
    assert len(_make(*_opened(1, severity=severity))) == told


@pytest.mark.parametrize(
    ("believed", "transition", "told"),
    [
        (None, "opened", True),
        ("opened", "opened", False),
        ("worsened", "opened", False),
        ("reopened", "opened", False),
        ("resolved", "opened", True),
        (None, "worsened", True),
        ("opened", "worsened", True),
        ("worsened", "worsened", False),
        (None, "resolved", False),
        ("opened", "resolved", True),
        ("worsened", "resolved", True),
        ("reopened", "resolved", True),
        ("resolved", "resolved", False),
        (None, "reopened", True),
        ("resolved", "reopened", True),
        ("opened", "reopened", True),  # its end was silent: muted, or told by another incident
        ("reopened", "reopened", False),
    ],
)
def test_what_people_believe_decides_whether_a_change_is_news(
    believed: str | None, transition: str, told: bool
) -> None:
    made = _make([Change("inc_a", transition)], [incident("inc_a")], {"inc_a": believed} if believed else {})
    assert bool(made) is told


def test_worse_again_in_other_words_is_news() -> None:
    worse = incident("inc_a", messages_affected=99_999)
    assert len(_make([Change("inc_a", "worsened")], [worse], {"inc_a": "worsened"})) == 1


def test_the_end_is_told_to_those_who_heard_of_the_beginning_even_at_info() -> None:
    faded = incident("inc_a", severity="info", status="resolved")
    assert len(_make([Change("inc_a", "resolved")], [faded], {"inc_a": "opened"})) == 1


def test_the_same_change_at_the_same_time_is_the_same_notice_in_any_run() -> None:
    changes, rows = _opened(1)
    first = _make(changes, rows)
    assert _make(changes, rows, existing={first[0].alert_id}) == []
    assert alert_id("inc_a", "opened", AS_OF) == alert_id("inc_a", "opened", AS_OF)
    assert alert_id("inc_a", "opened", AS_OF) != alert_id("inc_a", "opened", LATER)
    assert alert_id("inc_a", "opened", AS_OF) != alert_id("inc_a", "resolved", AS_OF)


def test_a_transition_without_its_incident_names_the_fault() -> None:
    with pytest.raises(ValueError, match=r"inc_gone.*not among the incidents"):
        _make([Change("inc_gone", "opened")], [])
    with pytest.raises(ValueError, match="write one of opened, worsened, reopened, resolved"):
        _make([Change("inc_a", "exploded")], [incident("inc_a")])


def test_a_few_notices_are_told_one_by_one() -> None:
    for count in range(1, TOLD_ONE_BY_ONE + 2):
        assert [notice.group_id for notice in _make(*_opened(count))] == [None] * count


def test_beyond_a_few_the_worst_are_told_alone_and_the_rest_in_one_digest() -> None:
    changes, rows = _opened(12, severity="warning")
    for number in (3, 7):
        rows[number]["severity"] = "critical"
    rows[9]["messages_affected"] = 10**9
    made = _make(changes, rows)
    assert [notice.incident_id for notice in made][:3] == ["inc_003", "inc_007", "inc_009"]
    assert [notice.group_id for notice in made[:TOLD_ONE_BY_ONE]] == [None] * TOLD_ONE_BY_ONE
    assert len({notice.group_id for notice in made[TOLD_ONE_BY_ONE:]}) == 1
    assert None not in {notice.group_id for notice in made[TOLD_ONE_BY_ONE:]}
    assert len({notice.alert_id for notice in made}) == 12


def test_ends_are_not_mixed_into_a_digest_of_new_incidents() -> None:
    changes, rows = _opened(16)
    ended = [Change(change.incident_id, "resolved") for change in changes[8:]]
    told = {change.incident_id: "opened" for change in ended}
    made = _make(changes[:8] + ended, rows, told)
    groups: dict[str, set[str]] = {}
    for notice in made:
        if notice.group_id:
            groups.setdefault(notice.group_id, set()).add(notice.transition)
    assert sorted(map(sorted, groups.values())) == [["opened"], ["resolved"]]


def _waiting(identity: str = "alert_a", **columns: Any) -> Waiting:
    row: dict[str, Any] = {
        "alert_id": identity,
        "incident_id": f"inc_of_{identity}",
        "transition": "opened",
        "created_at": AS_OF,
        "attempts": 0,
        "last_error": None,
        "next_attempt_at": AS_OF,
        "group_id": None,
        "payload": incident_message(incident(), "opened").model_dump_json(),
    }
    return Waiting(**{**row, **columns})


@pytest.mark.parametrize(
    ("outcome", "attempts", "sent", "next_in"),
    [
        (Accepted(), 1, True, None),
        (Logged(), 0, False, None),
        (Throttled(30), 0, False, timedelta(seconds=30)),
        (Throttled(0), 0, False, timedelta(seconds=1)),
        (Throttled(1e12), 0, False, timedelta(hours=1)),
        (Throttled(float("nan")), 0, False, timedelta(hours=1)),
        (Failed("away"), 1, False, BACKOFF[0]),
        (Rejected("invalid_auth; set it"), 1, False, BACKOFF[0]),
        (Rejected("invalid_blocks", of_message=True), 1, False, None),
    ],
)
def test_the_state_after_each_outcome(
    outcome: Outcome, attempts: int, sent: bool, next_in: timedelta | None
) -> None:
    state = after(outcome, Unit((_waiting(),)), LATER)
    assert state.attempts == attempts
    assert state.sent_at == (LATER if sent else None)
    assert state.next_attempt_at == (LATER + next_in if next_in else None)
    assert (state.last_error is None) is sent


def test_waits_grow_and_then_the_notice_is_given_up() -> None:
    waits = []
    for attempts in range(MAX_ATTEMPTS):
        state = after(Failed("away"), Unit((_waiting(attempts=attempts),)), LATER)
        waits.append(state.next_attempt_at and state.next_attempt_at - LATER)
    assert waits[:6] == [*BACKOFF, BACKOFF[-1]]
    assert waits[-1] is None
    assert timedelta(days=6) < sum(filter(None, waits), timedelta()) < timedelta(days=8)
    assert state.last_error == f"gave up after {MAX_ATTEMPTS} attempts: away"


def _ids(units: list[Unit]) -> list[list[str]]:
    return [[notice.alert_id for notice in unit.notices] for unit in units]


def test_the_oldest_goes_first_and_of_one_run_the_worst() -> None:
    mild = incident_message(incident(severity="warning"), "opened").model_dump_json()
    rows = [
        _waiting("new", created_at=LATER),
        _waiting("mild", payload=mild),
        _waiting("end", transition="resolved"),
        _waiting("bad"),
    ]
    assert _ids(due(rows, LATER)) == [["bad"], ["mild"], ["end"], ["new"]]


def test_what_failed_waits_for_its_time_and_what_was_never_tried_does_not() -> None:
    rows = [
        _waiting("failed", last_error="away", next_attempt_at=LATER + timedelta(seconds=1)),
        _waiting("never_tried", next_attempt_at=LATER + timedelta(days=400)),
    ]
    assert _ids(due(rows, LATER)) == [["never_tried"]]
    assert len(due(rows, LATER + timedelta(seconds=1))) == 2


def test_nobody_hears_of_an_end_before_the_beginning() -> None:
    rows = [
        _waiting("begin", incident_id="inc", last_error="away", next_attempt_at=LATER + timedelta(hours=1)),
        _waiting("end", incident_id="inc", transition="resolved", created_at=LATER),
    ]
    assert due(rows, LATER) == []
    assert _ids(due(rows, LATER + timedelta(hours=1))) == [["begin"]]
    assert _ids(due(rows[1:], LATER)) == [["end"]]


def test_a_digest_is_one_unit() -> None:
    rows = [_waiting("a", group_id="g"), _waiting("b"), _waiting("c", group_id="g")]
    assert _ids(due(rows, LATER)) == [["a", "c"], ["b"]]


def test_logged_notices_are_revived_only_while_they_are_news() -> None:
    logged = [
        _waiting("first", incident_id="inc_open", last_error=NOT_CONFIGURED),
        _waiting("worse", incident_id="inc_open", transition="worsened", created_at=LATER),
        _waiting("over", incident_id="inc_over"),
        _waiting("end", incident_id="inc_over", transition="resolved", created_at=LATER),
    ]
    decided = revive(logged, {"inc_open"})
    assert decided.waiting == {"worse": None}
    assert decided.dropped == {"first": SUPERSEDED, "over": RESOLVED_MEANWHILE, "end": RESOLVED_MEANWHILE}


def test_a_long_silence_ends_in_a_digest_and_not_in_a_flood() -> None:
    logged = [_waiting(f"a{number:02}", incident_id=f"inc_{number:02}") for number in range(40)]
    decided = revive(logged, {row.incident_id for row in logged})
    alone = [alert for alert, group in decided.waiting.items() if group is None]
    assert len(alone) == TOLD_ONE_BY_ONE
    assert len(set(decided.waiting.values()) - {None}) == 1


def test_a_reminder_from_before_slack_was_configured_hides_no_opening() -> None:
    logged = [
        _waiting("first", incident_id="inc_open"),
        _waiting("again", incident_id="inc_open", transition="reminded", created_at=LATER),
    ]
    decided = revive(logged, {"inc_open"})
    assert decided.waiting == {"first": None}
    assert decided.dropped == {"again": REMINDER_PAST}


# --- the weekly reminder ---

MONDAY = datetime(2026, 11, 9, 12)


def _reminded(
    as_of: datetime,
    last: datetime | None = None,
    told_at: datetime = MONDAY - timedelta(days=20),
    transition: str = "opened",
    **columns: Any,
) -> list[Notice]:
    told = {"inc_a": Told(transition, "{}", told_at)}
    return reminders([incident("inc_a", **columns)], told, last, run_id=RUN_ID, as_of=as_of)


def test_what_stays_open_is_told_again_once_a_week() -> None:
    (notice,) = _reminded(MONDAY)
    assert (notice.transition, notice.incident_id) == ("reminded", "inc_a")
    assert notice.group_id is not None and notice.group_id.startswith("remind_")


@pytest.mark.parametrize(
    ("days", "told"),
    [(0, False), (1, False), (6, False), (7, True), (8, True), (13, True), (20, True), (-7, False)],
)
def test_after_a_monday_the_next_reminder_is_due_on_the_next_monday_or_with_the_first_run_after_it(
    days: int, told: bool
) -> None:
    assert bool(_reminded(MONDAY + timedelta(days=days), last=MONDAY)) is told


@pytest.mark.parametrize(("days", "told"), [(1, False), (2, False), (3, True)])
def test_two_reminders_never_come_close_together(days: int, told: bool) -> None:
    sunday = MONDAY + timedelta(days=6)
    assert bool(_reminded(sunday + timedelta(days=days), last=sunday)) is told


def test_a_year_of_daily_runs_makes_one_reminder_a_week() -> None:
    last, days = None, []
    for day in range(365):
        as_of = MONDAY + timedelta(days=day)
        if _reminded(as_of, last):
            last = as_of
            days.append(as_of)
    assert len(days) == 53
    assert {each.weekday() for each in days} == {0}


def test_the_same_week_begins_again_with_a_new_year() -> None:
    assert _reminded(datetime(2027, 1, 4, 12), last=datetime(2026, 12, 28, 12))
    assert not _reminded(datetime(2027, 1, 1, 12), last=datetime(2026, 12, 28, 12)), "still week 53"


@pytest.mark.parametrize(
    "change",
    [
        {"status": "resolved"},
        {"severity": "info"},
        {"muted_by": "@ann"},
        {"transition": "resolved"},
        {"told_at": MONDAY - timedelta(days=2)},
    ],
)
def test_nobody_is_reminded_of_what_is_over_or_minor_or_muted_or_told_just_now(
    change: dict[str, Any],
) -> None:
    assert _reminded(MONDAY, **change) == []


def test_nobody_is_reminded_of_what_nobody_was_told() -> None:
    assert reminders([incident("inc_a")], {}, None, run_id=RUN_ID, as_of=MONDAY) == []


def test_all_of_a_weeks_reminders_are_one_message() -> None:
    rows = [incident(f"inc_{number}") for number in range(40)]
    told = {row["incident_id"]: Told("opened", "{}", MONDAY - timedelta(days=9)) for row in rows}
    made = reminders(rows, told, None, run_id=RUN_ID, as_of=MONDAY)
    assert len(made) == 40
    assert len({each.group_id for each in made}) == 1
