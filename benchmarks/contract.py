"""Writes the benchmark's contract: the files in `expectations/` that anybody would write for this traffic."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from traffic import EVENTS, FIRST_DAY, SOURCES, Traffic, event_name


def write_expectations(folder: Path, traffic: Traffic) -> None:
    """A workspace of ten sources and one file for each tool; all export message ids. JSON is YAML."""
    (folder / "destinations").mkdir(parents=True, exist_ok=True)
    rules = [
        {
            "type": "TRACK",
            "key": event_name(number),
            "version": 1,
            "jsonSchema": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
        }
        for number in range(EVENTS)
    ]
    (folder / "tracking_plan.json").write_text(json.dumps({"data": {"rules": rules}}), "utf-8")
    workspace = {
        "name": "benchmark",
        "timezone": "UTC",
        "tracking_plan": "tracking_plan.json",
        # A day early: where it is still the day before, the first messages are on that one.
        "starts_on": (FIRST_DAY - timedelta(days=1)).isoformat(),
        "sources": {f"app_{number}": {} for number in range(SOURCES)},
    }
    (folder / "workspace.yml").write_text(json.dumps(workspace, indent=1), "utf-8")
    for tool in range(traffic.destinations):
        destination = {
            "name": f"tool_{tool}",
            "timezone": traffic.zone(tool),
            "grain": "event",
            "complete_after": "6h",
            "receives": {"sources": "all", "events": [event_name(each) for each in traffic.received(tool)]},
            "export": {
                "table": f"exports.tool_{tool}",
                "columns": {
                    "event_name": "event_name",
                    "event_time": "event_time",
                    "message_id": "message_id",
                },
            },
        }
        (folder / "destinations" / f"tool_{tool}.yml").write_text(json.dumps(destination, indent=1), "utf-8")
