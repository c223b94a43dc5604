"""Each macro that differs between the engines answers alike on both."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from portability import shop, truth
from portability.conftest import CHECKOUT, ENGINES, Engine

pytestmark = pytest.mark.dbt

ROWS = truth.rows()
# Whole statements, lists and places in a table, which the flow's tests run on both engines.
BY_THE_FLOW = {
    "any_of",
    "broken_list",
    "in_clustered_order",
    "keeps_positions",
    "kept",
    "kept_once",
    "landed_position",
    "not_kept",
    "replace_rows",
    "replace_rows_by_table",
    "one_rule_a_row",
}
_MARK = "-- the next row"


@pytest.fixture(scope="module")
def answers(new_engine: Callable[[str], Engine]) -> Callable[[str], list[Any]]:
    """The rendered statements of an engine, run one by one: an answer, or what went wrong, for each row."""
    known: dict[str, list[Any]] = {}

    def answers_of(name: str) -> list[Any]:
        if name not in known:
            engine = new_engine(name)
            known[name] = _asked(engine, _rendered(engine))
        return known[name]

    return answers_of


def _rendered(engine: Engine) -> list[str]:
    """dbt renders all rows at once, as it renders a model."""
    dbt = engine.dbt()
    dbt.render(shop.write_workspace(engine.folder / "expectations"))
    model = engine.folder / "dbt" / "models" / "truth_tables.sql"
    model.write_text(f"\n{_MARK}\n".join(row.template for row in ROWS), "utf-8")
    dbt.run(["truth_tables"], command="compile")
    (compiled,) = (engine.folder / "dbt" / "target" / "compiled").rglob("truth_tables.sql")
    statements = compiled.read_text("utf-8").split(_MARK)
    assert len(statements) == len(ROWS)
    return statements


def _asked(engine: Engine, statements: list[str]) -> list[Any]:
    found: list[Any] = []
    for statement in statements:
        # A connection each: after an error the rest of a transaction is refused.
        with engine.warehouse.engine.connect() as connection:
            try:
                found.append(connection.exec_driver_sql(statement).scalar_one())
            except sa.exc.DBAPIError as error:
                found.append(error)
    return found


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("number", range(len(ROWS)), ids=[row.title for row in ROWS])
def test_a_macro_answers_by_its_truth_table(
    answers: Callable[[str], list[Any]], name: str, number: int
) -> None:
    answer = answers(name)[number]

    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, Decimal):
        answer = float(answer)
    expected = ROWS[number].expected
    assert answer == expected
    assert (answer is None) == (expected is None)


def test_every_macro_with_a_branch_of_its_own_has_a_truth_table() -> None:
    dispatched = {
        name
        for path in (CHECKOUT / "dbt" / "macros").rglob("*.sql")
        for name in re.findall(r"adapter\.dispatch\('(\w+)'\)", path.read_text("utf-8"))
    }

    assert dispatched - BY_THE_FLOW <= {row.macro for row in ROWS}
    assert dispatched >= BY_THE_FLOW


@pytest.mark.parametrize(
    "path", sorted((CHECKOUT / "dbt" / "models").rglob("*.sql")), ids=lambda path: path.stem
)
def test_a_model_leaves_what_differs_to_the_macros(path: Path) -> None:
    of_one_engine = (
        "epoch_ms|time_bucket|strftime|regexp_full_match|regexp_matches|list_filter|try_cast|dateadd"
        "|convert_timezone|bitand|bitor|time_slice|to_timestamp_ntz|to_char|flatten"
    )

    assert re.findall(rf"\b(?:{of_one_engine})\b|::|//", path.read_text("utf-8")) == []
