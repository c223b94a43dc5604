"""A Segment on loopback that pages, throttles, fails and recovers as told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "sgp_veryhush_0123456789abcdef"


@dataclass
class Answer:
    """One answer that is not the usual one. `cut`: the connection ends after so many bytes of the body."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    delay: float = 0.0


class FakeSegment:
    """Answers with the queued answers one after the other, then as the API does for `plans`."""

    def __init__(self) -> None:
        self.plans: list[dict[str, Any]] = []
        self.rules: dict[str, list[dict[str, Any]]] = {}
        self.queue: list[Answer | None] = []  # None: this one as usual
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.cursor_of: Callable[[int], str] = lambda start: f"c{start}"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.headers.append(dict(self.headers))
                told = outer.queue.pop(0) if outer.queue else None
                answer = told if told is not None else outer.usual(self.path, dict(self.headers))
                time.sleep(answer.delay)
                try:
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body[: answer.cut])
                    if answer.cut is not None:
                        self.wfile.flush()
                        self.close_connection = True
                        self.connection.close()
                except OSError:
                    pass  # the client gave up

            def log_message(self, *_args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, plan_id: str, name: str, rules: list[dict[str, Any]], kind: str = "LIVE") -> None:
        self.plans.append(
            {"id": plan_id, "name": name, "type": kind, "updatedAt": "2026-11-20T08:00:00.000Z"}
        )
        self.rules[plan_id] = rules

    def usual(self, path: str, headers: dict[str, str]) -> Answer:
        """As the API answers: a bearer token, pages by an opaque cursor, `next` missing on the last one."""
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answer(401, b'{"errors": [{"type": "unauthorized", "message": "no"}]}')
        split = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(split.query).items()}
        count, cursor = int(asked["pagination.count"]), asked.get("pagination.cursor")
        if split.path == "/tracking-plans":
            kept = [plan for plan in self.plans if plan["type"] == asked.get("type", plan["type"])]
            return self._page("trackingPlans", kept, count, cursor)
        plan_id = split.path.removeprefix("/tracking-plans/").removesuffix("/rules")
        if plan_id not in self.rules:
            return Answer(404, b'{"errors": [{"type": "not-found"}]}')
        return self._page("rules", self.rules[plan_id], count, cursor)

    def _page(self, key: str, items: list[dict[str, Any]], count: int, cursor: str | None) -> Answer:
        starts = {self.cursor_of(start): start for start in range(0, len(items) + 1, count)}
        start = starts[cursor] if cursor is not None else 0
        pagination: dict[str, Any] = {"current": cursor or "", "totalEntries": len(items)}
        if start + count < len(items):
            pagination["next"] = self.cursor_of(start + count)
        body = {"data": {key: items[start : start + count], "pagination": pagination}}
        return Answer(200, json.dumps(body).encode())

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def track(name: str, *, version: int = 1, **properties: Any) -> dict[str, Any]:
    """A TRACK rule in Segment's own skeleton."""
    of_properties = {"type": "object", "properties": properties, "required": sorted(properties)}
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"context": {}, "traits": {}, "properties": of_properties},
    }
    return {
        "type": "TRACK",
        "key": name,
        "version": version,
        "jsonSchema": schema,
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
        "deprecatedAt": "0001-01-01T00:00:00.000Z",
    }
