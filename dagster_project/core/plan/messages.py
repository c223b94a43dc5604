"""Event JSON as people have it: one message, a list, a batch as Segment takes it, or one message a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from dagster_project.core.documents import JsonFile, Mark, Problems, Steps, read_json

# One text is read as a whole; a file of one message a line is not, whatever its length.
MOST_BYTES: Final = 200_000_000


@dataclass(frozen=True)
class Sent:
    """One message, and where it stands."""

    value: Any
    document: JsonFile
    path: Steps = ()
    below: int = 0  # lines of the file before its text

    def mark(self, path: Steps) -> Mark:
        """The place of what stands at a path of the message; of what is missing, of the object that lacks it."""
        mark = self.document.mark((*self.path, *path))
        return Mark(mark.line + self.below, mark.column)


def read_messages(file: str, stream: BinaryIO, problems: Problems) -> Iterator[Sent]:
    """The messages of a file, as they come; what is no JSON is a problem, and the lines after it are still read."""
    head: list[bytes] = []
    for line in stream:
        head.append(line)
        if line.strip(b"\xef\xbb\xbf \t\r\n"):
            break
    if head and _is_whole(head[-1]):
        following = stream.readline()
        if following.strip() or _is_whole(head[-1], mapping=True):
            yield from _lines(file, head, following, stream, problems)
            return
        head.append(following)
    size = sum(map(len, head))
    rest = stream.read(MOST_BYTES - size + 1)
    if size + len(rest) > MOST_BYTES:
        instead = "write one message a line, which is read piece by piece"
        problems.add(file, Mark(), f"one text of more than {MOST_BYTES // 1_000_000} MB", instead)
        return
    yield from _of_text(file, b"".join(head) + rest, 0, problems)


def _is_whole(line: bytes, mapping: bool = False) -> bool:
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) if mapping else isinstance(found, dict | list)


def _lines(
    file: str, head: list[bytes], following: bytes, stream: BinaryIO, problems: Problems
) -> Iterator[Sent]:
    below = len(head) - 1
    yield from _of_text(file, head[-1], below, problems)
    line = following
    while line:
        below += 1
        if line.strip():
            yield from _of_text(file, line, below, problems)
        line = stream.readline()


def _of_text(file: str, text: bytes, below: int, problems: Problems) -> Iterator[Sent]:
    own = Problems()
    text = text.rstrip()
    document = read_json(file, text, own) if text.strip(b"\xef\xbb\xbf \t\r\n") else None
    for each in own.found:
        instead = each.instead.replace("write smaller numbers", "write it as text")
        problems.add(file, Mark(each.line + below, each.column), each.fact, instead)
    if document is not None:
        yield from _messages(document, below)


def _messages(document: JsonFile, below: int) -> Iterator[Sent]:
    value = document.value
    if isinstance(value, list):
        for number, message in enumerate(value):
            yield Sent(message, document, (number,), below)
    elif isinstance(value, dict) and isinstance(value.get("batch"), list) and "type" not in value:
        # Segment merges a batch's context into each of its messages.
        context = value.get("context")
        for number, message in enumerate(value["batch"]):
            if isinstance(context, dict) and isinstance(message, dict):
                own = message.get("context")
                message = {**message, "context": {**context, **(own if isinstance(own, dict) else {})}}
            yield Sent(message, document, ("batch", number), below)
    else:
        yield Sent(value, document, (), below)
