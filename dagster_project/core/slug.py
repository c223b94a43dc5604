"""Segment's slug of a raw name: the table and `event` that a warehouse connector makes of it."""

from __future__ import annotations

from functools import lru_cache

_UNDERSCORE = ord("_")


def _lower(byte: int) -> bool:
    return 0x61 <= byte <= 0x7A


def _upper(byte: int) -> bool:
    return 0x41 <= byte <= 0x5A


def _digit(byte: int) -> bool:
    return 0x30 <= byte <= 0x39


@lru_cache(maxsize=65_536)  # a run asks for each name of a plan some ten times
def slug(raw: str) -> str:
    """What go-snakecase makes of `raw`, byte for byte.

    It works on bytes and knows ASCII letters and digits only: every byte of `é` or `🎉` is a separator. The
    answer may be empty and may begin with a digit. `PurchaseCompleted`, `purchase_completed` and
    `Purchase Completed` are one slug, which is why a slug never identifies an event here.
    """
    # A lone surrogate cannot be UTF-8; like every other non-ASCII byte it only separates.
    data = raw.encode("utf-8", "surrogatepass")
    size = len(data)

    # The prefix that needs no change, and what it tells about the word that it ends in.
    position = 0
    seen_lower = False
    seen_underscore = False
    lower_since_underscore = False
    while position < size:
        byte = data[position]
        if _lower(byte):
            seen_lower = True
            lower_since_underscore = True
        elif byte == _UNDERSCORE:
            inside = 0 < position < size - 1
            if not inside or not (_lower(data[position + 1]) or _digit(data[position + 1])):
                break
            seen_underscore = True
            lower_since_underscore = False
        elif not _digit(byte):
            break
        position += 1
    if position == size:
        return raw

    out = bytearray(data[:position])

    def take_word(start: int) -> int:
        at = start
        while at < size and (_upper(data[at]) or _digit(data[at])):
            out.append(data[at] | 0x20 if _upper(data[at]) else data[at])
            at += 1
        while at < size and (_lower(data[at]) or _digit(data[at])):
            out.append(data[at])
            at += 1
        return at

    # An upper-case letter after digits alone belongs to the word in progress (`5TEst`, `edf_6N`).
    continues = not seen_lower or (seen_underscore and not lower_since_underscore)
    if _upper(data[position]) and continues:
        position = take_word(position)

    while position < size:
        byte = data[position]
        if not (_lower(byte) or _upper(byte) or _digit(byte)):
            position += 1
            continue
        if out:
            out.append(_UNDERSCORE)
        position = take_word(position)
    return out.decode("ascii")
