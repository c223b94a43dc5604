"""Writes the expected-gap ledger, in the diagnosis's own transaction: ledger and incidents agree or neither is there."""

from __future__ import annotations

from datetime import date
from typing import Final

import pandas as pd

from dagster_project.core.ledger import LEDGER_COLUMNS
from dagster_project.resources.warehouse import WarehouseSession

LEDGER: Final = "reconciliation.gap_ledger_daily"


def write_ledger(session: WarehouseSession, table: pd.DataFrame, since: date) -> None:
    """The days from `since` on are these rows and no others; earlier ones, which nobody reads any more, stay.

    The table must have been ensured before the transaction: on Snowflake a definition ends it.
    """
    session.execute(f"delete from {LEDGER} where day >= :since", since=since)
    session.append(LEDGER, table[list(LEDGER_COLUMNS)])
