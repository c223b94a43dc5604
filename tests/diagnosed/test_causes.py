"""Causes before effects: what one finding explains, no other tells, and each difference has one owner."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pandas as pd
import pytest
from diagnosed.world import AS_OF, FIRST, LAST, World, day, shop
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dagster_project.core.diagnosis import Diagnosis, Evidence, diagnose
from dagster_project.core.diagnosis.evidence import COLUMNS
from dagster_project.core.incidents import reconcile_incidents

LINK = ["destination", "day", "event", "difference"]


def links(diagnosis: Diagnosis) -> pd.DataFrame:
    return pd.concat([finding.links for finding in diagnosis.findings], ignore_index=True)


def everything_at_once() -> World:
    world = shop().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct")
    world.renames("ios_app", "Trial Started", "Free Trial Started", "12 Oct", over_days=8)
    world.stops("web_app", "Cart Updated", "3 Nov")
    world.sends("web_app", "qa button", 30, planned=False, since="25 Oct")
    world.fault("analytics", "App Opened", "25 Oct", "30 Oct", missing=0.12)
    world.fault("analytics", None, "18 Oct", duplicates=1.0)
    world.fault("lake", None, "15 Oct", cut_at=14)
    world.fault("email", "Signup Completed", "5 Nov", "8 Nov", missing=1.0)
    world.holds("email", "Subscribtion Renewed", 30, "1 Nov")
    world.violates("ios_app", "App Opened", "version", 0.4, "1 Nov")
    world.refuses("email", "ios_app", "Purchase Completed", 0.4, "30 Oct")
    return world


def test_eleven_faults_at_once_are_eleven_incidents() -> None:
    told = sorted(
        (f.kind, f.source, f.event, f.destinations, f.started_on) for f in everything_at_once().findings()
    )
    assert told == [
        ("delivery_loss", None, "App Opened", ("analytics",), day("25 Oct")),
        ("delivery_stopped", None, "Signup Completed", ("email",), day("5 Nov")),
        ("duplicate_delivery", None, None, ("analytics",), day("18 Oct")),
        ("event_renamed", "ios_app", "Trial Started", ("email",), day("12 Oct")),
        ("event_renamed", "web_app", "Purchase Completed", ("ads", "email"), day("20 Oct")),
        ("event_stopped", "web_app", "Cart Updated", ("analytics",), day("3 Nov")),
        ("export_incomplete", None, None, ("lake",), day("15 Oct")),
        ("identifier_format", "ios_app", "Purchase Completed", ("email",), day("30 Oct")),
        ("name_mismatch", None, "Subscribtion Renewed", ("email",), day("1 Nov")),
        ("property_violation", "ios_app", "App Opened", ("analytics",), day("1 Nov")),
        ("unplanned_event", "web_app", "qa button", ("lake",), day("25 Oct")),
    ]


def test_every_difference_row_has_at_most_one_owner() -> None:
    found = links(everything_at_once().diagnosis())
    assert len(found) > 20
    assert not found.duplicated(LINK).any()


def test_what_is_missing_in_usual_measure_belongs_to_nobody() -> None:
    diagnosis = shop().fault("email", "Signup Completed", "5 Nov", "8 Nov", missing=1.0).diagnosis()
    assert set(links(diagnosis)["day"].dt.date) == {day(f"{n} Nov") for n in range(5, 9)}


def test_a_silent_source_explains_a_rename_of_its_last_days_no_more_than_it_must() -> None:
    world = shop().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct")
    world.source_silent("web_app", datetime(2026, 11, 5, 14))
    assert sorted(f.kind for f in world.findings()) == ["event_renamed", "source_stopped"]


def test_an_export_cut_short_is_not_also_a_loss() -> None:
    diagnosis = shop().fault("lake", None, "4 Nov", cut_at=10).diagnosis()
    assert [f.kind for f in diagnosis.findings] == ["export_incomplete"]
    assert set(diagnosis.findings[0].links["event"]) >= {"App Opened", "Product Viewed"}


def test_a_loss_beside_a_hole_in_the_export_is_told_for_its_own_days() -> None:
    world = shop().fault("lake", "Product Viewed", "30 Oct", "5 Nov", missing=0.2)
    world.fault("lake", None, "2 Nov", exported=False)
    found = {f.kind: f for f in world.findings()}
    assert set(found) == {"export_incomplete", "delivery_loss"}
    assert ("lake", day("2 Nov")) not in found["delivery_loss"].windows


@pytest.mark.parametrize(
    "history_from", [date(2026, 10, 5), date(2026, 10, 30), date(2026, 11, 8), date(2026, 11, 20)]
)
def test_history_may_begin_anywhere(history_from: date) -> None:
    diagnosis = everything_at_once().diagnosis(history_from=history_from)
    assert all(f.started_on >= history_from or f.kind == "source_stopped" for f in diagnosis.findings)


def test_the_same_evidence_gives_the_same_findings_in_any_order_of_rows() -> None:
    evidence = everything_at_once().evidence()
    shuffled = Evidence(
        **{name: getattr(evidence, name).sample(frac=1, random_state=5) for name in COLUMNS},
        workspace=evidence.workspace,
        as_of=evidence.as_of,
        history_from=evidence.history_from,
    )
    empty = pd.DataFrame()
    one, *_ = reconcile_incidents(empty, diagnose(evidence), AS_OF, "run")
    two, *_ = reconcile_incidents(empty, diagnose(shuffled), AS_OF, "run")
    pd.testing.assert_frame_equal(
        one.sort_values("incident_id", ignore_index=True), two.sort_values("incident_id", ignore_index=True)
    )


def test_a_frame_that_lacks_a_column_is_refused_by_name() -> None:
    evidence = shop().evidence()
    frames = {name: getattr(evidence, name) for name in COLUMNS}
    frames["cells"] = frames["cells"].drop(columns=["mature"])
    with pytest.raises(ValueError, match="cells: column mature is absent"):
        Evidence(**frames, workspace=evidence.workspace, as_of=AS_OF, history_from=FIRST)


def test_days_may_come_as_dates_timestamps_or_text() -> None:
    world = shop().fault("email", "Signup Completed", "5 Nov", "8 Nov", missing=1.0)
    frames = {name: getattr(world.evidence(), name) for name in COLUMNS}
    for kind in (
        lambda s: s.dt.date,
        lambda s: s.dt.strftime("%Y-%m-%d"),
        lambda s: s.astype("datetime64[ns]"),
    ):
        changed = {
            n: f.assign(day=kind(f["day"])) if "day" in f.columns and len(f) else f for n, f in frames.items()
        }
        evidence = Evidence(**changed, workspace=world.workspace(), as_of=AS_OF, history_from=FIRST)
        assert [f.kind for f in diagnose(evidence).findings] == ["delivery_stopped"]


# Shrinking frames takes minutes; the failing ones are small already.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)

# --- whatever the frames hold ----------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from(
        ["Purchase Completed", "purchase_completed", "Signup Completed", "App Opened", "email", "web_app"]
    ),
    st.text(max_size=12),
    st.sampled_from(["a\x1fb", "\x00", "<script>", "x" * 500, "a@b.example", "\ud800", "🛒"]),
    st.none(),
)
PLACES = {
    "source": st.sampled_from(["web_app", "ios_app", "nobody", None]),
    "destination": st.sampled_from(["email", "ads", "analytics", "lake", "nowhere", None]),
    "reason": st.sampled_from(["not_routed", "bad_identifier", "no_identifier", "consent", None]),
    "difference": st.sampled_from(["missing", "duplicate", "unexpected", None]),
    "matched_by": st.sampled_from(["message_id", "counts", "user_time", None]),
    "rule": st.sampled_from(["required", "type", "enum", "unplanned_property", "unplanned_event", None]),
    "identifier": st.sampled_from(["user_id", "anonymous_id", None]),
    "shape": st.sampled_from(["uuid", "email", "integer", "empty", "other", None]),
    "status": st.sampled_from(["ok", "broken", None]),
}
VALUES = {
    "day": st.one_of(
        st.dates(FIRST, LAST), st.dates(date(1970, 1, 1), date(2100, 1, 1)), st.none(), st.just("no day")
    ),
    "text": NAMES,
    "count": st.one_of(
        st.integers(0, 500), st.none(), st.sampled_from([-5, 2**60, float("nan"), float("inf"), "x"])
    ),
    "flag": st.one_of(st.booleans(), st.none()),
    "moment": st.one_of(st.datetimes(datetime(2026, 9, 1), AS_OF), st.none(), st.just("never")),
}


def frames() -> st.SearchStrategy[dict[str, pd.DataFrame]]:
    def table(columns: dict[str, str]) -> st.SearchStrategy[pd.DataFrame]:
        row = st.fixed_dictionaries({c: PLACES.get(c, VALUES[kind]) for c, kind in columns.items()})
        return st.lists(row, max_size=8).map(
            lambda rows: pd.DataFrame(rows, columns=list(columns), dtype=object)
        )

    return st.fixed_dictionaries({name: table(dict(columns)) for name, columns in COLUMNS.items()})


@given(frames=frames())
@settings(max_examples=120, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
def test_no_frame_breaks_the_diagnosis_and_no_difference_is_claimed_twice(frames: dict[str, Any]) -> None:
    evidence = Evidence(**frames, workspace=shop().workspace(), as_of=AS_OF, history_from=FIRST)
    diagnosis = diagnose(evidence)
    assert diagnosis.usual["usual"].between(0, 1).all()
    if diagnosis.findings:
        assert not links(diagnosis).duplicated(LINK).any()
    assert len({f.key for f in diagnosis.findings}) == len(diagnosis.findings)
    incidents, transitions, _, _ = reconcile_incidents(pd.DataFrame(), diagnosis, AS_OF, "run")
    again, nothing, _, _ = reconcile_incidents(incidents, diagnosis, AS_OF, "run")
    assert nothing == []
    pd.testing.assert_frame_equal(again, incidents)
    assert {each.incident_id for each in transitions} <= set(incidents["incident_id"])


@given(frames=frames(), place=st.sampled_from(["email", "lake"]), extra=st.integers(0, 10))
@settings(max_examples=25, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
def test_noise_beside_a_real_workspace_breaks_nothing(frames: dict[str, Any], place: str, extra: int) -> None:
    world = shop(extra).fault(place, None, "1 Nov", "3 Nov", missing=0.2)
    real = world.evidence()
    mixed = {
        name: pd.concat([getattr(real, name).astype(object), frames[name]], ignore_index=True)
        for name in COLUMNS
        if name not in ("source_health", "export_health")
    }
    evidence = Evidence(
        **mixed,
        source_health=real.source_health,
        export_health=real.export_health,
        workspace=real.workspace,
        as_of=AS_OF,
        history_from=FIRST,
    )
    diagnosis = diagnose(evidence)
    assert any(f.kind == "delivery_loss" and place in f.destinations for f in diagnosis.findings)
    assert not links(diagnosis).duplicated(LINK).any()
