"""Which failures are tried again: an engine that was away for a moment, never wrong data, SQL or contracts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import dagster as dg
from sqlalchemy.exc import InterfaceError, OperationalError

from dagster_project.resources.warehouse import WarehouseBusy

Result = TypeVar("Result")
TRIES_MORE = 2
WAIT_S = 10
PASSING: tuple[type[Exception], ...] = (WarehouseBusy, OperationalError, InterfaceError, ConnectionError)
# dbt hands on the words of an error, not its class.
_PASSING_WORDS = ("could not set lock", "connection reset", "connection aborted", "temporarily unavailable")


def attempt(work: Callable[[], Result]) -> Result:
    """Do the work of a step; ask Dagster to try again when that can help.

    Raises `RetryRequested` for a failure of the moment and `Failure` without retries for any other.
    """
    try:
        return work()
    except PASSING as error:
        raise dg.RetryRequested(max_retries=TRIES_MORE, seconds_to_wait=WAIT_S) from error
    except Exception as error:
        if any(words in str(error).lower() for words in _PASSING_WORDS):
            raise dg.RetryRequested(max_retries=TRIES_MORE, seconds_to_wait=WAIT_S) from error
        raise dg.Failure(description=str(error), allow_retries=False) from error
