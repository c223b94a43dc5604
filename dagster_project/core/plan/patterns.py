"""Patterns of a plan: evaluated as RE2, which is what Segment does and what no pattern can make slow."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

_LONGEST: Final = 10_000
_DEEPEST: Final = 100  # groups within groups

# One escape, or one bracket expression: what stands in it is not syntax.
_ESCAPE_OR_CLASS: Final = re.compile(r"\\(?P<escape>.)|\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\]", re.DOTALL)

_REPEATED_FLAGS: Final = re.compile(r"\(\?[imsU-]+\)(?:[*+?]|\{\d+(?:,\d*)?\})")


@lru_cache(maxsize=4096)
def unusable_pattern(pattern: str) -> str | None:
    """Why Segment and the warehouses cannot evaluate a pattern; None when they can.

    They speak RE2 or less, so RE2 itself has the word. It takes time in proportion to the text whatever the
    pattern: nested quantifiers, which make other engines explode, are fine.
    """
    if len(pattern) > _LONGEST:
        return f"is {len(pattern):,} characters long, and {_LONGEST:,} are the most"
    import re2

    try:
        compiled(pattern)
    except re2.error as error:
        return _in_words(pattern, error.args[0] if error.args else "")
    except UnicodeEncodeError:
        return "holds half of a surrogate pair"
    syntax = _ESCAPE_OR_CLASS.sub("x", pattern)
    if _depth(syntax) > _DEEPEST:
        return f"nests groups more than {_DEEPEST} deep"
    if _REPEATED_FLAGS.search(syntax):
        return "repeats a group of flags"  # C++ repeats what stands before it, Go refuses
    if any(found["escape"] == "C" for found in _ESCAPE_OR_CLASS.finditer(pattern)):
        return "uses \\C"  # a single byte: C++ knows it, and Go, which Segment runs, does not
    return None


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """The pattern for `search`; re2.error when it is none."""
    import re2

    options = re2.Options()
    options.log_errors = False  # it would write to standard error by itself
    return re2.compile(pattern, options)


def found_in(pattern: str, text: str) -> bool:
    """Whether a pattern is found anywhere in a text. Half of a surrogate pair counts as a replacement character."""
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return compiled(pattern).search(text) is not None


def fits_whole(pattern: str, text: str) -> bool:
    """Whether a pattern fits a whole text, as the formats of identifiers do."""
    return compiled(pattern).fullmatch(text) is not None


def _depth(syntax: str) -> int:
    deepest = depth = 0
    for letter in syntax:
        depth += (letter == "(") - (letter == ")")
        deepest = max(deepest, depth)
    return deepest


def _in_words(pattern: str, reason: bytes | str) -> str:
    said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
    syntax = _ESCAPE_OR_CLASS.sub("x", pattern)
    if re.search(r"\(\?(?:<?[=!]|>|\()", syntax):
        return "looks ahead or behind"
    escape = re.search(r"invalid escape sequence: (\\.)", said, re.DOTALL)
    if escape and escape[1][1:].isdigit():
        return "refers back to a group"
    if escape:
        return f"uses {escape[1]}"
    if re.search(r"[*+?}]\+", syntax):
        return "uses a possessive quantifier"
    if "invalid repetition size" in said or "too large" in said:
        return "repeats more than 1,000 times"
    return f"is not a regular expression ({said})"
