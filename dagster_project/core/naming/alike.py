"""Names that are probably one name: the same words in another form or order, other gaps, or one slip of the keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dagster_project.core.naming.words import base, letters, words

# How many slips a word of so many letters may hold and still be taken for the other.
_ONE_SLIP: Final = 5
_TWO_SLIPS: Final = 9
# Prefixes that make a word its opposite or its repetition: Subscribed and Unsubscribed are two events.
_PREFIXES: Final = (
    "un",
    "re",
    "de",
    "dis",
    "in",
    "im",
    "non",
    "pre",
    "post",
    "up",
    "out",
    "over",
    "under",
    "sub",
    "co",
)
# A word that this many other names use is a word of its own: Card and Cart are no slip where both abound.
_AT_HOME: Final = 2
# Words beyond it are compared with nothing: no plan has them, and their spellings with letters left out are many.
_LONGEST_WORD: Final = 30
_MOST_PAIRS: Final = 20_000


@dataclass(frozen=True)
class Alike:
    """Two names that are probably meant to be one, in code point order, and what differs between them."""

    one: str
    other: str
    how: str  # case and gaps | word order | word form | spelling


def near_duplicates(names: Iterable[str]) -> list[Alike]:
    """The pairs of names that are probably one, each pair once, at most 20,000 pairs.

    Nothing is compared with everything: names meet by a key that they share, so that 8,000 take about a second.
    Names that differ in a number only are no pair: they are a family (see dynamic.py).
    """
    listed = sorted(set(names))
    found: dict[tuple[str, str], str] = {}

    def add(how: str, pairs: Iterable[tuple[str, str]]) -> None:
        for one, other in pairs:
            if len(found) >= _MOST_PAIRS:
                return
            key = (one, other) if one < other else (other, one)
            if _numbers(one) == _numbers(other):
                found.setdefault(key, how)

    add("case and gaps", _sharing(listed, letters))
    add("word form", _sharing(listed, lambda name: "".join(base(word) for word in words(name))))
    add("word order", _sharing(listed, lambda name: "\0".join(sorted(base(word) for word in words(name)))))
    add("spelling", _misspelt(listed))
    return [Alike(one, other, how) for (one, other), how in sorted(found.items())]


def _numbers(name: str) -> tuple[str, ...]:
    return tuple(word for word in words(name) if word.isdigit())


def _sharing(names: list[str], key: object) -> Iterator[tuple[str, str]]:
    """Each name of a group with the first of the group: a group of n gives n - 1 pairs, not n squared."""
    assert callable(key)
    first: dict[str, str] = {}
    for name in names:
        shared = key(name)
        if shared and first.setdefault(shared, name) != name:
            yield first[shared], name


def _misspelt(names: list[str]) -> Iterator[tuple[str, str]]:
    """Names that differ in one word by a slip or two, where not both words are at home in other names."""
    by_words: dict[tuple[str, ...], str] = {}
    users: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for name in names:
        spelt = words(name)
        by_words.setdefault(spelt, name)
        for word in spelt:
            users[word].add(spelt)
    for one, other in _similar_words(sorted(users)):
        rarer, commoner = sorted((one, other), key=lambda word: (len(users[word]), word))
        if len(users[rarer]) > _AT_HOME:
            continue
        for spelt in sorted(users[rarer]):
            twin = tuple(commoner if word == rarer else word for word in spelt)
            if twin in by_words and twin != spelt:
                yield by_words[spelt], by_words[twin]


def _similar_words(vocabulary: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of words within one slip, long ones within two. Two words within n slips share a spelling with n letters
    left out of each, so they meet by those and need not be compared with all others."""
    by_spelling: dict[str, list[str]] = defaultdict(list)
    for word in vocabulary:
        if _ONE_SLIP <= len(word) <= _LONGEST_WORD and not any(char.isdigit() for char in word):
            for spelling in _with_letters_left_out(word, 2 if len(word) >= _TWO_SLIPS else 1):
                by_spelling[spelling].append(word)
    told: set[tuple[str, str]] = set()
    for group in by_spelling.values():
        for at, one in enumerate(group):
            for other in group[at + 1 :]:
                pair = (one, other)
                if pair in told or base(one) == base(other) or _by_prefix(one, other):
                    continue
                told.add(pair)
                allowed = 2 if min(len(one), len(other)) >= _TWO_SLIPS else 1
                # Two slips at the front are another word: shipped and clipped.
                if slips(one, other, allowed) <= allowed and (allowed == 1 or one[0] == other[0]):
                    yield pair


def _with_letters_left_out(word: str, most: int) -> set[str]:
    found = {word}
    last = {word}
    for _ in range(most):
        last = {each[:at] + each[at + 1 :] for each in last for at in range(len(each))}
        found |= last
    return found


def _by_prefix(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return any(longer == prefix + shorter for prefix in _PREFIXES) or any(
        one.startswith(mine) and other.startswith(theirs) and one[len(mine) :] == other[len(theirs) :]
        for mine in _PREFIXES
        for theirs in _PREFIXES
        if mine != theirs
    )


def slips(one: str, other: str, most: int) -> int:
    """How many letters must be put in, taken out, changed or swapped with their neighbour; `most` + 1 for more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, mine in enumerate(one, start=1):
        following = [at]
        for place, theirs in enumerate(other, start=1):
            cost = min(row[place] + 1, following[-1] + 1, row[place - 1] + (mine != theirs))
            if at > 1 and place > 1 and mine == other[place - 2] and one[at - 2] == theirs:
                cost = min(cost, before[place - 2] + 1)
            following.append(cost)
        before, row = row, following
        if min(row) > most:
            return most + 1
    return row[-1]


def winner(one: str, other: str, messages: Mapping[str, int], planned: Iterable[str]) -> str:
    """Which of two names that are one is to stay: the planned one, else the one that is sent more."""
    known = set(planned)
    return min((one, other), key=lambda name: (name not in known, -messages.get(name, 0), name))
