"""One run at a time for a state folder: a lock that the kernel takes back from a process that dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 600.0
_held: set[Path] = set()  # by this process: a command holds it around the run that asks for it again


class RunLocked(RuntimeError):
    """Another run works on this workspace and did not end in time."""


@contextmanager
def run_lock(
    state_dir: Path,
    run_id: str,
    *,
    patience_s: float = PATIENCE_S,
    waiting: Callable[[str], None] = lambda holder: None,
) -> Iterator[None]:
    """Hold the workspace for this run; wait for another to end, up to `patience_s` seconds.

    `waiting` is told once who holds it. Raises :class:`RunLocked` when the wait was in vain. The file stays
    where it is: removing a lock file that another process has open would make two locks of one.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    path = (state_dir / "run.lock").resolve()
    if path in _held:
        yield
        return
    with path.open("a+", encoding="utf-8") as handle:
        deadline = time.monotonic() + patience_s
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = _holder(path)
                if not told:
                    waiting(holder)
                    told = True
                if time.monotonic() >= deadline:
                    raise RunLocked(
                        f"another run works on this workspace ({holder}, lock {path}); "
                        "wait until it has ended, or stop it, and run again"
                    ) from None
                time.sleep(0.2)
        handle.seek(0)
        handle.truncate()
        handle.write(json.dumps({"run_id": run_id, "pid": os.getpid()}))
        handle.flush()
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)


def is_locked(state_dir: Path) -> bool:
    """Whether a run holds the workspace now."""
    path = state_dir / "run.lock"
    if not path.exists():
        return False
    with path.open("a", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_text("utf-8"))
        return f"run {told['run_id']}, process {told['pid']}"
    except (OSError, ValueError, KeyError):
        return "a run that has just begun"
