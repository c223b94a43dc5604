"""One warehouse, one folder of suites and one folder of Data Docs for each test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from judged.evidence import DAY, land, workspace, write_suites

from dagster_project.core.contracts import Workspace
from dagster_project.flow.judged import CHECK_RESULTS, CheckResult, judge
from dagster_project.resources.warehouse import Warehouse

JUDGED_AT = datetime(2026, 10, 22, 6, 30)


@dataclass
class Court:
    """Judges evidence and keeps what came of it."""

    warehouse: Warehouse
    contract: Workspace
    suites_dir: Path
    docs_dir: Path

    def judge(
        self,
        days: Mapping[str, Sequence[date]] | None = None,
        run_id: str = "run_1",
        *,
        docs: bool = False,
    ) -> dict[tuple[str, str], CheckResult]:
        """Results by subject and rule."""
        wanted = {"email": [DAY]} if days is None else days
        found = judge(
            self.warehouse,
            self.suites_dir,
            self.contract,
            wanted,
            run_id,
            self.docs_dir if docs else None,
            judged_at=JUDGED_AT,
        )
        by_rule = {(result.subject, result.rule_id): result for result in found}
        assert len(by_rule) == len(found)
        return by_rule

    def table(self) -> pd.DataFrame:
        return self.warehouse.frame(f"select * from {CHECK_RESULTS} order by run_id, subject, rule_id, day")

    def pages(self) -> dict[str, str]:
        """Data Docs by suite, the index under its own name."""
        found = {"index": (self.docs_dir / "index.html").read_text(encoding="utf-8")}
        for page in (self.docs_dir / "validations").glob("**/*.html"):
            name = page.relative_to(self.docs_dir / "validations").parts[0]
            assert name not in found
            found[name] = page.read_text(encoding="utf-8")
        return found


Convene = Callable[..., Court]


@pytest.fixture
def convene(tmp_path: Path) -> Convene:
    def build(evidence: Mapping[str, list[dict[str, Any]]], contract: Workspace | None = None) -> Court:
        contract = contract or workspace()
        return Court(
            warehouse=land(tmp_path / "warehouse.duckdb", evidence),
            contract=contract,
            suites_dir=write_suites(tmp_path / "suites", contract),
            docs_dir=tmp_path / "data_docs",
        )

    return build
