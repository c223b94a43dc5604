"""Measures a piece of work in a process of its own: seconds, processor seconds, peak memory, bytes written."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
HELD: Final = "select cast(used_blocks * block_size as double) as held from pragma_database_size()"
# What the measured process runs: a function by name, its arguments as JSON, its answer as the last line.
# It leaves by os._exit, for DuckDB writes about its own leaks when Python is torn down after dbt.
_CHILD: Final = """
import importlib, json, os, sys
sys.path.insert(0, {here!r})
answer = getattr(importlib.import_module({module!r}), {function!r})(**json.load(sys.stdin))
print(json.dumps(answer), flush=True)
os._exit(0)
"""


def apart(
    module: str,
    function: str,
    arguments: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
) -> Any:
    """What the function answers, run in a fresh process; a process that breaks ends the benchmark.

    Keep the calling process small: on Linux a child's peak of memory starts at its parent's size.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD.format(here=str(HERE), module=module, function=function)],
        input=json.dumps(arguments, default=str),
        capture_output=True,
        text=True,
        env=clean_environment(environment),
    )
    if done.returncode:
        said = (done.stderr or done.stdout).split("\nnanobind:")[0]
        ended = f"was ended by signal {-done.returncode}" if done.returncode < 0 else "broke"
        raise SystemExit(f"{module}.{function} {ended}; it said:\n{said[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


@dataclass(frozen=True)
class Ended:
    """A command that has run as a whole process: its wall and processor seconds, memory, and what it said."""

    seconds: float
    cpu: float
    peak_mb: int
    written_mb: float
    status: int
    output: str
    errors: str


def whole_process(
    command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Ended:
    """Run a command to its end, whatever its exit status is."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=errors, env=clean_environment(environment), cwd=folder
        )
        # Not RUSAGE_CHILDREN: its peak is that of the largest child so far.
        _, status, used = os.wait4(process.pid, 0)
        seconds, process.returncode = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        return Ended(
            seconds,
            used.ru_utime + used.ru_stime,
            used.ru_maxrss // 1024,
            used.ru_oublock * 512 / 1e6,
            process.returncode,
            output.read(),
            errors.read(),
        )


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would point the product elsewhere, and with more of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECON_")}
    kept.pop("DAGSTER_HOME", None)
    return kept | dict(more or {})


class Spent:
    """What a block of work took; filled in when it ends."""

    seconds: float = 0.0
    cpu: float = 0.0
    written_mb: float = 0.0

    def numbers(self) -> dict[str, float]:
        """The figures by name, for an answer in JSON."""
        return {"seconds": self.seconds, "cpu": self.cpu, "written_mb": self.written_mb}


@contextmanager
def measured() -> Iterator[Spent]:
    """Wall seconds, processor seconds of all threads, and what this process gave the disk to write."""
    spent = Spent()
    began, used, written = time.perf_counter(), time.process_time(), written_mb()
    try:
        yield spent
    finally:
        spent.seconds, spent.cpu = time.perf_counter() - began, time.process_time() - used
        spent.written_mb = written_mb() - written


def peak_mb() -> int:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def written_mb() -> float:
    """What this process has caused to be written to disk so far; 0 where the system does not tell."""
    try:
        text = Path("/proc/self/io").read_text("ascii")
    except OSError:
        return 0.0
    return int(text.split("\nwrite_bytes: ")[1].split()[0]) / 1e6


def held_mb(warehouse: str) -> float:
    """What a DuckDB file holds, without the blocks in it that are free to be used again. Call it `apart`."""
    import duckdb

    with duckdb.connect(warehouse, read_only=True) as db:
        found = db.execute(HELD).fetchone()
    return float(found[0]) / 1e6 if found else 0.0
