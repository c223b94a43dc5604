"""How a plan names its events and properties: case, order of words and tense, declared or found in the names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dagster_project.core.naming.words import LONGEST, is_past, is_verb, words

_SMALL_WORDS: Final = "a an and as at by for from in into of off on or out over per the to up via vs with"
_SMALL: Final = frozenset(_SMALL_WORDS.split())
_WORD: Final = r"[A-Z][a-z0-9]*|[A-Z0-9]+|[0-9]+[A-Za-z]*|[a-z]{1,2}[A-Z][A-Za-z0-9]*"
_TITLE: Final = re.compile(_WORD)

_OWN_WAY: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:[A-Z0-9]{2,}|[a-z]{1,2}[A-Z]{2,}|i[A-Z][a-z]+)(?![A-Za-z0-9])"
)

# Each case by the name that people use for it; a name of one word fits several.
CASES: Final[Mapping[str, Callable[[str], bool]]] = {
    "Title Case": lambda name: _by_blanks(name, _is_title),
    "snake_case": lambda name: bool(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name)),
    "camelCase": lambda name: bool(re.fullmatch(r"[a-z][a-z0-9]*([A-Z][A-Za-z0-9]*)*", name)),
    "PascalCase": lambda name: (
        (bool(re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)) and not name.isupper()) or len(name) == 1
    ),
    "Sentence case": lambda name: _by_blanks(name, _is_sentence),
    "lower case": lambda name: bool(re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", name)),
    "kebab-case": lambda name: bool(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)),
    "SCREAMING_SNAKE_CASE": lambda name: bool(re.fullmatch(r"[A-Z0-9]+(_[A-Z0-9]+)*", name)),
    "Title_Snake_Case": lambda name: _is_title_snake(name),
    "dot.case": lambda name: bool(re.fullmatch(r"[a-z0-9]+(\.[a-z0-9]+)*", name)),
}
ORDERS: Final = ("object action", "action object")
TENSES: Final = ("past", "present")
# A convention is what four of five names follow; below it a plan has none, and none is made up for it.
_SHARE: Final = 0.8
_FEWEST: Final = 5


@dataclass(frozen=True)
class Convention:
    """What names are held to; None where nothing is declared and too few agree. Shares are 0 to 1 of all names."""

    case: str | None = None
    order: str | None = None
    tense: str | None = None
    case_share: float | None = None
    order_share: float | None = None
    tense_share: float | None = None
    declared: bool = False

    def __bool__(self) -> bool:
        return bool(self.case or self.order or self.tense)

    def told(self) -> str:
        """The convention in words, with the share of names that follow each part."""
        parts = [
            f"{name}{'' if share is None or self.declared else f' ({share:.0%})'}"
            for name, share in (
                (self.case, self.case_share),
                (self.order and self.order.replace(" ", ", then "), self.order_share),
                (self.tense and f"{self.tense} tense", self.tense_share),
            )
            if name
        ]
        return ", ".join(parts) if parts else "no convention"


def _by_blanks(name: str, fits: Callable[[list[str]], bool]) -> bool:
    parts = name.split(" ")
    return all(parts) and fits(parts)


def _is_title(parts: list[str]) -> bool:
    return all(
        all(_TITLE.fullmatch(piece) for piece in part.split("-")) or (number and part in _SMALL)
        for number, part in enumerate(parts)
    )


def _is_sentence(parts: list[str]) -> bool:
    first, rest = parts[0], parts[1:]
    return bool(re.fullmatch(r"[A-Z][a-z0-9]*|[A-Z0-9]{2,}", first)) and all(
        re.fullmatch(r"[a-z0-9]+|[A-Z0-9]{2,}", part) for part in rest
    )


def _is_title_snake(name: str) -> bool:
    return all(
        re.fullmatch(r"[A-Z][a-z0-9]*|[A-Z0-9]+", part) or (number and part in _SMALL)
        for number, part in enumerate(name.split("_"))
    )


@lru_cache(maxsize=65_536)
def cases_of(name: str) -> frozenset[str]:
    """Every case that the name is written in; none for one that mixes them."""
    return frozenset(case for case, fits in CASES.items() if len(name) <= LONGEST and fits(name))


@lru_cache(maxsize=65_536)
def order_of(name: str) -> str | None:
    """Whether the action stands last or first; None when it is told by neither end, or by both."""
    found = [word for word in words(name) if not word.isdigit()]
    while len(found) > 1 and found[-1] in _SMALL:
        found.pop()  # Signed Up, User Checked Out
    if len(found) < 2:
        return None
    # A past tense is surer than a word that may be a noun too: in "Order Completed" the action is "Completed".
    first, last = (2 * is_past(word) + is_verb(word) for word in (found[0], found[-1]))
    if first == last:
        return None
    return "object action" if last > first else "action object"


@lru_cache(maxsize=65_536)
def tense_of(name: str) -> str | None:
    """The tense of the name's action; None when it has none that is known."""
    found = [word for word in words(name) if not word.isdigit()]
    if not found:
        return None
    at = 0 if order_of(name) == "action object" or (len(found) == 2 and found[-1] in _SMALL) else -1
    if is_past(found[at]):
        return "past"
    if any(is_past(word) for word in found):
        return "past"
    return "present" if is_verb(found[at]) else None


def inferred(names: Iterable[str], *, of_events: bool = True) -> Convention:
    """The convention that at least four of five names follow; an empty one when there is none.

    Order and tense are told only of events, and their shares are of the names that show one at all.
    """
    listed = sorted(set(names))
    if len(listed) < _FEWEST:
        return Convention()
    fits = {case: sum(case in cases_of(name) for name in listed) for case in CASES}
    # Of cases that the same names fit, the one that more names of several words are written in.
    several = [name for name in listed if len(words(name)) > 1]
    best = max(CASES, key=lambda case: (sum(case in cases_of(name) for name in several), fits[case]))
    case, case_share = _agreed(best, fits[best], len(listed))
    if not of_events:
        return Convention(case=case, case_share=case_share)
    order, order_share = _most([found for name in listed if (found := order_of(name))])
    tense, tense_share = _most([found for name in listed if (found := tense_of(name))])
    return Convention(case, order, tense, case_share, order_share, tense_share)


def _most(found: list[str]) -> tuple[str | None, float | None]:
    if not found:
        return None, None
    best = max(sorted(set(found)), key=found.count)
    return _agreed(best, found.count(best), len(found))


def _agreed(best: str, count: int, of: int) -> tuple[str | None, float | None]:
    share = count / of if of else 0.0
    return (best, share) if of >= _FEWEST and share >= _SHARE else (None, share)


def broken_by(convention: Convention, name: str) -> str | None:
    """How a name breaks the convention, as a fact; None when it keeps it or shows nothing."""
    if convention.case and convention.case not in cases_of(name):
        written = sorted(cases_of(name), key=list(CASES).index)
        return (
            f"is written in {written[0]}, not in {convention.case}"
            if written
            else f"is not in {convention.case}"
        )
    if convention.order and order_of(name) not in (None, convention.order):
        return f"puts the {'action' if convention.order == 'object action' else 'object'} first"
    if convention.tense and tense_of(name) not in (None, convention.tense):
        return f"is not in the {convention.tense} tense"
    return None


def in_case(name: str, case: str) -> str | None:
    """The name written in a case; None when its words cannot be told or nothing changes."""
    if len(name) > LONGEST:
        return None
    # Words that are written in their own way keep it where the case allows: URL, 2FA, iOS.
    own = {} if name.isupper() else {word.casefold(): word for word in _OWN_WAY.findall(name)}
    parts: list[str] = []
    for piece in re.findall(r"[^\W_]+", name):
        parts += [piece.casefold()] if piece.casefold() in own else words(piece)
    if not parts:
        return None

    def capital(part: str) -> str:
        return own.get(part) or part[:1].upper() + part[1:]

    def plain_capital(part: str) -> str:
        return part[:1].upper() + part[1:]

    written = {
        "Title Case": lambda: " ".join(p if n and p in _SMALL else capital(p) for n, p in enumerate(parts)),
        "snake_case": lambda: "_".join(parts),
        "camelCase": lambda: parts[0] + "".join(map(plain_capital, parts[1:])),
        "PascalCase": lambda: "".join(map(plain_capital, parts)),
        "Sentence case": lambda: " ".join([capital(parts[0]), *parts[1:]]),
        "lower case": lambda: " ".join(parts),
        "kebab-case": lambda: "-".join(parts),
        "SCREAMING_SNAKE_CASE": lambda: "_".join(parts).upper(),
        "Title_Snake_Case": lambda: "_".join(map(plain_capital, parts)),
        "dot.case": lambda: ".".join(parts),
    }[case]()
    return written if written != name else None
