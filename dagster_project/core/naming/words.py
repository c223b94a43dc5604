"""The words of a name, whatever joins them, and the form of each: which are the same word, which are past tense."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LONGEST: Final = 300  # beyond it a name is too long by any measure, and nothing more is learned from it

_IRREGULAR: Final = {
    **dict.fromkeys(("begun", "began"), "begin"),
    **dict.fromkeys(("bought",), "buy"),
    **dict.fromkeys(("built",), "build"),
    **dict.fromkeys(("chose", "chosen"), "choose"),
    **dict.fromkeys(("did", "done"), "do"),
    **dict.fromkeys(("drawn", "drew"), "draw"),
    **dict.fromkeys(("fell", "fallen"), "fall"),
    **dict.fromkeys(("found",), "find"),
    **dict.fromkeys(("gave", "given"), "give"),
    **dict.fromkeys(("got", "gotten"), "get"),
    **dict.fromkeys(("grew", "grown"), "grow"),
    **dict.fromkeys(("held",), "hold"),
    **dict.fromkeys(("hid", "hidden"), "hide"),
    **dict.fromkeys(("kept",), "keep"),
    **dict.fromkeys(("left",), "leave"),
    **dict.fromkeys(("lost",), "lose"),
    **dict.fromkeys(("made",), "make"),
    **dict.fromkeys(("met",), "meet"),
    **dict.fromkeys(("paid",), "pay"),
    **dict.fromkeys(("ran",), "run"),
    **dict.fromkeys(("rebuilt",), "rebuild"),
    **dict.fromkeys(("resent",), "resend"),
    **dict.fromkeys(("saw", "seen"), "see"),
    **dict.fromkeys(("sent",), "send"),
    **dict.fromkeys(("shown",), "show"),
    **dict.fromkeys(("sold",), "sell"),
    **dict.fromkeys(("spent",), "spend"),
    **dict.fromkeys(("swiped",), "swipe"),
    **dict.fromkeys(("taken", "took"), "take"),
    **dict.fromkeys(("undone",), "undo"),
    **dict.fromkeys(("won",), "win"),
    **dict.fromkeys(("written", "wrote"), "write"),
}
# Words that end like a past tense and are none, and past tenses that look like the present.
_NO_PAST: Final = frozenset(
    {"bed", "embed", "feed", "id", "need", "red", "seed", "shed", "speed", "thread", "used"}
)
_SAME_IN_PAST: Final = frozenset({"hit", "put", "read", "reset", "set", "shut", "split", "cut", "opt"})
# Verbs that open or end the names of events; only for them is an order of words told.
_VERBS: Final = """
    abandon accept access activate add allow apply approve archive assign attach authenticate authorize
    background begin block book bounce buy call cancel capture change charge check choose clear click
    clone close collapse compare complete confirm connect consume convert copy crash create deactivate
    decline deduct delete deliver deny detach disable disconnect dismiss display do downgrade download
    drag drop earn edit enable end enroll enter escalate exit expand expire export fail favorite
    favourite fetch fill filter find finish follow foreground forward generate get give grant hide hold
    identify impersonate import impress increase initiate input install invite join launch leave like
    link load lock log login logout lose make mark match meet mention merge miss move mute navigate
    offer open order pause pay pick pin place play post press preview print process purchase push put
    rate read receive record redeem redirect refer refresh refund register reject release remove rename
    render renew reopen reorder replace reply report request resend reset resize resolve respond restart
    restore resume retry return review revoke save scan schedule scroll search see select send set share
    ship show sign skip snooze sort split start stop submit subscribe suspend swipe switch sync tag take
    tap test toggle track transfer trash trigger try turn type unblock undo unfollow uninstall unlink
    unlock unmute unpin unsubscribe update upgrade upload use validate verify view visit vote watch win
    withdraw write zoom
"""


@lru_cache(maxsize=65_536)
def words(name: str) -> tuple[str, ...]:
    """The words of a name in lower case: broken at blanks and signs, before capitals, and around numbers.

    `HTTPRequestSent2` is http, request, sent, 2.
    """
    found: list[str] = []
    current = ""
    previous = ""
    text = name[:LONGEST]
    for at, char in enumerate(text):
        kind = _kind(char)
        following = text[at + 1] if at + 1 < len(text) else ""
        begins = (kind != previous and not (previous == "upper" and kind == "lower")) or (
            kind == "upper" and previous == "upper" and following and _kind(following) == "lower"
        )
        if kind == "" or begins:
            if current:
                found.append(current.casefold())
            current = ""
        if kind:
            current += char
        previous = kind
    if current:
        found.append(current.casefold())
    return tuple(found)


def _kind(char: str) -> str:
    if char.isdigit():
        return "digit"
    if char.isupper():
        return "upper"
    return "lower" if char.isalpha() else ""


@lru_cache(maxsize=65_536)
def base(word: str) -> str:
    """A word without the endings of tense and number: completed, completes and completing are one."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for ending, least in (("ing", 6), ("ied", 5), ("ies", 5), ("ed", 4), ("es", 5), ("s", 4)):
        if word.endswith(ending) and len(word) >= least and word not in _NO_PAST and not word.endswith("ss"):
            stem = word[: -len(ending)]
            if ending in ("ied", "ies"):
                return stem + "y"
            if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "lsz":
                stem = stem[:-1]  # stopped, planned
            return stem.rstrip("e") or stem
    return word.rstrip("e") if len(word) > 3 else word


def is_past(word: str) -> bool:
    """Whether a word is a past tense, as far as its spelling and a list of irregular ones tell."""
    if word in _SAME_IN_PAST:
        return True
    if word in _NO_PAST:
        return False
    return word in _IRREGULAR or (len(word) > 3 and word.endswith("ed"))


def is_verb(word: str) -> bool:
    """Whether a word names an action, in whatever tense; of the verbs that events are named by."""
    return base(word) in _BASES or word in _IRREGULAR or is_past(word)


def letters(name: str) -> str:
    """The name without case, blanks and signs."""
    return re.sub(r"[\W_]+", "", name[:LONGEST].casefold())


_BASES: Final = frozenset(base(verb) for verb in _VERBS.split()) | frozenset(_IRREGULAR.values())
