"""`recon check --warehouse` asks a Snowflake account what the first run would otherwise find out."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from portability.conftest import Engine

from dagster_project.core.contracts import Source, Workspace
from dagster_project.core.grants import OWN_SCHEMAS
from dagster_project.resources.snowflake_check import Probe, _writable, partitions, probes

AS_OF = date(2026, 11, 22)
SHOP = Workspace(name="shop", lookback_days=35, sources=(Source(name="web"),))


class Account:
    """Answers as an account does, by what a statement begins with, and keeps what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[str] = []
        self.answers = {
            "select current_role": [{"role": "RECON", "db": "SEGMENT", "wh": "SMALL", "v": "9.40"}],
            "show parameters like 'timezone'": [{"value": "UTC"}],
            "show parameters like 'timestamp": [{"value": "TIMESTAMP_NTZ"}],
            "select 1 as x from information_schema.schemata": [{"x": 1}],
            "explain": [{"plan": self.plan(4, 5_000)}],
            "create": [],
            "drop": [],
        } | answers

    @staticmethod
    def plan(assigned: int, total: int) -> str:
        stats = {"partitionsTotal": total, "partitionsAssigned": assigned, "bytesAssigned": 1}
        return json.dumps({"GlobalStats": stats, "Operations": [[]]})

    def frame(self, sql: str, **_params: Any) -> pd.DataFrame:
        self.asked.append(sql)
        answer = next(each for start, each in self.answers.items() if sql.lower().startswith(start))
        if isinstance(answer, Exception):
            raise answer
        return pd.DataFrame(answer)

    def execute(self, sql: str, **params: Any) -> None:
        self.frame(sql, **params)


def ask(account: Account) -> dict[str, Probe]:
    return {each.asked: each for each in probes(account, SHOP, AS_OF)}  # type: ignore[arg-type]


def test_an_account_that_is_in_order_is_told_with_its_facts() -> None:
    answers = ask(Account())

    assert all(each.ok for each in answers.values())
    assert "role RECON, database SEGMENT, warehouse SMALL" in answers["who and where"].fact
    assert answers["prune web.tracks"].fact == "4 of 5,000 partitions hold 2026-10-18 to 2026-11-22"


def test_nothing_is_written_but_a_table_in_each_of_our_schemas() -> None:
    account = Account()
    ask(account)

    written = [each for each in account.asked if each.startswith(("create", "drop"))]
    assert written == [
        statement
        for schema in OWN_SCHEMAS
        for statement in (
            f"create or replace transient table {schema}.recon_check (x integer)",
            f"drop table {schema}.recon_check",
        )
    ]


def test_a_refusal_is_told_with_the_next_step_and_the_other_questions_go_on() -> None:
    refused = sa.exc.ProgrammingError("create", {}, Exception("003001 (42501): Insufficient privileges"))
    answers = ask(Account(create=refused))

    assert not answers["write reconciliation"].ok
    assert "Insufficient privileges" in answers["write reconciliation"].fact
    assert "recon grants" in answers["write reconciliation"].next_step
    assert answers["prune web.tracks"].ok


def test_a_table_of_which_every_partition_is_read_is_told() -> None:
    answers = ask(Account(explain=[{"plan": Account.plan(5_000, 5_000)}]))

    assert not answers["prune web.tracks"].ok
    assert "each run reads all of it" in answers["prune web.tracks"].fact


def test_a_small_table_is_read_whole_and_nobody_minds() -> None:
    assert ask(Account(explain=[{"plan": Account.plan(3, 3)}]))["prune web.tracks"].ok


def test_an_account_whose_clock_is_not_utc_is_told() -> None:
    answers = ask(Account(**{"show parameters like 'timezone'": [{"value": "America/Los_Angeles"}]}))

    assert not answers["clock"].ok
    assert "TIMEZONE is America/Los_Angeles" in answers["clock"].fact


def test_a_role_without_a_warehouse_is_told() -> None:
    no_warehouse = [{"role": "RECON", "db": "SEGMENT", "wh": None, "v": "9.40"}]

    assert not ask(Account(**{"select current_role": no_warehouse}))["who and where"].ok


@pytest.mark.parametrize("plan", ["", "[]", "{}", '{"GlobalStats": {}}', "no plan", "null"])
def test_what_is_no_plan_is_said_to_be_none(plan: str) -> None:
    with pytest.raises(ValueError, match="tells no partitions"):
        partitions(plan)


@pytest.mark.parametrize("engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True)
def test_a_table_is_made_and_dropped_on_an_engine(engine: Engine) -> None:
    assert "the schema is new" in _writable(engine.warehouse, "reconciliation_work")
    assert "the schema is new" not in _writable(engine.warehouse, "reconciliation_work")
    assert not engine.warehouse.exists("reconciliation_work.recon_check")
