"""A plan saved page by page is one plan: several files, or several answers in one file; a page that lacks is missed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from plan.plans import track_rule

from dagster_project.core.documents import ConfigurationError, Problems
from dagster_project.core.load import load_workspace
from dagster_project.core.plan.files import PlanFile, plan_paths, read_plan


def page(number: int, *, last: bool = False, rules: Sequence[Any] = (), **more: Any) -> str:
    pagination = {"current": f"c{number}", **({} if last else {"next": f"c{number + 1}"}), **more}
    listed = rules or [track_rule(f"Event {number}", {"p": {"type": "string"}})]
    return json.dumps({"data": {"rules": listed, "pagination": pagination}}, indent=1)


def read(folder: Path, written: str) -> tuple[PlanFile | None, list[str]]:
    problems = Problems()
    found = read_plan(plan_paths(folder, written), problems)
    return found, [str(each).removeprefix(f"{folder}/") for each in problems.found]


def test_pages_in_files_of_their_own_are_one_plan(tmp_path: Path) -> None:
    (tmp_path / "page_1.json").write_text(page(1))
    (tmp_path / "page_2.json").write_text(page(2, next="c10"))
    (tmp_path / "page_10.json").write_text(page(10, last=True))
    assert [path.name for path in plan_paths(tmp_path, "page_*.json")] == [
        "page_1.json",
        "page_2.json",
        "page_10.json",
    ]
    found, problems = read(tmp_path, "page_*.json")
    assert problems == []
    assert found is not None
    assert list(found.plan.events) == ["Event 1", "Event 2", "Event 10"]
    file, mark = found.place(found.plan.events["Event 2"].at)
    assert (Path(file).name, mark.line) == ("page_2.json", 4)


@pytest.mark.parametrize("between", ["\n", "", ",\n", "\n\n"])
def test_pages_one_after_another_in_a_file_are_one_plan(tmp_path: Path, between: str) -> None:
    text = page(1) + between + page(2, last=True)
    (tmp_path / "plan.json").write_text(text)
    found, problems = read(tmp_path, "plan.json")
    assert problems == []
    assert found is not None
    assert list(found.plan.events) == ["Event 1", "Event 2"]
    _, mark = found.place(found.plan.events["Event 2"].at)
    assert mark.line == page(1).count("\n") + between.count("\n") + 4


def test_a_page_that_is_not_there_is_missed(tmp_path: Path) -> None:
    (tmp_path / "page_1.json").write_text(page(1))
    (tmp_path / "page_3.json").write_text(page(3, last=True))
    found, problems = read(tmp_path, "page_*.json")
    assert found is None
    assert problems == [
        "page_1.json:25:17: the file holds one page of the plan, and more follow; "
        "save the following pages too, or fetch the plan with `recon plan pull`"
    ]


def test_a_last_page_alone_is_told_from_the_number_of_all_rules(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(page(3, last=True, totalEntries=320))
    _, problems = read(tmp_path, "plan.json")
    assert "1 rules stand here, and the plan has 320" in problems[0]


def test_a_rule_that_two_pages_hold_is_told_in_both(tmp_path: Path) -> None:
    rule = track_rule("A", {})
    (tmp_path / "page_1.json").write_text(page(1, rules=[rule]))
    (tmp_path / "page_2.json").write_text(page(2, last=True, rules=[rule]))
    _, problems = read(tmp_path, "page_*.json")
    assert [each.split(":")[0] for each in problems] == ["page_2.json", "page_1.json"]
    assert all("version 1 of `A` stands" in each for each in problems)


def test_half_of_a_second_answer_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(page(1, last=True) + '\n{"data": {"rules": [')
    found, problems = read(tmp_path, "plan.json")
    assert found is None
    assert "not JSON" in problems[0]


def test_a_workspace_names_pages_by_a_star(tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "1.json").write_text(page(1))
    (tmp_path / "plan" / "2.json").write_text(page(2, last=True))
    contract = {"name": "a", "timezone": "UTC", "tracking_plan": "plan/*.json", "sources": {"web": {}}}
    (tmp_path / "workspace.yml").write_text(json.dumps(contract))
    assert list(load_workspace(tmp_path).plan_for("web").events) == ["Event 1", "Event 2"]
    (tmp_path / "plan" / "1.json").unlink()
    (tmp_path / "plan" / "2.json").unlink()
    with pytest.raises(ConfigurationError, match=r"the tracking plan `plan/\*\.json` does not exist"):
        load_workspace(tmp_path)
