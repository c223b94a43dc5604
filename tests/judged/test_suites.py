"""Generated suites: stable, complete, loadable by Great Expectations, and careful with handwork."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from judged.evidence import plan, workspace

from dagster_project.core.contracts import Destination, Quarantine, Route, Source, Workspace
from dagster_project.core.families import FAMILIES, FAMILIES_OF, Subject, subjects
from dagster_project.core.plan import TrackingPlan
from dagster_project.generate.suites import SuiteProblem, expectations, suites

BY_HAND = {
    "type": "expect_table_row_count_to_be_between",
    "kwargs": {"min_value": 1},
    "severity": "critical",
    "meta": {"why": "the audit of 2025", "gates": True},
    "notes": "Written by Ada.",
}


def edited(content: str, *more: dict[str, object], first: bool = False) -> str:
    suite = json.loads(content)
    listed = suite["expectations"]
    suite["expectations"] = [*more, *listed] if first else [*listed, *more]
    return json.dumps(suite)


def test_each_destination_has_a_suite_a_family_and_each_source_four() -> None:
    assert list(suites(workspace(), {})) == [
        "email__counts.json",
        "email__freshness.json",
        "email__identifiers.json",
        "email__names.json",
        "email__properties.json",
        "source_web_app__freshness.json",
        "source_web_app__identifiers.json",
        "source_web_app__names.json",
        "source_web_app__properties.json",
    ]


def test_generating_again_changes_nothing() -> None:
    files = suites(workspace(), {})
    assert suites(workspace(), files) == files


def test_only_a_contract_with_a_quarantine_is_held_to_its_books() -> None:
    rule = "counts.quarantine_is_part_of_it"
    assert rule not in suites(workspace(), {})["email__counts.json"]
    quarantined = workspace().model_copy(update={"quarantine": (Quarantine(rules=("type",)),)})
    assert rule in suites(quarantined, {})["email__counts.json"]


def test_the_order_of_the_contract_does_not_show() -> None:
    routes = workspace().destinations[0].events
    assert routes is not None
    assert suites(workspace(events=tuple(reversed(routes))), {}) == suites(workspace(), {})


def test_a_file_holds_no_random_id_no_version_and_no_time() -> None:
    for content in suites(workspace(), {}).values():
        suite = json.loads(content)
        assert set(suite) == {"name", "meta", "expectations"}
        assert "great_expectations_version" not in suite["meta"]
        for each in suite["expectations"]:
            assert set(each) == {"type", "kwargs", "severity", "meta", "notes"}


def test_every_generated_expectation_says_what_it_is_in_one_sentence_and_has_a_rule_id_of_its_own() -> None:
    for content in suites(workspace(), {}).values():
        listed = json.loads(content)["expectations"]
        assert all(each["meta"]["generated"] is True for each in listed)
        assert all(each["notes"].count(".") == 1 and each["notes"].endswith(".") for each in listed)
        rule_ids = [each["meta"]["rule_id"] for each in listed]
        assert len(set(rule_ids)) == len(rule_ids)


def test_each_family_of_a_destination_holds_the_gate_and_no_source_does() -> None:
    for subject in subjects(workspace()):
        for family in FAMILIES_OF[subject.kind]:
            gates = [each["meta"].get("gates") for each in expectations(workspace(), subject, family)]
            assert (True in gates) is (subject.kind == "destination")


def test_what_holds_the_gate_is_critical() -> None:
    for family in FAMILIES:
        for each in expectations(workspace(), Subject("destination", "email"), family):
            assert (each["severity"] == "critical") is bool(each["meta"].get("gates"))


def test_the_names_of_the_contract_are_the_destinations_own_as_written() -> None:
    names = ("on", "123", "2024-01-01", "null", "<script>", "$x", "Größe 😀", "\ud800")
    contract = workspace(events=tuple(Route(event=f"e{i}", destination_name=n) for i, n in enumerate(names)))
    content = suites(contract, {})["email__names.json"]
    content.encode("utf-8")
    rule = json.loads(content)["expectations"][1]
    assert rule["kwargs"] == {"column": "name", "value_set": sorted(names)}


def test_a_destination_that_receives_everything_is_held_to_what_its_sources_send() -> None:
    rule = expectations(workspace(events=None), Subject("destination", "email"), "names")[1]
    assert rule["kwargs"] == {"column": "routable", "value_set": [True]}


def test_days_must_be_counted_only_where_the_contract_knows_an_event() -> None:
    def rules(contract: Workspace) -> list[str]:
        listed = expectations(contract, Subject("destination", "email"), "counts")
        return [each["meta"]["rule_id"] for each in listed]

    assert "counts.every_day_counted" in rules(workspace())
    assert "counts.every_day_counted" in rules(workspace(events=None))
    assert "counts.every_day_counted" not in rules(
        workspace(events=None).model_copy(update={"plans": {"web_app": plan()}})
    )


def test_a_source_without_a_plan_has_no_unplanned_names_and_one_without_freshness_is_never_silent() -> None:
    def rules(contract: Workspace, family: str) -> list[str]:
        listed = expectations(contract, Subject("source", "web_app"), family)
        return [each["meta"]["rule_id"] for each in listed]

    bare = workspace().model_copy(update={"plans": {"web_app": TrackingPlan(declared=False)}})
    fresh = workspace().model_copy(
        update={"sources": (Source(name="web_app", freshness=timedelta(hours=12)),)}
    )
    assert "names.planned" in rules(workspace(), "names")
    assert "names.planned" not in rules(bare, "names")
    assert "freshness.not_silent" in rules(fresh, "freshness")
    assert "freshness.not_silent" not in rules(workspace(), "freshness")


class TestHandwork:
    def test_it_follows_the_generated_in_its_own_order_with_its_meta(self) -> None:
        files = suites(workspace(), {})
        other = BY_HAND | {"kwargs": {"min_value": 2}}
        name = "email__counts.json"
        files[name] = edited(edited(files[name], BY_HAND, first=True), other)
        again = suites(workspace(), files)
        listed = json.loads(again[name])["expectations"]
        assert listed[-2:] == [BY_HAND, other]
        assert [each["meta"].get("generated") for each in listed[:-2]] == [True] * (len(listed) - 2)
        assert suites(workspace(), again) == again

    def test_a_generated_expectation_that_was_edited_is_written_anew(self) -> None:
        files = suites(workspace(), {})
        weak = files["email__counts.json"].replace("expect_no_blocking_difference", "expect_column_to_exist")
        assert suites(workspace(), files | {"email__counts.json": weak}) == files

    def test_notes_and_meta_of_the_suite_are_kept_without_the_version(self) -> None:
        files = suites(workspace(), {})
        suite = json.loads(files["email__names.json"])
        suite["meta"] |= {"owner": "Ada", "great_expectations_version": "1.24.1"}
        suite["notes"] = "Mind the mobile apps."
        found = json.loads(suites(workspace(), {"email__names.json": json.dumps(suite)})["email__names.json"])
        assert found["meta"]["owner"] == "Ada"
        assert "great_expectations_version" not in found["meta"]
        assert found["notes"] == "Mind the mobile apps."

    @pytest.mark.parametrize(
        "content",
        [
            '{"name":"mine","expectations":[]}',
            json.dumps({"name": "mine", "expectations": [BY_HAND]}),
            "not even JSON",
            "[1, 2]",
        ],
    )
    def test_a_file_that_is_nobodys_suite_is_kept_byte_for_byte(self, content: str) -> None:
        assert suites(workspace(), {"mine.json": content})["mine.json"] == content

    def test_what_was_generated_for_a_destination_that_left_goes_with_it(self) -> None:
        files = suites(workspace(name="gone"), {})
        left = suites(workspace(), files)
        assert not any(name.startswith("gone__") for name in left)

    def test_what_was_written_by_hand_for_a_destination_that_left_stays(self) -> None:
        files = suites(workspace(name="gone"), {})
        files["gone__counts.json"] = edited(files["gone__counts.json"], BY_HAND)
        left = suites(workspace(), files)
        assert json.loads(left["gone__counts.json"])["expectations"] == [BY_HAND]
        assert suites(workspace(), left) == left


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        ("", "email__counts.json:1:1: not JSON (Expecting value)"),
        ('{"name": "x",\n  oops}', "email__counts.json:2:3: not JSON"),
        ("[]", "email__counts.json: not a suite"),
        ('{"expectations": 3}', "`expectations` is not a list"),
        ('{"expectations": ["x"]}', "an entry of `expectations` is not an object"),
        ('{"meta": []  , "expectations": [], "a": 1}', None),
        ('{"meta": [1], "expectations": []}', "`meta` is not an object"),
        ("[" * 100_000, "no JSON that can be read"),
        ('{"n": ' + "1" * 10_000 + "}", "no JSON that can be read"),
    ],
)
def test_a_file_that_is_broken_is_not_overwritten(content: str, fact: str | None) -> None:
    if fact is None:
        suites(workspace(), {"email__counts.json": content})
        return
    with pytest.raises(SuiteProblem) as refused:
        suites(workspace(), {"email__counts.json": content})
    assert str(refused.value).startswith("expectations/suites/email__counts.json")
    assert fact in str(refused.value)
    assert "repair it, or delete it, and run `recon generate`" in str(refused.value)


def test_a_destination_whose_suite_would_be_a_sources_is_refused() -> None:
    contract = Workspace(
        name="acme",
        sources=(Source(name="web_app"),),
        destinations=(Destination(name="source_web_app", sources=("web_app",)),),
    )
    with pytest.raises(SuiteProblem, match="rename one of the two"):
        suites(contract, {})


def test_great_expectations_loads_every_generated_suite_whole() -> None:
    import great_expectations as gx

    from dagster_project.resources import gx_expectations  # noqa: F401 - registers ours

    for contract in (workspace(), workspace(events=None)):
        for content in suites(contract, {}).values():
            suite = json.loads(content)
            loaded = gx.ExpectationSuite(**suite)
            back = loaded.to_json_dict()
            assert len(loaded.expectations) == len(suite["expectations"])
            for key in ("type", "severity", "notes"):
                assert [e[key] for e in back["expectations"]] == [e[key] for e in suite["expectations"]]
