"""Files as people wrote them: YAML and JSON whose every value knows its line and column."""

from __future__ import annotations

import bisect
import difflib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

Kind = Literal["text", "number", "boolean", "date", "empty", "list", "mapping"]
Steps = tuple[str | int, ...]  # keys and indices, from the top of a file

_KIND_OF_TAG: Final[dict[str, Kind]] = {
    "str": "text",
    "int": "number",
    "float": "number",
    "bool": "boolean",
    "timestamp": "date",
    "null": "empty",
    "merge": "text",
}
# Aliases make a small file large: beyond this many values it is a mistake or an attack.
_MOST_VALUES: Final = 500_000
_SHOWN: Final = 80
# Likeness is quadratic in length and linear in candidates; a file full of mistakes must not take minutes.
_LIKENESS_LENGTH: Final = 100
_LIKENESS_BUDGET: Final = 60_000


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file, counted from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file: where, what, and what to write instead."""

    file: str
    line: int
    column: int
    fact: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.fact}; {self.instead}"


class ConfigurationError(Exception):
    """Everything that is wrong with the configuration, all of it at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems: list[Problem] = sorted(unique, key=lambda p: (p.file, p.line, p.column, p.fact))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(slots=True)
class Node:
    """One value of a file. `text` is what was written; nothing is converted behind the reader's back."""

    kind: Kind
    mark: Mark
    text: str = ""
    items: Sequence[Node] = ()
    pairs: Sequence[tuple[Node, Node]] = ()

    def described(self) -> str:
        """The value in the words of an error message."""
        if self.kind == "list":
            return "a list"
        if self.kind == "mapping":
            return "a mapping"
        if self.kind == "empty":
            return "empty"
        return f"the {self.kind} {shown(self.text)}"


class Problems:
    """Collects what is wrong, so that a reader is told everything in one go."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self._budget = _LIKENESS_BUDGET

    def add(self, file: str, mark: Mark, fact: str, instead: str) -> None:
        self.found.append(Problem(file, mark.line, mark.column, fact, instead))

    def nearest(self, written: str, known: Sequence[str]) -> str | None:
        """The known name that was probably meant."""
        if not written or self._budget < len(known):
            return None
        self._budget -= len(known)
        folded: dict[str, str] = {}
        for name in known:
            folded.setdefault(_folded(name), name)
        begun = [name for name in folded if len(written) >= 3 and name.startswith(_folded(written))]
        found = begun or difflib.get_close_matches(_folded(written), folded, n=1, cutoff=0.65)
        return folded[found[0]] if found else None


def _folded(name: str) -> str:
    return name[:_LIKENESS_LENGTH].casefold()


def shown(text: str) -> str:
    """A text from a file, safe and short enough to stand in one line of an error message."""
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return "`" + "".join(each if each.isprintable() else _escaped(each) for each in cut) + "`"


def quoted(text: str) -> str:
    """A text from a file as its message says to write it: in quotes, as YAML and JSON read it, cut where long."""
    written = json.dumps(text[:_SHOWN], ensure_ascii=False)
    return written if written.isprintable() else json.dumps(text[:_SHOWN])


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def unstorable(text: str) -> str | None:
    """Why no warehouse can hold this text; None when it can."""
    if "\x00" in text:
        return "holds a NUL character"
    if any("\ud800" <= each <= "\udfff" for each in text):
        return "holds half of a surrogate pair"
    return None


def _joined(text: str) -> str:
    """The text with two escaped halves of a character, as JSON writes an emoji, made one."""
    if not any("\ud800" <= each <= "\udfff" for each in text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return text


def listed(names: Iterable[str]) -> str:
    """Names in a sentence."""
    return ", ".join(f"`{name}`" for name in names)


# ---------------------------------------------------------------------------------------------- bytes


def decode(file: str, data: bytes, problems: Problems) -> str | None:
    """The text of a file, or None and a problem that names the first byte that is not text."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        # UTF-16 and UTF-32 are what Windows calls "Unicode".
        encoding = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8"
        problems.add(file, _mark_at_end(before), f"the file is {encoding}", "save it as UTF-8")
        return None
    nul = text.find("\x00")
    if nul >= 0:
        problems.add(file, _mark_at_end(text[:nul]), "a NUL byte", "save the file as plain UTF-8 text")
        return None
    return text


def _mark_at_end(before: str) -> Mark:
    return Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


# ---------------------------------------------------------------------------------------------- YAML


def read_yaml(file: str, data: bytes, problems: Problems) -> Node | None:
    """The tree of a YAML file; None, and problems, when there is none to work on.

    The tree is composed but not constructed: a duplicate key keeps both its places, and what was written
    (`404`, `yes`, `2026-10-20`) is still there to be named in a message.
    """
    text = decode(file, data, problems)
    if text is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser's own, about anchors that are used again
            root = YAML(typ="safe", pure=True).compose(text)
        if root is None:
            return Node("empty", Mark())
        return _Converter(file, problems).node(root, frozenset())
    except MarkedYAMLError as error:
        problems.add(file, *_explained(error))
    except ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        problems.add(
            file, _mark_at_end(before), "a control character", "delete it, or write it as an escape in quotes"
        )
    except _GiveUp:
        pass  # it has told why
    except RecursionError:
        problems.add(file, Mark(), "the values are nested too deeply", "write them flat")
    except Exception as error:  # the parser meets hostile text, and fails in ways of its own
        fact = f"the file is not YAML ({type(error).__name__})"
        problems.add(file, Mark(), fact, "check the quotes, brackets and indentation")
    return None


class _GiveUp(Exception):
    """The tree cannot be worked on; the problem has been added."""


class _Converter:
    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._values = 0

    def node(self, raw: Any, above: frozenset[int]) -> Node:
        mark = Mark(raw.start_mark.line + 1, raw.start_mark.column + 1)
        self._values += 1
        if self._values > _MOST_VALUES:
            self._problems.add(self._file, mark, "the aliases expand to too much", "write the values out")
            raise _GiveUp
        if id(raw) in above:
            self._problems.add(self._file, mark, "an alias stands inside its own anchor", "write it out")
            raise _GiveUp
        # Only containers can contain themselves, and only they need the company of those above.
        if isinstance(raw, MappingNode):
            within = above | {id(raw)}
            pairs = [(self.node(key, within), self.node(value, within)) for key, value in raw.value]
            for key, value in pairs:
                if value.kind == "empty" and not value.text:
                    value.mark = key.mark  # what is not there stands, for YAML, at the next thing that is
            return Node("mapping", mark, pairs=pairs)
        if isinstance(raw, SequenceNode):
            within = above | {id(raw)}
            return Node("list", mark, items=[self.node(item, within) for item in raw.value])
        assert isinstance(raw, ScalarNode)
        return self._scalar(raw, mark)

    def _scalar(self, raw: Any, mark: Mark) -> Node:
        prefix, _, name = str(raw.tag).rpartition(":")
        kind = _KIND_OF_TAG.get(name) if prefix == "tag:yaml.org,2002" else None
        if kind is None:
            self._problems.add(
                self._file, mark, f"a tag ({shown(str(raw.tag))})", "leave tags out and write the plain value"
            )
            kind = "text"
        text = _joined(str(raw.value))
        why = unstorable(text)
        if why:
            self._problems.add(self._file, mark, f"{shown(text)} {why}", "take the character out")
        return Node(kind, mark, text)


def _explained(error: MarkedYAMLError) -> tuple[Mark, str, str]:
    at = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context or "")
    context = str(error.context or "")
    if "end of stream" in problem and "quoted" in context and error.context_mark:
        at, fact, instead = error.context_mark, "a quote is opened here and never closed", "close it"
    elif "another document" in problem:
        fact, instead = "a second document begins here", "keep one document in a file"
    elif "'\\t'" in problem or "\t" in problem:
        fact, instead = "a tab", "indent with spaces"
    elif "cannot start any token" in problem:
        fact = f"a plain value cannot begin with {problem.split(chr(39))[1]}" if "'" in problem else problem
        instead = "put the value in quotes"
    elif "undefined alias" in problem:
        fact, instead = "an alias that no anchor defines", "put a value that begins with * in quotes"
    elif "mapping values are not allowed" in problem:
        fact = "a colon where no key can stand"
        instead = "put a value that holds `: ` in quotes, or check the indentation"
    elif "could not find expected ':'" in problem:
        fact, instead = "a line without `: `", "write `key: value`, or check the indentation above"
    elif "stream end" in problem and at is not None:
        fact, instead = "a bracket is opened and never closed", "close it"
        at = error.context_mark or at
    else:
        one_line = " ".join(problem.split())
        fact, instead = (
            f"not YAML ({one_line[:120]})",
            "check quotes, brackets and indentation here and above",
        )
    mark = Mark(at.line + 1, at.column + 1) if at is not None else Mark()
    return mark, fact, instead


# ---------------------------------------------------------------------------------------------- JSON


class JsonFile:
    """A JSON file: read fast, and its places found only when there is something to say."""

    def __init__(self, text: str, value: Any) -> None:
        self.value = value
        self._text = text
        self._tree: Node | None = None

    def mark(self, path: Steps) -> Mark:
        """Where the value at a path stands; the deepest place known when the path leaves the file."""
        if self._tree is None:
            self._tree = _json_tree(self._text)
        node = self._tree
        for step in path:
            if isinstance(step, int):
                if node.kind != "list" or step >= len(node.items):
                    break
                node = node.items[step]
            else:
                found = [value for key, value in node.pairs if key.text == step]
                if not found:
                    break
                node = found[-1]
        return node.mark


class _Refused(Exception):
    """JSON that Python reads and nobody else does; the slow reader names the place."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused
    return found


def _constant(_: str) -> Any:
    raise _Refused


def read_json(file: str, data: bytes, problems: Problems) -> JsonFile | None:
    """A JSON file's value; None, and problems, when it is not JSON."""
    text = decode(file, data, problems)
    if text is None:
        return None
    if not text.strip():
        problems.add(file, Mark(), "the file is empty", 'write `{"data": {"rules": [...]}}`')
        return None
    before = len(problems.found)
    try:
        try:
            value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
            if re.search(r"\\u(?:0000|[dD][89a-fA-F])", text):
                raise _Refused
        except _Refused:
            _tell_refused(file, _json_tree(text), problems)
            if len(problems.found) > before:
                return None
            # A complete surrogate pair, written as two escapes, is an ordinary character. And behind what is refused
            # there may be what is no JSON at all.
            value = json.loads(text)
        return JsonFile(text, value)
    except json.JSONDecodeError as error:
        mark = Mark(error.lineno, error.colno)
        problems.add(file, mark, f"not JSON ({error.msg})", "check the quotes, commas and brackets here")
    except RecursionError:
        problems.add(file, Mark(), "the values are nested too deeply", "write them flat")
    except ValueError as error:
        problems.add(file, Mark(), f"not JSON ({str(error)[:120]})", "write smaller numbers")
    return None


def _tell_refused(file: str, tree: Node, problems: Problems) -> None:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node.kind == "text":
            why = unstorable(node.text)
            if why:
                problems.add(file, node.mark, f"{shown(node.text)} {why}", "take the character out")
        elif node.kind == "number" and node.text in ("NaN", "Infinity", "-Infinity"):
            problems.add(file, node.mark, f"{node.text} is not JSON", "write a number")
        tell_duplicates(file, node, problems)
        waiting.extend(node.items)
        for key, value in node.pairs:
            waiting.extend((key, value))


def tell_duplicates(file: str, node: Node, problems: Problems) -> None:
    """A key that stands twice in one mapping: each later place names the first."""
    first: dict[str, Node] = {}
    for key, _ in node.pairs:
        if key.text in first:
            line = first[key.text].mark.line
            fact = f"the key {shown(key.text)} stands here again, after line {line}"
            problems.add(file, key.mark, fact, "keep one of the two")
            # Both places are named, so that either of them can be clicked on.
            problems.add(
                file,
                first[key.text].mark,
                f"the key {shown(key.text)} stands again in line {key.mark.line}",
                "keep one of the two",
            )
        else:
            first[key.text] = key


_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_WORD: Final = re.compile(r"[-+.0-9A-Za-z]+")


def _json_tree(text: str) -> Node:
    """Every value of a JSON text with its place. Slow, and only for text that `json` has read before."""
    starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def mark(at: int) -> Mark:
        line = bisect.bisect_right(starts, at)
        return Mark(line, at - starts[line - 1] + 1)

    def skip(at: int) -> int:
        match = _SPACE.match(text, at)
        return match.end() if match else at

    def value(at: int) -> tuple[Node, int]:
        first = text[at]
        if first == '"':
            found, end = _DECODER.raw_decode(text, at)
            return Node("text", mark(at), found), end
        if first == "{":
            return many(at, "}", pair, lambda found: Node("mapping", mark(at), pairs=found))
        if first == "[":
            return many(at, "]", value, lambda found: Node("list", mark(at), items=found))
        word = _WORD.match(text, at)
        end = word.end() if word else at + 1
        written = text[at:end]
        kind: Kind = "number"
        if written in ("true", "false"):
            kind = "boolean"
        elif written == "null":
            kind = "empty"
        return Node(kind, mark(at), written), end

    def pair(at: int) -> tuple[tuple[Node, Node], int]:
        key, end = value(at)
        end = skip(end) + 1  # the colon
        found, end = value(skip(end))
        return (key, found), end

    def many(
        at: int, closing: str, one: Callable[[int], tuple[Any, int]], build: Callable[[list[Any]], Node]
    ) -> tuple[Node, int]:
        found = []
        position = skip(at + 1)
        while text[position] != closing:
            item, position = one(position)
            found.append(item)
            position = skip(position)
            if text[position] == ",":
                position = skip(position + 1)
        return build(found), position + 1

    try:
        return value(skip(0))[0]
    except (RecursionError, IndexError, ValueError):
        return Node("mapping", Mark())
