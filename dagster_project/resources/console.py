"""The console logger of a run: one line a finished stage for `recon run`, Dagster's own lines elsewhere."""

import logging
from collections.abc import Callable
from typing import Any

import dagster as dg

Progress = Callable[[str, str, float], None]  # step, "started" or "done", seconds
_listener: list[Progress] = []


def listen(progress: Progress) -> None:
    """Tell `progress` the steps of the runs in this process, instead of writing Dagster's lines."""
    _listener[:] = [progress]


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


@dg.logger(description="One line a stage for recon run; Dagster's own lines in every other process.")
def console(context: dg.InitLoggerContext) -> logging.Logger:
    if not _listener:
        return dg.colored_console_logger.logger_fn(context)  # type: ignore[no-any-return]
    logger = logging.getLogger("recon.steps")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.handlers = [_Steps()]
    return logger
