"""RE2's syntax as a tree that the insert function walks: JavaScript's own engine can be made to take for ever.

A node is a text (these characters, as they are), or a list that begins with what it is:
`["&", node, ...]` one after another, `["|", node, ...]` one of them, `["*", least, most, node]` repeated (most is -1
for no end), `["[", source, flags]` one character that JavaScript's expression `source` matches under these flags, and
the places `["^"]`, `["$"]` (of the text), `["^m"]`, `["$m"]` (of a line), `["b"]` and `["B"]` (of a word or not).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

Node = Any  # a text, or a list as above

_PERL: Final = {
    "d": [(0x30, 0x39)],
    "s": [(0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)],
    "w": [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
}
_POSIX: Final = {
    "alnum": [(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)],
    "alpha": [(0x41, 0x5A), (0x61, 0x7A)],
    "ascii": [(0x00, 0x7F)],
    "blank": [(0x09, 0x09), (0x20, 0x20)],
    "cntrl": [(0x00, 0x1F), (0x7F, 0x7F)],
    "digit": _PERL["d"],
    "graph": [(0x21, 0x7E)],
    "lower": [(0x61, 0x7A)],
    "print": [(0x20, 0x7E)],
    "punct": [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
    "space": [(0x09, 0x0D), (0x20, 0x20)],
    "upper": [(0x41, 0x5A)],
    "word": _PERL["w"],
    "xdigit": [(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
}
_LETTERS: Final = {"a": 0x07, "f": 0x0C, "t": 0x09, "n": 0x0A, "r": 0x0D, "v": 0x0B}
_FLAGS: Final = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAMED_GROUP: Final = re.compile(r"\(\?P?<[^>]*>")
_COUNT: Final = re.compile(r"\{(\d+)(,(\d*))?\}")
_PROPERTY: Final = re.compile(r"\\([pP])(?:\{(\^?)(\w+)\}|(\w))")
_POSIX_NAME: Final = re.compile(r"\[:(\^?)(\w+):\]")


@dataclass(frozen=True)
class _Members:
    """The characters of a class: those of a body in JavaScript's syntax, and all that are not of some other bodies.

    The two are apart because case is folded before a set is negated: under (?i), `\\W` does not hold the Kelvin sign.
    """

    body: str = ""
    others: tuple[str, ...] = ()

    def with_all(self, more: _Members) -> _Members:
        return _Members(self.body + more.body, self.others + more.others)

    def source(self, negated: bool) -> str:
        if not self.others:
            return f"[{'^' if negated else ''}{self.body}]"
        parts = [f"[{self.body}]", *(f"(?![{other}])[^]" for other in self.others)]
        joined = "|".join(parts)
        return f"(?!{joined})[^]" if negated else f"(?:{joined})"


def tree_of(pattern: str) -> Node:
    """The tree of a pattern that RE2 takes; see `unusable_pattern`, which must have said None."""
    return _Parser(pattern).whole()


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    def whole(self) -> Node:
        return self._alternatives(frozenset())

    def _alternatives(self, flags: frozenset[str]) -> Node:
        """Up to the end of the group; flags that are set within hold to its end, over its `|` too."""
        branches: list[list[Node]] = [[]]
        while self._at < len(self._text) and self._text[self._at] != ")":
            if self._text[self._at] == "|":
                self._at += 1
                branches.append([])
                continue
            found = _FLAGS.match(self._text, self._at)
            if found and found[3] == ")":
                flags = (flags | frozenset(found[1])) - frozenset(found[2] or "")
                self._at = found.end()
                continue
            branches[-1] += self._repeated(self._atom(flags))
        joined = [_joined(branch) for branch in branches]
        return joined[0] if len(joined) == 1 else ["|", *joined]

    def _atom(self, flags: frozenset[str]) -> list[Node]:
        """One thing that a quantifier may follow; `\\Q...\\E` is many, of which it takes the last."""
        text, at = self._text, self._at
        letter = text[at]
        if letter == "(":
            return [self._group(flags)]
        if letter == "[":
            return [self._class(flags)]
        self._at += 1
        if letter == ".":
            return [_class(_Members(body="" if "s" in flags else _code(0x0A)), True, frozenset())]
        if letter == "^":
            return [["^m" if "m" in flags else "^"]]
        if letter == "$":
            return [["$m" if "m" in flags else "$"]]
        if letter != "\\":
            return [_literal(letter, flags)]
        letter = text[at + 1]
        if letter == "Q":
            end = text.find("\\E", at + 2)
            quoted = text[at + 2 :] if end < 0 else text[at + 2 : end]
            self._at = len(text) if end < 0 else end + 2
            return [_literal(each, flags) for each in quoted]
        if letter in "Az":
            self._at += 1
            return [["^" if letter == "A" else "$"]]
        if letter in "bB":
            self._at += 1
            return [[letter]]
        self._at = at
        code, members = self._escape()
        return [_literal(chr(code), flags) if code is not None else _class(members, False, flags)]

    def _group(self, flags: frozenset[str]) -> Node:
        found = _FLAGS.match(self._text, self._at)
        named = _NAMED_GROUP.match(self._text, self._at)
        if found:
            flags = (flags | frozenset(found[1])) - frozenset(found[2] or "")
            self._at = found.end()
        else:
            self._at = named.end() if named else self._at + 1
        inner = self._alternatives(flags)
        self._at += 1  # the closing bracket
        return inner if isinstance(inner, list) else ["&", inner]

    def _repeated(self, atoms: list[Node]) -> list[Node]:
        """The atoms, the last of them under the quantifiers that follow."""
        while self._at < len(self._text):
            letter = self._text[self._at]
            least, most = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}.get(letter, (-1, -1))
            length = 1
            if least < 0:
                found = _COUNT.match(self._text, self._at) if letter == "{" else None
                if found is None:
                    break
                least = int(found[1])
                most = least if found[2] is None else int(found[3]) if found[3] else -1
                length = found.end() - found.start()
            self._at += length
            if self._text[self._at : self._at + 1] == "?":
                self._at += 1  # lazy or greedy: whether it is found is the same
            if atoms:
                atoms = [*atoms[:-1], ["*", least, most, atoms[-1]]]
        return atoms

    def _escape(self) -> tuple[int | None, _Members]:
        """The character that an escape stands for, or the set of them."""
        text = self._text
        found = _PROPERTY.match(text, self._at)
        if found:
            self._at = found.end()
            return None, _group(_property(found[3] or found[4]), (found[1] == "P") != (found[2] == "^"))
        letter = text[self._at + 1]
        self._at += 2
        if letter in "dswDSW":
            return None, _group(_ranges(_PERL[letter.lower()]), letter.isupper())
        code = _LETTERS.get(letter)
        if letter == "x":
            if text[self._at] == "{":
                end = text.index("}", self._at)
                code = int(text[self._at + 1 : end], 16)
                self._at = end + 1
            else:
                code = int(text[self._at : self._at + 2], 16)
                self._at += 2
        elif letter.isdigit():
            end = self._at
            while end < len(text) and end < self._at + 2 and text[end] in "01234567":
                end += 1
            code = int(text[self._at - 1 : end], 8)
            self._at = end
        return (ord(letter) if code is None else code), _Members()

    def _class(self, flags: frozenset[str]) -> Node:
        text = self._text
        self._at += 1
        negated = text[self._at] == "^"
        self._at += negated
        members = _Members()
        first = True
        while first or text[self._at] != "]":
            first = False
            posix = _POSIX_NAME.match(text, self._at)
            if posix:
                self._at = posix.end()
                members = members.with_all(_group(_ranges(_POSIX[posix[2]]), posix[1] == "^"))
                continue
            low, more = self._one()
            if low is None:
                members = members.with_all(more)
            elif text[self._at] == "-" and text[self._at + 1] != "]":
                self._at += 1
                high, _ = self._one()
                assert high is not None  # RE2 has refused a range that ends in a set
                members = members.with_all(_Members(body=_ranges([(low, high)])))
            else:
                members = members.with_all(_Members(body=_code(low)))
        self._at += 1
        return _class(members, negated, flags)

    def _one(self) -> tuple[int | None, _Members]:
        if self._text[self._at] == "\\":
            return self._escape()
        code = ord(self._text[self._at])
        self._at += 1
        return code, _Members()


def _joined(parts: list[Node]) -> Node:
    """The parts one after another, with neighbouring texts made one."""
    joined: list[Node] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined[0] if len(joined) == 1 else ["&", *joined]


def _literal(letter: str, flags: frozenset[str]) -> Node:
    if "i" in flags and (letter.lower() != letter.upper() or not letter.isascii()):
        return _class(_Members(body=_code(ord(letter))), False, flags)
    return letter


def _group(body: str, negated: bool) -> _Members:
    return _Members(others=(body,)) if negated else _Members(body=body)


def _class(members: _Members, negated: bool, flags: frozenset[str]) -> Node:
    return ["[", members.source(negated), "iu" if "i" in flags else "u"]


def _ranges(ranges: list[tuple[int, int]]) -> str:
    return "".join(_code(low) if low == high else f"{_code(low)}-{_code(high)}" for low, high in ranges)


def _code(code: int) -> str:
    """A code point as JavaScript writes it in a class; nothing of it can be taken for syntax."""
    letter = chr(code)
    return letter if letter.isascii() and letter.isalnum() else f"\\u{{{code:x}}}"


def _property(name: str) -> str:
    # One letter, or a capital and a small one, is a category; anything longer is a script.
    return f"\\p{{{name if len(name) <= 2 or name == 'Any' else f'Script={name}'}}}"
