"""What `recon run` shows of its Dagster run while it works; every other run keeps Dagster's own console."""

import logging
from collections.abc import Callable
from typing import Any

import dagster as dg

Progress = Callable[[str, str, float], None]  # step, "started" or "done", seconds; or words, "says", 0
_listener: list[Progress] = []


def listen(progress: Progress) -> None:
    """Tell `progress` the steps of the runs in this process."""
    _listener[:] = [progress]


def say(words: str) -> None:
    """Tell the listener how far a step has come, in words."""
    if _listener:
        _listener[0](words, "says", 0.0)


class _Steps(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event: Any = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is None or not _listener:
            return
        kind = event.event_type_value
        if kind == "STEP_START":
            _listener[0](event.step_key, "started", 0.0)
        elif kind == "STEP_SUCCESS":
            _listener[0](event.step_key, "done", event.step_success_data.duration_ms / 1000)


@dg.logger(None, description="What `recon run` shows on its terminal: a line a finished stage.")
def terminal(context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.getLogger("recon.steps")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.handlers = [_Steps()]
    return logger
