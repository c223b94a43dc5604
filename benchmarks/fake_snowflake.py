"""A server that answers as Snowflake does, in a process of its own on a free loopback port."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests


@dataclass
class FakeSnowflake:
    """Where the server listens; every user of it takes a database of its own, which is empty."""

    port: int
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def environment(self) -> dict[str, str]:
        """The environment of a run against a new database of this server."""
        return {
            "RECON_TARGET": "snowflake",
            "SNOWFLAKE_ACCOUNT": "acme",
            "SNOWFLAKE_USER": "recon",
            "SNOWFLAKE_PASSWORD": "a password that no message may hold",
            "SNOWFLAKE_DATABASE": f"PORTABILITY_{next(self._numbers)}",
            "SNOWFLAKE_HOST": "127.0.0.1",
            "SNOWFLAKE_PORT": str(self.port),
            "SNOWFLAKE_PROTOCOL": "http",
        }


@contextmanager
def fake_snowflake(log: Path) -> Iterator[FakeSnowflake]:
    """Start the server, wait until it answers, and stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "fakesnow", "--server", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TZ": "UTC"},
        )
    try:
        _wait(process, port, log)
        yield FakeSnowflake(port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            # Any answer will do; there is no page here.
            requests.get(f"http://127.0.0.1:{port}/", timeout=2)
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError(
        f"fakesnow does not answer on port {port}: {log.read_text('utf-8', 'replace')[-2000:]}"
    )
