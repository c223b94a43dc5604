"""A suite that has the rows before it that it had last time is not judged again, and any change is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from judged.conftest import JUDGED_AT, Convene, Court
from judged.evidence import DAY, healthy, incident, together

from dagster_project.flow.judged import CHECK_RESULTS, judge
from dagster_project.resources.gx import Suites

WRONG = together(healthy(), incident("delivery_loss", event="Purchase Completed"))


class Sitting:
    """Judges one court's evidence with a memory, and notes which suites Great Expectations was asked about."""

    def __init__(self, court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
        self.court = court
        self.memory = court.docs_dir.with_name("outcomes.json")
        self.asked: list[str] = []
        real = Suites.run

        def run(
            suites: Suites, name: str, expectations: Sequence[Mapping[str, Any]], frame: pd.DataFrame
        ) -> Any:
            self.asked.append(name)
            return real(suites, name, expectations, frame)

        monkeypatch.setattr(Suites, "run", run)

    def judge(self, run_id: str, days: Mapping[str, Sequence[date]] | None = None) -> pd.DataFrame:
        """The run's rows of the table of results, without its id; `asked` holds the suites that were judged."""
        self.asked.clear()
        court = self.court
        judge(
            court.warehouse,
            court.suites_dir,
            court.contract,
            {"email": [DAY]} if days is None else days,
            run_id,
            court.docs_dir,
            judged_at=JUDGED_AT,
            memory=self.memory,
        )
        return court.warehouse.frame(
            f"select * exclude (run_id) from {CHECK_RESULTS} where run_id = :run_id"
            " order by subject, rule_id, day nulls first",
            run_id=run_id,
        )


@pytest.fixture
def sitting(convene: Convene, monkeypatch: pytest.MonkeyPatch) -> Sitting:
    """A sitting that has judged an incident once."""
    found = Sitting(convene(WRONG), monkeypatch)
    found.judge("run_1")
    assert len(found.asked) == len(list(found.court.suites_dir.glob("*.json")))
    return found


def test_the_same_rows_have_the_same_results_without_being_judged_again(sitting: Sitting) -> None:
    pages = sitting.court.pages()
    again = sitting.judge("run_2")
    assert sitting.asked == []
    sitting.memory.unlink()
    anew = sitting.judge("run_3")
    assert len(sitting.asked) > 0
    assert set(again["status"]) == {"PASS", "FAIL"}
    pd.testing.assert_frame_equal(again, anew)
    assert sitting.court.pages().keys() == pages.keys()


def test_a_page_that_stands_says_which_run_judged_it(sitting: Sitting) -> None:
    sitting.judge("run_2")
    assert "run_1" in sitting.court.pages()["email__counts"]


def test_only_suites_whose_rows_have_changed_are_judged(sitting: Sitting) -> None:
    sitting.court.warehouse.execute("update reconciliation_work.int_cells_daily set missing = missing + 1")
    sitting.judge("run_2")
    assert "email__counts" in sitting.asked
    assert "email__names" not in sitting.asked
    pages = sitting.court.pages()
    assert "run_2" in pages["email__counts"]
    assert "run_1" in pages["email__names"]


def test_what_heals_is_judged_again_and_passes(sitting: Sitting) -> None:
    sitting.court.warehouse.execute("update reconciliation.incidents set status = 'resolved'")
    healed = sitting.judge("run_2")
    assert "email__counts" in sitting.asked
    assert set(healed["status"]) == {"PASS"}


def test_other_days_are_judged(sitting: Sitting) -> None:
    sitting.judge("run_2", {"email": [DAY, date(2026, 10, 19)]})
    assert sitting.asked


def test_a_changed_suite_is_judged(sitting: Sitting) -> None:
    file = sitting.court.suites_dir / "email__names.json"
    content = json.loads(file.read_text("utf-8"))
    content["expectations"].append(
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"max_value": 0}}
    )
    file.write_text(json.dumps(content), "utf-8")
    results = sitting.judge("run_2")
    assert sitting.asked == ["email__names"]
    assert "FAIL" in set(results[results["family"] == "names"]["status"])


def test_other_code_judges_anew(sitting: Sitting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagster_project.resources.outcomes._code", lambda: "of tomorrow")
    sitting.judge("run_2")
    assert "email__counts" in sitting.asked


def test_what_could_not_be_judged_is_tried_in_every_run(
    convene: Convene, monkeypatch: pytest.MonkeyPatch
) -> None:
    court = convene(healthy())
    file = court.suites_dir / "email__counts.json"
    content = json.loads(file.read_text("utf-8"))
    content["expectations"].append({"type": "expect_miracles", "kwargs": {}})
    file.write_text(json.dumps(content), "utf-8")
    sitting = Sitting(court, monkeypatch)
    for run_id in ("run_1", "run_2"):
        assert "ERROR" in set(sitting.judge(run_id)["status"])
        assert "email__counts" in sitting.asked


def test_pages_that_are_gone_come_back(sitting: Sitting) -> None:
    pages = set(sitting.court.pages())
    sitting.court.docs_dir.rename(sitting.court.docs_dir.with_name("gone"))
    sitting.judge("run_2")
    assert sitting.asked
    assert set(sitting.court.pages()) == pages


def test_a_suite_that_left_takes_its_page_along_though_nothing_is_judged(sitting: Sitting) -> None:
    kept = sitting.court.suites_dir / "mine.json"
    kept.write_text('{"expectations": [], "meta": {"destination": "email", "family": "counts"}}', "utf-8")
    sitting.judge("run_2")
    assert "mine" in sitting.court.pages()
    kept.unlink()
    sitting.judge("run_3")
    assert sitting.asked == []
    assert "mine" not in sitting.court.pages()


def test_nothing_is_remembered_of_a_run_whose_pages_could_not_be_written(
    convene: Convene, monkeypatch: pytest.MonkeyPatch
) -> None:
    sitting = Sitting(convene(healthy()), monkeypatch)
    with monkeypatch.context() as broken:
        broken.setattr(Suites, "write_docs", lambda *_, **__: 1 / 0)
        sitting.judge("run_1")
    sitting.judge("run_2")
    assert "email__counts" in sitting.asked
    assert "email__counts" in sitting.court.pages()


@pytest.mark.parametrize("content", ["", "[]", '{"email__counts": {}}', '{"email__counts": 1}', "\x00"])
def test_a_memory_that_cannot_be_read_is_none(sitting: Sitting, content: str) -> None:
    sitting.memory.write_text(content, "utf-8")
    sitting.judge("run_2")
    assert "email__counts" in sitting.asked
    assert Path(sitting.memory).stat().st_size > 1_000


def test_a_null_and_an_empty_text_and_a_number_and_its_digits_are_not_the_same_rows() -> None:
    from dagster_project.resources.outcomes import Memory

    values = [None, "", "1", 1, 1.0, float("nan"), True]
    frames = [pd.DataFrame({"x": pd.Series([value], dtype=object)}) for value in values]
    frames += [
        pd.DataFrame({"y": frames[0]["x"]}),
        pd.DataFrame({"x": [None, None]}),
        pd.DataFrame({"x": []}),
    ]
    memory = Memory(Path("unused"))
    seen = set()
    for frame in frames:
        memory.recall("suite", [], frame)
        seen.add(memory._given["suite"])
    assert len(seen) == len(frames)
