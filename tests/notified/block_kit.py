"""Slack's documented limits of a message, as a list of what breaks them."""

from __future__ import annotations

import json
import re
from typing import Any


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def problems(payload: dict[str, Any]) -> list[str]:
    found: list[str] = []
    json.dumps(payload, allow_nan=False).encode("ascii")
    if not payload["text"] or units(payload["text"]) > 4_000:
        found.append("fallback text")
    found += _markup("text", payload["text"])
    if payload.get("link_names") or payload["unfurl_links"] or payload["unfurl_media"]:
        found.append("names or links would be taken up")
    blocks = payload.get("blocks", [])
    if len(blocks) > 50:
        found.append(f"{len(blocks)} blocks")
    for index, block in enumerate(blocks):
        place = f"blocks[{index}]"
        if block["type"] == "header":
            found += _text(place, block["text"], 150, kind="plain_text")
        elif block["type"] == "section":
            if "text" not in block and "fields" not in block:
                found.append(f"{place} is empty")
            if "text" in block:
                found += _text(place, block["text"], 3_000)
            fields = block.get("fields", [])
            if len(fields) > 10 or ("fields" in block and not fields):
                found.append(f"{place} has {len(fields)} fields")
            for field in fields:
                found += _text(place, field, 2_000)
        elif block["type"] == "context":
            if not 1 <= len(block["elements"]) <= 10:
                found.append(f"{place} has {len(block['elements'])} elements")
            for element in block["elements"]:
                found += _text(place, element, 3_000)
        else:
            found.append(f"{place} is a {block['type']}")
    return found


def _text(place: str, text: dict[str, Any], limit: int, kind: str = "mrkdwn") -> list[str]:
    found = []
    if text["type"] != kind:
        found.append(f"{place} is {text['type']}")
    if kind == "mrkdwn" and text.get("verbatim") is not True:
        found.append(f"{place} is not verbatim")
    if not 1 <= units(text["text"]) <= limit:
        found.append(f"{place} has {units(text['text'])} characters")
    return found + _markup(place, text["text"])


def _markup(place: str, text: str) -> list[str]:
    """Markup that is not ours. Ours: a bold label on a line of its own, code, and one link to the run."""
    found = []
    text = re.sub(r"^\*[A-Z][a-z ]+\*\n", "", text)
    text = re.sub(r"^<https?://[^<>|\s]+\|Open the run in Dagster>$", "", text)
    if "<" in text or ">" in text:
        found.append(f"{place} holds an angle bracket")
    if re.search(r"&(?!(?:amp|lt|gt);)", text):
        found.append(f"{place} holds a torn or bare ampersand")
    if re.search(r"@(?:here|channel|everyone)", text, re.IGNORECASE):
        found.append(f"{place} mentions everybody")
    if any(
        (ord(char) < 32 and char != "\n") or char in "\u202a\u202b\u202d\u202e\u200b\u2028" for char in text
    ):
        found.append(f"{place} holds a hidden character")
    for line in text.split("\n"):
        if line.count("`") % 2:
            found.append(f"{place} has an open code span")
        outside = re.sub(r"`[^`]*`", " ", line)
        if re.search(r"[*~]|(?<![^\W_])_|_(?![^\W_])|^&gt;|://", outside):
            found.append(f"{place} holds markup from the data: {outside[:80]!r}")
    return found
