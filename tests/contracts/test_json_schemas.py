"""The JSON Schemas say what the loader says: the same keys, the same right and the same wrong files."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from dagster_project.core.keys import SECTIONS
from dagster_project.core.load import load_workspace
from dagster_project.generate.json_schema import schemas

HERE = Path(__file__).parent
SCHEMAS = {name: json.loads(text) for name, text in schemas().items()}


def schema_of(path: str) -> dict[str, Any]:
    if path.startswith("destinations/"):
        return SCHEMAS["destination.schema.json"]
    return SCHEMAS[f"{Path(path).stem}.schema.json"]


def values_of(text: str) -> Any:
    """What an editor validates: JSON, in which a day is text."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        return value.isoformat() if isinstance(value, date) else value

    return plain(YAML(typ="safe", pure=True).load(text))


def yaml_files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.yml"))


RIGHT = HERE / "workspace" / "expectations"
DEMO = HERE.parents[1] / "expectations"


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_a_schema(name: str) -> None:
    Draft7Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("file", yaml_files(RIGHT))
def test_the_right_files_are_right_for_the_schema(file: str) -> None:
    Draft7Validator(schema_of(file)).validate(values_of((RIGHT / file).read_text()))


@pytest.mark.parametrize("file", yaml_files(DEMO))
def test_the_files_of_the_checkout_are_right_for_the_schema(file: str) -> None:
    Draft7Validator(schema_of(file)).validate(values_of((DEMO / file).read_text()))


@pytest.mark.parametrize(
    "case",
    [
        "unknown_key",
        "unknown_key_near_miss",
        "unknown_key_everywhere",
        "missing_keys",
        "choice_near_miss",
        "duration_in_words",
        "duration_without_unit",
        "tolerance_above_one",
        "tolerance_of_one",
        "sources_empty",
        "sources_as_list",
        "source_name_no_asset",
        "destination_name_no_asset",
        "events_none",
        "event_pairs_in_one_item",
        "event_that_is_a_number",
        "export_nowhere",
        "export_in_two_places",
        "table_without_schema",
        "format_unknown",
        "identifier_format_half_unknown",
        "identifier_unknown",
        "override_without_reason",
        "overrides_as_a_mapping",
        "override_as_text",
        "mute_of_nothing",
        "mute_of_an_incident_and_more",
        "mute_of_no_id",
        "mute_of_an_unknown_kind",
        "mute_without_an_end",
        "mute_until_for_ever",
        "mute_false_alarm_in_words",
        "mute_as_text",
        "mutes_as_a_mapping",
        "mute_unknown_key",
        "critical_events_as_text",
        "critical_event_that_is_a_number",
        "quarantine_rules_none",
        "exemption_rules_none",
    ],
)
def test_what_the_loader_refuses_by_shape_the_schema_refuses_too(case: str) -> None:
    folder = HERE / "bad" / case / "expectations"
    files = yaml_files(folder)
    assert files
    for file in files:
        validator = Draft7Validator(schema_of(file))
        assert not validator.is_valid(values_of((folder / file).read_text())), file


def keys_in(schema: dict[str, Any]) -> set[frozenset[str]]:
    """The key sets of every closed object in a schema."""
    found = set()
    if schema.get("additionalProperties") is False:
        found.add(frozenset(schema["properties"]))
    for value in schema.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                found |= keys_in(inner)
    return found


def test_the_schemas_hold_every_key_that_the_loader_knows_and_no_other() -> None:
    in_schemas = set().union(*(keys_in(schema) for schema in SCHEMAS.values()))
    assert in_schemas == {frozenset(keys) for keys in SECTIONS.values()}


# Written by hand, so that a key cannot vanish from the loader and from the schemas together.
KEYS = {
    "workspace.yml": "name timezone tracking_plan starts_on lookback sources critical_events alerts naming "
    "quarantine plan_exemptions show_values violations",
    "exempted": "source event property rule reason",
    "quarantined": "source event property rule",
    "source": "schema tracking_plan freshness",
    "destination": "name owner timezone grain complete_after clock tolerance matching receives identifiers "
    "export",
    "receives": "sources events consent",
    "identifier": "required format",
    "export": "table files format columns",
    "columns": "event_name event_time user_id anonymous_id message_id day count",
    "override": "destination from to owner reason until",
    "mute": "incident kind source event destination owner reason until false_alarm",
}


@pytest.mark.parametrize("section", KEYS)
def test_the_contracts_keys_are_all_there(section: str) -> None:
    assert set(KEYS[section].split()) == set(SECTIONS[section.removesuffix(".yml")])


def test_every_key_has_a_sentence_for_people() -> None:
    for section, keys in SECTIONS.items():
        for name, key in keys.items():
            assert key.says[0].isupper(), (section, name)
            assert key.says.endswith("."), (section, name)


def test_the_schemas_are_stable_and_say_that_they_are_generated() -> None:
    assert schemas() == schemas()
    for text in schemas().values():
        assert text.endswith("}\n")
        assert "recon generate" in json.loads(text)["$comment"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("workspace.yml", "28d", "4w"),
        ("workspace.yml", "web_app: {}", "web_app:"),
        ("destinations/lifecycle_email.yml", "6h", "1d 12h"),
        ("destinations/lifecycle_email.yml", "1%", "0.01"),
        ("destinations/lifecycle_email.yml", "1%", "0.5 %"),
        ("destinations/lifecycle_email.yml", "external_id", "null"),
        ("destinations/lifecycle_email.yml", "uuid_or_email", "'/u_[0-9]+/'"),
        ("destinations/lifecycle_email.yml", "clock: timestamp", "matching: user_time"),
        ("destinations/ads.yml", "events:\n    - Purchase Completed", "events: all"),
        ("destinations/ads.yml", "exports/ads/*.csv.gz", "/exports/ads/*"),
    ],
)
def test_what_the_loader_takes_the_schema_takes_too(tmp_path: Path, file: str, old: str, new: str) -> None:
    shutil.copytree(RIGHT, tmp_path / "expectations")
    text = (RIGHT / file).read_text()
    assert old in text
    text = text.replace(old, new, 1)
    (tmp_path / "expectations" / file).write_text(text)
    load_workspace(tmp_path / "expectations")
    Draft7Validator(schema_of(file)).validate(values_of(text))
