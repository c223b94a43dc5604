"""A plan kept in a spreadsheet says the same as the API's, and each mistake in it is told with its cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from plan.plans import track

from dagster_project.core.documents import ConfigurationError, Problems
from dagster_project.core.load import load_workspace
from dagster_project.core.plan import TrackingPlan
from dagster_project.core.plan.files import PlanFile, read_plan
from dagster_project.core.plan.judge import Judge
from dagster_project.core.plan.sheet import COLUMNS

SHEET = """\
Event Name,Event Description,Property Name,Data Type,Status,Permitted Values,Labels,Description
Order Completed,An order was paid,,,,,"team:shop, tier:1",
,,total,number,required,,,in euros
,,currency,string,required,EUR|USD,,
,,order_id,string,optional,^ord_[0-9]+$,,
,,paid_at,Date time,optional,,,
,,products.$.sku,string,required,,,
,,address.city,string or null,required,,,
Signed Up,Somebody joined,method,string,optional,,,
"""


def read(tmp_path: Path, text: str, name: str = "plan.csv") -> PlanFile:
    found, problems = attempt(tmp_path, text, name)
    assert problems == []
    assert found is not None
    return found


def attempt(tmp_path: Path, text: str | bytes, name: str = "plan.csv") -> tuple[PlanFile | None, list[str]]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    problems = Problems()
    found = read_plan([path], problems)
    return found, [str(each).removeprefix(f"{tmp_path}/") for each in problems.found]


def broken(plan: TrackingPlan, event: str, **properties: object) -> list[tuple[str, str]]:
    return [(each.kind, each.field) for each in Judge(plan).judge(track(event, properties))]


def test_a_sheet_is_a_plan(tmp_path: Path) -> None:
    plan = read(tmp_path, SHEET).plan
    assert list(plan.events) == ["Order Completed", "Signed Up"]
    order = plan.events["Order Completed"]
    assert order.description == "An order was paid"
    assert order.labels == {"team": "shop", "tier": "1"}
    address = {"city": None}
    right = {"total": 1, "currency": "EUR", "products": [{"sku": "a"}], "address": address}
    assert broken(plan, "Order Completed", **right) == []
    assert broken(plan, "Order Completed", **{**right, "paid_at": "soon", "order_id": "x"}) == [
        ("pattern", "properties.order_id"),
        ("format", "properties.paid_at"),
    ]
    assert broken(plan, "Order Completed", **{**right, "products": [{}], "address": {}}) == [
        ("required", "properties.address.city"),
        ("required", "properties.products.0.sku"),
    ]
    assert broken(plan, "Order Completed", total="1", currency="eur") == [
        ("enum", "properties.currency"),
        ("type", "properties.total"),
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (SHEET.replace(",", ";").replace("team:shop; tier", "team:shop, tier"), "plan.csv"),
        (SHEET.replace(",", "\t"), "plan.tsv"),
        (SHEET.replace("\n", "\r\n"), "plan.csv"),
        ("\ufeff" + SHEET, "plan.csv"),
        ("\n,,,,,,,\n" + SHEET + "\n\n", "plan.csv"),
        (SHEET.upper().replace("ORDER COMPLETED", "x"), "other.CSV"),
    ],
    ids=["semicolons", "tabs", "windows", "byte order mark", "empty rows", "capitals"],
)
def test_a_sheet_is_read_as_programs_save_it(tmp_path: Path, text: str, name: str) -> None:
    assert len(read(tmp_path, text, name).plan.events) == 2


@pytest.mark.parametrize("name", [name for names in COLUMNS.values() for name in names])
def test_every_name_of_a_column_is_known(tmp_path: Path, name: str) -> None:
    written = name.title().replace(" ", "_")
    event = name in (*COLUMNS["event"], *COLUMNS["call"])
    text = f"{written}\n" if event else f"Event,{written}\n"
    _, problems = attempt(tmp_path, text)
    assert [each for each in problems if "no plan has a column" in each or "no column says" in each] == []


def test_traits_pages_and_versions_stand_in_a_sheet_too(tmp_path: Path) -> None:
    text = (
        "Call,Event,Version,Property,Type,Required\n"
        "track,A,1,a,string,yes\ntrack,A,2,b,string,yes\n"
        "identify,,,plan,string,x\ngroup,,,seats,integer,no\npage,Home,,url,string,required\n"
    )
    plan = read(tmp_path, text).plan
    assert [each.version for each in plan.versions["A"]] == [1, 2]
    assert plan.identify is not None and plan.identify.properties == {"plan"}
    assert plan.group is not None and plan.group.properties == {"seats"}
    assert list(plan.pages) == ["Home"]
    traits = read(tmp_path, "Trait Name,Data Type\nplan,string\n").plan
    assert traits.identify is not None and traits.events == {}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("EUR|USD", {"enum": ("EUR", "USD")}),
        ("EUR, USD", {"enum": ("EUR", "USD")}),
        ("EUR", {"enum": ("EUR",)}),
        ("^(EUR|USD)$", {"pattern": "^(EUR|USD)$"}),
        ("[A-Z]{3}", {"pattern": "[A-Z]{3}"}),
    ],
)
def test_permitted_values_are_a_list_or_a_pattern(
    tmp_path: Path, cell: str, expected: dict[str, object]
) -> None:
    plan = read(tmp_path, f'Event,Property,Type,Permitted Values\nE,p,string,"{cell}"\n').plan
    rule = plan.events["E"].rules[0].model_dump()
    assert {key: rule[key] for key in expected} == expected


def test_values_of_a_number_are_numbers(tmp_path: Path) -> None:
    plan = read(tmp_path, "Event,Property,Type,Values\nE,p,integer,1|2\n").plan
    assert broken(plan, "E", p=1) == []
    assert broken(plan, "E", p="1") == [("enum", "properties.p"), ("type", "properties.p")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Event,Propperty\nE,p\n", "plan.csv:1:7: no plan has a column `Propperty`; write `property`"),
        ("Event,Screenshot\nE,p\n", "plan.csv:1:7: no plan has a column `Screenshot`; begin its name with #"),
        (
            "Event,Property,Trait,Field\nE,p,,\n",
            "plan.csv:1:22: the column `Field` says the same as `Property`",
        ),
        ("Property\np\n", "plan.csv:1:1: no column says which event a row is about"),
        ("Event,Property,Type\nE,p,strng\n", "plan.csv:2:5: `strng` is no data type; write any, array"),
        ("Event,Property,Required\nE,p,maybe\n", "plan.csv:2:5: `required` is `maybe`; write `required` or"),
        ("Event,Property\nE,p\nE,p\n", "plan.csv:3:3: the property `p` stands here again, after line 2"),
        ("Event,Property,Regex\nE,p,(\n", "plan.csv:2:5: the pattern `(` is not a regular expression"),
        ("Event,Property,Min\nE,p,few\n", "plan.csv:2:5: `few` is no number"),
        ("Event,Property,Type,Values\nE,p,integer,one\n", "plan.csv:2:13: the value `one` is no integer"),
        ("Event,Version\nE,1.5\n", "plan.csv:2:3: the version `1.5` is no whole number"),
        ("Call,Event\nclick,E\n", "plan.csv:2:1: `click` is no call of Segment; write one of common"),
        ("Event,Property\n,p\n", "plan.csv:2:1: the row names no event"),
        ("Event,Property\nE,a..b\n", "plan.csv:2:3: `a..b` is no property; write `address.city`"),
        ('Event,Property\nE,"p\nF,q\n', "plan.csv:2:3: a quote is opened here and never closed"),
        ("", "plan.csv:1:1: the sheet is empty"),
        (
            "Event Name,Last Seen At (UTC),Property Name,Allowed,Blocked,Total,Planned\n",
            "plan.csv:1:1: this is an export of a source's schema, which says what was sent",
        ),
    ],
)
def test_a_mistake_is_told_with_its_cell(tmp_path: Path, text: str, said: str) -> None:
    _, problems = attempt(tmp_path, text)
    assert problems
    assert problems[0].startswith(said)


def test_a_cell_of_several_lines_moves_the_lines_below_it(tmp_path: Path) -> None:
    text = 'Event,Property,Type,Notes\nE,p,string,"one\ntwo ""three"""\nE,q,strng,\n'
    _, problems = attempt(tmp_path, text)
    assert problems[0].startswith("plan.csv:4:5: `strng` is no data type")


def test_a_place_of_the_plan_is_a_cell(tmp_path: Path) -> None:
    file = read(tmp_path, SHEET)
    event = file.plan.events["Order Completed"]
    assert file.place(event.at)[1].line == 2
    assert file.place(event.property_at["currency"])[1].line == 4


def test_a_workspace_takes_a_sheet(tmp_path: Path) -> None:
    (tmp_path / "plan.csv").write_text(SHEET)
    (tmp_path / "workspace.yml").write_text(
        "name: a\ntimezone: UTC\ntracking_plan: plan.csv\nsources: {web: {}}\n"
    )
    assert load_workspace(tmp_path).plan_for("web").planned("Signed Up")
    (tmp_path / "plan.csv").write_text("Event,Property,Type\nE,p,strng\n")
    with pytest.raises(ConfigurationError, match=r"plan\.csv:2:5: `strng` is no data type"):
        load_workspace(tmp_path)
