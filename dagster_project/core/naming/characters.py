"""Characters in a name that nobody sees, that look like others, or that a warehouse's names cannot hold."""

from __future__ import annotations

import unicodedata
from typing import Final

from dagster_project.core.slug import slug

# Letters of other scripts that look like Latin ones (Unicode's confusables, the lower and upper case letters).
_LOOKALIKE: Final = dict(
    zip(
        "аеорсухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧοαν",
        "aeopcyxijshdqwABEKMHOPCTYXIJSABEZHIKMNOPTYXoav",
        strict=True,
    )
)
# What word processors make of the keys ' " - and of three dots.
_TYPESET: Final = {
    **dict.fromkeys("‘’‚′", "'"),
    **dict.fromkeys("“”„″", '"'),
    **dict.fromkeys("‐‑‒–—−", "-"),
    "…": "...",
}
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def invisible(name: str) -> list[str]:
    """The characters of a name that cannot be seen or are blanks other than the usual one, in their order."""
    return [
        char
        for char in dict.fromkeys(name)
        if char in _BLANK_LETTERS
        or (
            (char != " " and unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs"))
            and char != "\u200d"
        )  # joins the parts of an emoji
    ]


def named(char: str) -> str:
    """A character by its number and Unicode's name for it: U+00A0 (no-break space)."""
    name = unicodedata.name(char, "").lower()
    return f"U+{ord(char):04X}" + (f" ({name})" if name else "")


def lookalikes(name: str) -> list[str]:
    """Letters that look Latin and are not, in a name that is otherwise Latin; letters of full width too."""
    latin = any("a" <= char.lower() <= "z" for char in name)
    foreign = [char for char in dict.fromkeys(name) if char in _LOOKALIKE]
    # A name in Cyrillic or Greek all through is a language, not a trick.
    own_script = any(
        char.isalpha()
        and not char.isascii()
        and char not in _LOOKALIKE
        and _script(char) in ("CYRILLIC", "GREEK")
        for char in name
    )
    found = foreign if foreign and (latin or not own_script) else []
    return found + [char for char in dict.fromkeys(name) if "\uff01" <= char <= "\uff5e"]


def typeset(name: str) -> list[str]:
    """Quotes, dashes and dots that come out of a word processor and off no keyboard."""
    return [char for char in dict.fromkeys(name) if char in _TYPESET]


def plain(name: str) -> str:
    """The name as a keyboard makes it: look-alikes, typeset signs and invisible characters replaced or gone."""
    swapped = "".join(_LOOKALIKE.get(char, _TYPESET.get(char, char)) for char in name)
    hidden = set(invisible(swapped))
    swapped = "".join(
        " " if unicodedata.category(char) == "Zs" else "" if char in hidden else char for char in swapped
    )
    return " ".join(unicodedata.normalize("NFKC", swapped).split())


def lost_letters(name: str) -> list[str]:
    """Letters and digits that the slug leaves out: it knows ASCII only, and every other letter breaks a word."""
    return [char for char in dict.fromkeys(name) if char.isalnum() and not char.isascii()]


def unaccented(name: str) -> str | None:
    """The name with accents taken off, when that saves every letter; None when it does not."""
    bare = "".join(
        char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char)
    ).translate({ord("ß"): "ss", ord("ø"): "o", ord("Ø"): "O", ord("æ"): "ae", ord("ł"): "l", ord("Ł"): "L"})
    return bare if bare != name and not lost_letters(bare) and slug(bare) else None


def is_decomposed(name: str) -> bool:
    """Whether accents stand as characters of their own: it looks the same and equals nothing."""
    return unicodedata.normalize("NFC", name) != name


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]
