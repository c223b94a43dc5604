"""What is wrong with one name by itself: of an event, or of a property and its column. Facts follow the name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, get_args

from dagster_project.core.documents import shown
from dagster_project.core.naming import characters
from dagster_project.core.naming.convention import Convention, broken_by, in_case
from dagster_project.core.naming.dynamic import masked, variable_part
from dagster_project.core.naming.reserved import LENGTHS, REDSHIFT, SNOWFLAKE, TABLES
from dagster_project.core.plan.landed import RESERVED_COLUMNS, column_of
from dagster_project.core.slug import slug

Severity = Literal["error", "warning", "info"]
Rule = Literal[
    "one_slug",
    "empty_slug",
    "standard_table",
    "standard_column",
    "one_column",
    "reserved_word",
    "invisible",
    "blank_edges",
    "homoglyph",
    "dynamic_name",
    "too_long",
    "name_family",
    "near_duplicate",
    "lost_letters",
    "typeset",
    "convention",
    "type_differs",
    "leading_digit",
]
RULES: Final[tuple[Rule, ...]] = get_args(Rule)
# Rule, severity, what is the case (to be read after the name), what to write instead.
Said = tuple[Rule, Severity, str, str]
_TOLD: Final = 3
# How bad it is that a warehouse cannot hold a name of this length: the longer, the more warehouses cannot.
_TOO_LONG: Final[dict[str, Severity]] = {"Snowflake": "error", "Redshift": "warning", "Postgres": "info"}


def told(name: str) -> str:
    """A name as it may be shown: escaped, cut, and without the e-mail addresses of people."""
    return shown(masked(name))


def of_event(name: str, convention: Convention, *, landed: bool = False) -> Iterator[Said]:
    """The findings of an event's name. `landed`: it is not planned, so how it is written is a detail."""
    table = slug(name)
    yield from of_characters(name)
    if not table:
        fact = "has no letter or digit of ASCII, so no table can be named by it"
        yield "empty_slug", "error", fact, "name the event in ASCII letters"
    elif table in TABLES:
        instead = f"name what was done, such as {told(characters.plain(name) + ' Viewed')}"
        yield "standard_table", "error", f"would land in `{table}`, a table of Segment's own", instead
    if table:
        yield from _of_lost_letters(name, f"the table `{table}`")
    yield from _of_length(table, "table")
    part, sure = variable_part(name) or (None, False)
    if part:
        fact = f"holds {part}: each value makes an event and a table of its own"
        instead = "take it out of the name, and put it into a property"
        yield "dynamic_name", "error" if sure else "warning", fact, instead
    elif table[:1].isdigit():
        fact = f"begins with a digit: its table on Redshift is `_{table}`"
        yield "leading_digit", "info", fact, "begin with a word where Redshift is read"
    if table in REDSHIFT:
        fact = f"is a reserved word: its table on Redshift is `_{table}`, and queries must quote it"
        yield "reserved_word", "info", fact, "add what was done to it"
    if not sure:
        yield from _of_convention(name, convention, "events", landed=landed)


def of_property(
    path: str, convention: Convention, same_column: Sequence[str] = (), *, snowflake: bool = False
) -> Iterator[Said]:
    """The findings of a property by its dotted path; `same_column`: earlier ones of the event with its column."""
    column, leaf = column_of(path), path.rpartition(".")[2]
    yield from of_characters(leaf)
    if not all(slug(step) for step in path.split(".")):
        fact = "has no letter or digit of ASCII, so no column can be named by it"
        yield "empty_slug", "error", fact, "name it in ASCII letters"
        return
    if column in RESERVED_COLUMNS or column.startswith("context_"):
        fact = f"has the column `{column}`, which is Segment's own: its values are dropped or land in `_{column}`"
        instead = f"name it by what it is of, such as `order_{column.removeprefix('context_')}`"
        yield "standard_column", "error", fact, instead
    if same_column:
        fact = f"lands in the column `{column}`, as {told(same_column[0])} does"
        yield "one_column", "error", fact, "keep one of the two"
    yield from _of_lost_letters(leaf, f"the column `{column}`")
    if column in SNOWFLAKE:
        fact = f"has the column `{column}`, a reserved word: a sync into Snowflake fails with error 002318"
        instead = f"name it by what it is of, such as `{column}_value`"
        yield "reserved_word", "error" if snowflake else "warning", fact, instead
    elif column in REDSHIFT:
        fact = f"is a reserved word: its column on Redshift is `_{column}`"
        yield "reserved_word", "info", fact, "add what it is of where Redshift is read"
    elif column[:1].isdigit():
        fact = f"begins with a digit: its column on Redshift is `_{column}`"
        yield "leading_digit", "info", fact, "begin with a letter where Redshift is read"
    yield from _of_length(column, "column")
    part, sure = variable_part(leaf) or (None, False)
    if part and sure:
        fact = f"holds {part} in its name: each value makes a column of its own"
        yield "dynamic_name", "error", fact, "take it out of the name, and send it as the value"
    else:
        yield from _of_convention(
            leaf,
            Convention(convention.case, case_share=convention.case_share, declared=convention.declared),
            "properties",
        )


def of_characters(name: str) -> Iterator[Said]:
    """What of a name nobody sees or no keyboard makes."""
    plain = characters.plain(name)
    write = f"write {told(plain)}" if plain and plain != name else "take it out"
    hidden = characters.invisible(name)
    if hidden:
        yield "invisible", "error", f"holds {_named(hidden)}, which nobody sees and no filter matches", write
    elif characters.is_decomposed(name):
        fact = "holds accents as characters of their own: it looks like another name and equals none"
        yield "invisible", "error", fact, write
    if name != name.strip(" ") or "  " in name:
        yield "blank_edges", "error", f"has blanks {_where_blanks(name)}", write
    alike = characters.lookalikes(name)
    if alike:
        fact = f"holds {_named(alike)}, which looks like a Latin letter and is none"
        yield "homoglyph", "error", fact, write
    typeset = characters.typeset(name)
    if typeset:
        fact = f"holds {_named(typeset)}, which comes out of a word processor and off no keyboard"
        yield "typeset", "warning", fact, write


def _named(found: Sequence[str]) -> str:
    return ", ".join(characters.named(char) for char in found[:_TOLD])


def _where_blanks(name: str) -> str:
    places = [
        *(["in front"] if name[:1] == " " else []),
        *(["at its end"] if name[-1:] == " " else []),
        *(["two in a row"] if "  " in name.strip(" ") else []),
    ]
    return " and ".join(places)


def _of_lost_letters(name: str, home: str) -> Iterator[Said]:
    lost = characters.lost_letters(name)
    if lost:
        bare = characters.unaccented(name)
        fact = f"lands in {home}: {', '.join(lost[:_TOLD])} {'is' if len(lost) == 1 else 'are'} lost"
        yield "lost_letters", "warning", fact, f"write {told(bare)}" if bare else "name it in ASCII letters"


def _of_length(name: str, what: str) -> Iterator[Said]:
    for warehouse, most in LENGTHS:
        if len(name) > most:
            verb = "cuts it off" if warehouse == "Postgres" else "cannot have it"
            fact = f"makes a {what} name of {len(name):,} characters, and {warehouse} {verb} beyond {most}"
            yield "too_long", _TOO_LONG[warehouse], fact, "shorten it"
            return


def _of_convention(name: str, convention: Convention, what: str, *, landed: bool = False) -> Iterator[Said]:
    broken = broken_by(convention, name)
    if broken is None:
        return
    share = convention.case_share
    others = "" if convention.declared or not share else f" like {share:.0%} of the {what}"
    written = in_case(characters.plain(name), convention.case) if convention.case else None
    by_case = broken.startswith("is ") and "tense" not in broken
    instead = (
        f"write {told(written)}"
        if written and by_case
        else "name it like the others, or declare `naming` in workspace.yml"
    )
    severity: Severity = "info" if landed else "error" if convention.declared else "warning"
    yield "convention", severity, f"{broken}{others}", instead
