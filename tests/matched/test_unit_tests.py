"""dbt's own unit tests hold, and each of them notices when its model's rule is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from normalised.small_workspace import DBT, Project, reconciled
from ruamel.yaml import YAML

from dagster_project.resources.dbt import DbtFailed

pytestmark = pytest.mark.dbt

TRUTH_TABLES = {
    test["name"]: test["model"]
    for path in sorted((DBT / "models").rglob("_*__unit_tests.yml"))
    for test in YAML(typ="safe").load(path.read_text("utf-8"))["unit_tests"]
}

# A change of each model's rule that must not go unnoticed: model -> (what it says, what it would say).
CHANGES = {
    "event_names_daily": ("or not sources.has_plan", ""),
    "int_versions_daily": ("versions.commonness > 50", "versions.commonness > 51"),
    "int_twins_daily": ("earlier_key <> message_key", "earlier_key is not null"),
    "int_property_violations": ("broken.received_day = days.day", "broken.received_day >= days.day"),
    "int_property_fill_daily": ("sum(messages)", "max(messages)"),
    "int_identifier_shapes_daily": ("coalesce(user_shape, 'null')", "user_shape"),
    "int_names": ("routes.event is null", "routes.event is not null"),
    "int_open_days": ("days.day >= run.from_day", "days.day > run.from_day"),
    "plan_violations_daily": ("where not names.planned", "where names.planned"),
    "int_cells_daily": (" and messages > 0", ""),
    "int_counted": ("order by named.event rows", "order by named.event desc rows"),
    "int_delivery_names_daily": ("where open_days.in_scope", ""),
    "int_differences": ("cast(copies - 1 as bigint)", "cast(copies as bigint)"),
    "int_delivery_hours_daily": ("where open_days.in_scope", ""),
    "int_hours_daily": (", 'expected')", ")"),
    "int_id_differences": ("min(deliveries.day)", "max(deliveries.day)"),
    "int_matches": ("where want_id <> got or repeated", "where want_id <> got"),
    "int_missing": ("        or run.as_of <", "        and run.as_of <"),
    "int_outcomes": (" - coalesce(variants.messages, 0)", ""),
    "int_route_names": ("min(event) as event", "max(event) as event"),
    "int_user_matches": ("[0, 1, -1]", "[0, 1, 2]"),
    "int_variant_matches": ("where message_rank = 1 and delivery_rank = 1", "where delivery_rank = 1"),
    "int_window_expected": ("bits_and(bits_without('routed', 'no_identifier'), ", "bits_and('routed', "),
    "message_differences": ("and explained.choice = 1", "and explained.choice >= 1"),
    "reconciliation_daily": (
        "judged.missing > judged.allowed_missing",
        "judged.missing >= judged.allowed_missing",
    ),
    "event_counts_daily": ("where gate.verdict = 'open'", "where gate.verdict <> ''"),
}


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return reconciled(tmp_path_factory.getbasetemp() / "reconciled")


def failures(project: Project) -> dict[str, str]:
    """Name -> what dbt says, of the unit tests that do not hold."""
    try:
        ran = {result.name for result in project.dbt.run(["test_type:unit"], command="test")}
    except DbtFailed as failed:
        told = str(failed)
        return {name: told[told.index(f"{name}: ") :] for name in TRUTH_TABLES if f"{name}: " in told}
    assert ran == set(TRUTH_TABLES)
    return {}


@pytest.fixture(scope="module")
def broken(project: Project) -> dict[str, str]:
    return failures(project)


@pytest.mark.parametrize("name", TRUTH_TABLES)
def test_the_truth_table_holds(broken: dict[str, str], name: str) -> None:
    assert name not in broken, broken[name][:4000]


@pytest.fixture(scope="module")
def noticed(project: Project, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Models of which a unit test fails when every model is changed at once."""
    copy = project.copy(tmp_path_factory.mktemp("changed") / "project")
    for model, (old, new) in CHANGES.items():
        path: Path = next((copy.dbt.rendered / "models").rglob(f"{model}.sql"))
        text = path.read_text("utf-8")
        assert old in text, f"{model}.sql no longer says {old!r}: change it in another way"
        path.write_text(text.replace(old, new), "utf-8")
    return {TRUTH_TABLES[name] for name in failures(copy)}


@pytest.mark.parametrize("model", CHANGES)
def test_a_changed_rule_goes_red(noticed: set[str], model: str) -> None:
    assert model in noticed


def test_every_model_with_a_truth_table_is_changed_above() -> None:
    assert set(TRUTH_TABLES.values()) == set(CHANGES)
