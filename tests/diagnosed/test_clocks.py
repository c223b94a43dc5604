"""An export whose clock is off by whole hours is told as such, and no loss is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from diagnosed.world import World, day, shop

from dagster_project.core.diagnosis import Evidence, diagnose


def with_clock(world: World, destination: str, hours: int, since: str) -> Evidence:
    """The world's evidence with this destination's deliveries so many hours later from a day on."""
    evidence = world.evidence()
    own = evidence.hours[evidence.hours["destination"] == destination].sort_values(["day", "hour"])
    flat = own["delivered"].to_numpy().copy()
    start = int((own["day"].dt.date < day(since)).sum())
    moved = np.concatenate([flat[:start], np.roll(flat[start:], hours)])
    rows = pd.DataFrame(
        {"day": own["day"], "destination": destination, "hour": own["hour"], "deliveries": moved}
    )
    return replace(evidence, delivery_hours=rows)


@pytest.mark.parametrize("hours", [-8, -1, 1, 5])
def test_deliveries_in_other_hours_are_a_shifted_clock(hours: int) -> None:
    found = diagnose(with_clock(shop(), "lake", hours, "28 Oct")).findings
    assert [(f.kind, f.destinations, f.started_on, f.ended_on) for f in found] == [
        ("timezone_shift", ("lake",), day("28 Oct"), None)
    ]
    assert found[0].evidence["hours"] == hours


def test_a_clock_that_is_right_is_not_told() -> None:
    assert diagnose(with_clock(shop(), "lake", 0, "28 Oct")).findings == ()


def test_a_day_cut_short_is_no_shifted_clock() -> None:
    world = shop().fault("lake", None, "4 Nov", cut_at=14)
    kinds = {f.kind for f in diagnose(with_clock(world, "lake", 0, "28 Oct")).findings}
    assert kinds == {"export_incomplete"}


def test_daily_counts_of_other_days_are_a_shifted_clock() -> None:
    world = shop()
    evidence = world.evidence()
    cells = evidence.cells.copy()
    dice = np.random.default_rng(4)
    for event in ("Purchase Completed", "Signup Completed"):
        at = cells.index[(cells["destination"] == "ads") & (cells["event"] == event)]
        sent = cells.loc[at, "expected"].to_numpy() * 40
        late = dice.binomial(sent, 0.30)
        got = sent.copy()
        start = int((cells.loc[at, "day"].dt.date < day("28 Oct")).sum())
        got[start:] = (sent - late)[start:] + np.concatenate([[0], late[start:-1]])
        cells.loc[at, "expected"] = sent
        cells.loc[at, "delivered"] = np.minimum(sent, got)
        cells.loc[at, "missing"] = np.maximum(sent - got, 0)
        cells.loc[at, "unexpected"] = np.maximum(got - sent, 0)
    shape = np.full(24, 0.70 / 18)
    shape[18:] = 0.30 / 6  # 30% of the day lies in its last six hours
    totals = cells[cells["destination"] == "ads"].groupby("day")["expected"].sum()
    hours = pd.DataFrame(
        [
            {
                "day": on,
                "destination": "ads",
                "hour": hour,
                "expected": round(total * shape[hour]),
                "delivered": 0,
            }
            for on, total in totals.items()
            for hour in range(24)
        ]
    )
    others = evidence.hours[evidence.hours["destination"] != "ads"]
    found = diagnose(replace(evidence, cells=cells, hours=pd.concat([others, hours]))).findings
    assert [(f.kind, f.destinations) for f in found] == [("timezone_shift", ("ads",))]
    assert abs((found[0].started_on - day("28 Oct")).days) <= 1  # counts tell no hours
    assert 5 <= found[0].evidence["hours"] <= 7
