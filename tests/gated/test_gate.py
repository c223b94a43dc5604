"""The gate: which days marketing may see, why not, and which decisions are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pytest

from dagster_project.core.contracts import Destination, Override, Workspace
from dagster_project.core.gate import Decision, Window, decide
from dagster_project.flow.context import RunContext
from dagster_project.flow.gated import gate
from dagster_project.flow.inputs import TABLES, WORK
from dagster_project.flow.judged import CHECK_RESULTS, CHECK_RESULTS_COLUMNS
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import Warehouse, open_warehouse

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)
NOON: Final = datetime(2026, 11, 22, 12)
RENAME: Final = "web: Purchase is now purchase (inc_1)"
OVERRIDE: Final = Override(
    destination="mail",
    from_day=MONDAY,
    to_day=MONDAY,
    owner="@ann",
    reason="read by hand, the totals agree",
    until=date(2026, 11, 25),
)


def verdict(
    *,
    complete: bool = True,
    incidents: Sequence[str] = (),
    failed: Sequence[str] = (),
    broken: Sequence[str] = (),
    overrides: Sequence[Override] = (),
    as_of: datetime = NOON,
) -> Decision:
    """The decision on Monday's window of mail, of which this is known."""
    key = ("mail", MONDAY)
    (decision,) = decide(
        [Window("mail", MONDAY, complete)],
        incidents={key: incidents},
        failed_checks={key: failed},
        broken_checks={key: broken},
        overrides=overrides,
        as_of=as_of,
    )
    return decision


def test_a_complete_day_of_which_nothing_bad_is_known_is_open() -> None:
    assert verdict() == Decision("mail", MONDAY, "open", (), None)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"incidents": [RENAME]}, RENAME),
        ({"failed": ["counts: 9 rows are beyond the tolerance"]}, "counts: 9 rows are beyond the tolerance"),
        ({"broken": ["counts: the suite is no JSON"]}, "could not be judged: counts: the suite is no JSON"),
        ({"complete": False}, "not complete yet"),
    ],
    ids=["an incident", "a check that failed", "a check that broke", "a day that is not over"],
)
def test_one_bad_thing_is_enough_to_hold_a_day_and_is_its_reason(known: dict[str, Any], reason: str) -> None:
    assert verdict(**known) == Decision("mail", MONDAY, "held", (reason,), None)


def test_every_reason_is_told_once_and_incidents_stand_first() -> None:
    decision = verdict(incidents=[RENAME, RENAME], failed=["counts: low"], broken=["names: no file"])
    assert decision.reasons == (RENAME, "counts: low", "could not be judged: names: no file")


def test_what_is_known_of_another_day_or_destination_holds_nothing() -> None:
    decisions = decide(
        [Window("mail", MONDAY, True), Window("mail", TUESDAY, True), Window("ads", MONDAY, True)],
        incidents={("mail", TUESDAY): [RENAME]},
        failed_checks={},
        broken_checks={},
        overrides=[],
        as_of=NOON,
    )
    assert [each.verdict for each in decisions] == ["open", "held", "open"]


def test_an_override_opens_a_held_day_and_says_who_why_and_how_long() -> None:
    decision = verdict(incidents=[RENAME], overrides=[OVERRIDE])
    assert (decision.verdict, decision.overridden_by) == ("open", "@ann")
    assert decision.reasons == (RENAME, "opened by @ann until 2026-11-25: read by hand, the totals agree")


def test_an_override_opens_what_could_not_be_judged_too() -> None:
    assert verdict(broken=["counts: the suite is no JSON"], overrides=[OVERRIDE]).verdict == "open"


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [(datetime(2026, 11, 25, 23, 59, 59), "open"), (datetime(2026, 11, 26), "held")],
    ids=["on its last day", "a day later"],
)
def test_an_override_counts_through_its_last_day_and_then_lapses(as_of: datetime, expected: str) -> None:
    decision = verdict(incidents=[RENAME], overrides=[OVERRIDE], as_of=as_of)
    assert decision.verdict == expected
    assert (decision.overridden_by is None) == (expected == "held")


@pytest.mark.parametrize(
    "change",
    [{"destination": "ads"}, {"from_day": TUESDAY, "to_day": TUESDAY}],
    ids=["another destination", "other days"],
)
def test_an_override_opens_nothing_that_it_does_not_name(change: dict[str, Any]) -> None:
    assert verdict(incidents=[RENAME], overrides=[OVERRIDE.model_copy(update=change)]).verdict == "held"


def test_of_two_overrides_the_one_in_force_counts() -> None:
    lapsed = OVERRIDE.model_copy(update={"owner": "@bob", "until": date(2026, 11, 1)})
    assert verdict(incidents=[RENAME], overrides=[lapsed, OVERRIDE]).overridden_by == "@ann"


def test_an_override_does_not_open_a_day_that_is_not_complete() -> None:
    decision = verdict(complete=False, incidents=[RENAME], overrides=[OVERRIDE])
    assert decision == Decision("mail", MONDAY, "held", ("not complete yet", RENAME), None)


def test_an_override_leaves_no_mark_on_a_day_that_is_open_anyway() -> None:
    assert verdict(overrides=[OVERRIDE]) == Decision("mail", MONDAY, "open", (), None)


# ---- the stage: what is read, and what is kept ---------------------------------------------------------

_CELLS: Final[Mapping[str, str]] = {"destination": "varchar", "day": "date", "mature": "boolean"}
_WINDOWS: Final[Mapping[str, str]] = {
    "incident_id": "varchar",
    "severity": "varchar",
    "destination": "varchar",
    "day": "date",
}
_INCIDENTS: Final[Mapping[str, str]] = {"incident_id": "varchar", "title": "varchar"}


class Desk:
    """The evidence that the gate reads, on a DuckDB file; `decide()` is one run of the stage."""

    def __init__(self, folder: Path) -> None:
        self.warehouse: Warehouse = open_warehouse("duckdb", folder / "warehouse.duckdb", {})
        self.workspace = Workspace(
            name="acme", destinations=(Destination(name="mail"), Destination(name="ads"))
        )
        self.folder = folder
        self.runs = 0
        self.warehouse.ensure(f"{WORK}.gate_current", TABLES["gate_current"])
        self.warehouse.ensure(CHECK_RESULTS, CHECK_RESULTS_COLUMNS)
        self.cells(("mail", MONDAY, True), ("ads", MONDAY, True))
        self.incidents()

    def cells(self, *rows: tuple[str, date, bool]) -> None:
        self._write(f"{WORK}.int_cells_daily", _CELLS, rows)

    def incidents(self, *rows: tuple[str, str, str, date]) -> None:
        """Incidents that hit a window: id, severity, destination, day."""
        self._write(f"{WORK}.incident_windows", _WINDOWS, rows)
        told = sorted({(row[0], f"what {row[0]} is") for row in rows})
        self._write("reconciliation.incidents", _INCIDENTS, told)

    def check(self, status: str, *, gates: bool = True, run_id: str | None = None) -> None:
        """A counts check on Monday of mail that ended so, in the run to come unless another is named."""
        self.warehouse.execute(
            f"insert into {CHECK_RESULTS} values (:run, 'destination:mail', 'counts', 'r', 'mail', :day, "
            ":status, :gates, '{}', 'one in ten is missing')",
            run=run_id or f"run_{self.runs + 1}",
            day=MONDAY,
            status=status,
            gates=gates,
        )

    def decide(self, as_of: datetime = NOON) -> int:
        """Run the stage; how many decisions were new."""
        self.runs += 1
        dbt = DbtProject(self.folder, self.folder, {})
        return gate(
            RunContext(
                self.workspace, self.warehouse, dbt, self.folder, self.folder, f"run_{self.runs}", as_of
            )
        ).changed

    def current(self) -> dict[str, tuple[str, list[str]]]:
        """Monday's verdict by destination."""
        frame = self.warehouse.frame(f"select destination, verdict, reasons from {WORK}.gate_current")
        return {row.destination: (row.verdict, json.loads(row.reasons)) for row in frame.itertuples()}

    def kept(self) -> list[tuple[str, str, str]]:
        """Every decision ever stored: destination, verdict, run."""
        frame = self.warehouse.frame(
            "select destination, verdict, run_id from reconciliation.gate_verdicts order by run_id, destination"
        )
        return [tuple(row) for row in frame.itertuples(index=False, name=None)]

    def _write(self, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
        frame = pd.DataFrame(list(rows), columns=list(columns), dtype=object)
        self.warehouse.replace(table, frame, columns)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_only_a_decision_that_is_new_or_changed_is_stored(desk: Desk) -> None:
    assert desk.decide() == 2
    assert desk.decide() == 0
    desk.incidents(("inc_1", "error", "mail", MONDAY))
    assert desk.decide() == 1
    assert desk.decide() == 0
    desk.incidents()
    assert desk.decide() == 1
    assert desk.kept() == [
        ("ads", "open", "run_1"),
        ("mail", "open", "run_1"),
        ("mail", "held", "run_3"),
        ("mail", "open", "run_5"),
    ]


def test_a_verdict_that_stands_for_another_reason_is_a_new_decision(desk: Desk) -> None:
    desk.incidents(("inc_1", "error", "mail", MONDAY))
    desk.decide()
    desk.incidents(("inc_2", "critical", "mail", MONDAY))
    assert desk.decide() == 1
    assert desk.current()["mail"] == ("held", ["what inc_2 is (inc_2)"])


def test_a_verdict_that_stands_keeps_the_time_and_the_run_of_its_decision(desk: Desk) -> None:
    desk.decide()
    desk.decide(datetime(2026, 11, 23, 12))
    frame = desk.warehouse.frame(f"select distinct decided_at, run_id from {WORK}.gate_current")
    assert [(row.decided_at.to_pydatetime(), row.run_id) for row in frame.itertuples()] == [(NOON, "run_1")]


@pytest.mark.parametrize(
    ("severity", "expected"), [("critical", "held"), ("error", "held"), ("warning", "open"), ("info", "open")]
)
def test_an_incident_holds_exactly_the_window_it_hits_from_error_on(
    severity: str, expected: str, desk: Desk
) -> None:
    desk.incidents(("inc_1", severity, "mail", MONDAY))
    desk.decide()
    assert {name: found[0] for name, found in desk.current().items()} == {"mail": expected, "ads": "open"}


def test_one_event_that_is_not_complete_holds_the_whole_day(desk: Desk) -> None:
    desk.cells(("mail", MONDAY, True), ("mail", MONDAY, False), ("ads", MONDAY, True))
    desk.decide()
    assert desk.current()["mail"] == ("held", ["not complete yet"])


@pytest.mark.parametrize(("status", "said"), [("FAIL", ""), ("ERROR", "could not be judged: ")])
def test_a_check_that_gates_holds_its_day_when_it_failed_or_broke(status: str, said: str, desk: Desk) -> None:
    desk.check(status)
    desk.decide()
    assert desk.current()["mail"] == ("held", [f"{said}counts: one in ten is missing"])


def test_checks_that_passed_or_do_not_gate_or_are_of_another_run_hold_nothing(desk: Desk) -> None:
    desk.check("PASS")
    desk.check("FAIL", gates=False)
    desk.check("FAIL", run_id="run_of_yesterday")
    desk.decide()
    assert desk.current()["mail"] == ("open", [])


def test_a_failed_check_is_not_told_beside_the_incident_that_explains_it_but_a_broken_one_is(
    desk: Desk,
) -> None:
    desk.incidents(("inc_1", "error", "mail", MONDAY))
    desk.check("FAIL")
    desk.check("ERROR")
    desk.decide()
    assert desk.current()["mail"] == (
        "held",
        ["what inc_1 is (inc_1)", "could not be judged: counts: one in ten is missing"],
    )


def test_windows_of_a_destination_that_has_left_the_contract_are_decided_no_more(desk: Desk) -> None:
    desk.decide()
    desk.workspace = replace_destinations(desk.workspace, "ads")
    desk.decide()
    assert desk.current().keys() == {"ads"}


def replace_destinations(workspace: Workspace, *names: str) -> Workspace:
    kept = tuple(each for each in workspace.destinations if each.name in names)
    return workspace.model_copy(update={"destinations": kept})


def test_an_override_is_stored_with_the_verdict_that_it_turned(desk: Desk) -> None:
    desk.incidents(("inc_1", "error", "mail", MONDAY))
    desk.decide()
    desk.workspace = desk.workspace.model_copy(update={"overrides": (OVERRIDE,)})
    desk.decide()
    desk.decide(datetime(2026, 11, 26, 12))
    frame = desk.warehouse.frame(
        "select verdict, overridden_by from reconciliation.gate_verdicts where destination = 'mail' order by run_id"
    )
    found = [
        (row.verdict, None if pd.isna(row.overridden_by) else row.overridden_by) for row in frame.itertuples()
    ]
    assert found == [("held", None), ("open", "@ann"), ("held", None)]
