"""Fixtures: a Segment on loopback, and the environment of a command that may ask it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plan_health.segment_server import TOKEN, FakeSegment


@pytest.fixture
def segment(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSegment]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = FakeSegment()
    yield server
    server.close()


@pytest.fixture
def at_segment(segment: FakeSegment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeSegment:
    """The environment of a command: a token, this server, and a folder of its own."""
    monkeypatch.setenv("SEGMENT_API_TOKEN", TOKEN)
    monkeypatch.setenv("SEGMENT_API_URL", segment.base)
    monkeypatch.setenv("RECON_EXPECTATIONS_DIR", "expectations")
    monkeypatch.chdir(tmp_path)
    return segment
