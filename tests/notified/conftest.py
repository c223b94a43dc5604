"""Fixtures: a Slack on loopback that misbehaves as told, and an empty warehouse."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dagster_project.resources.warehouse import Warehouse, open_warehouse

WEBHOOK_PATH = "/services/T0SECRET/B0SECRET/hush0hush0hush"


@dataclass
class Answer:
    status: int = 200
    body: str | None = None  # None: what Slack says when all is well
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


Responder = Callable[[dict[str, Any]], Answer]


class FakeSlack:
    """Answers with the queued answers one after the other, then as `otherwise` says."""

    def __init__(self) -> None:
        self.queue: list[Answer] = []
        self.otherwise: Responder = lambda _payload: Answer()
        self.received: list[dict[str, Any]] = []
        self.accepted: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.posted: list[dict[str, Any]] = []  # accepted by chat.postMessage or the webhook
        self.edited: list[dict[str, Any]] = []  # accepted by chat.update
        self.deleted: set[str] = set()  # time stamps of messages that are gone
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                payload = json.loads(raw)
                outer.received.append(payload)
                outer.headers.append(dict(self.headers))
                answer = outer.queue.pop(0) if outer.queue else outer.otherwise(payload)
                time.sleep(answer.delay)
                body = answer.body
                if body is None:
                    body = "ok" if self.path == WEBHOOK_PATH else outer.api_answer(self.path, payload)
                if answer.status == 200 and (body == "ok" or body.startswith('{"ok": true')):
                    outer.accepted.append(payload)
                    (outer.edited if self.path.endswith("chat.update") else outer.posted).append(payload)
                try:
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body.encode())))
                    self.end_headers()
                    self.wfile.write(body.encode())
                except OSError:
                    pass  # the client gave up, which is what a test of timeouts wants

            def log_message(self, *_args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"

    def api_answer(self, path: str, payload: dict[str, Any]) -> str:
        """As Slack's API answers: a reply to a message that is gone stands in the channel, and nothing says so."""
        ts = payload.get("ts") or f"1700000000.{len(self.posted) + 1:06}"
        if path.endswith("chat.update") and ts in self.deleted:
            return json.dumps({"ok": False, "error": "message_not_found"})
        under = payload.get("thread_ts")
        message = {"thread_ts": under} if under and under not in self.deleted else {}
        return json.dumps({"ok": True, "channel": "C0DATA", "ts": ts, "message": message})

    @property
    def webhook_url(self) -> str:
        return self.base + WEBHOOK_PATH

    @property
    def api_url(self) -> str:
        return self.base + "/api"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = FakeSlack()
    yield server
    server.close()


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return open_warehouse("duckdb", tmp_path / "warehouse.duckdb", {})
