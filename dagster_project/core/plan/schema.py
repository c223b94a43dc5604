"""Whether a rule's JSON Schema is one, with its local references put in place and its limits kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from dagster_project.core.documents import Steps, shown
from dagster_project.core.plan.model import PlanProblem
from dagster_project.core.plan.patterns import unusable_pattern

DEEPEST: Final = 64  # levels of a schema
MOST_PARTS: Final = 300_000  # schemas that the references of one plan unfold to
MOST_VALUES: Final = 5_000  # of one enum: each stands in a statement, and in the insert function

JSON_TYPES: Final = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
# Keywords under which schemas stand: one, a list of them, or one a name.
ONE: Final = frozenset(
    (
        "additionalItems",
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
    )
)
MANY: Final = frozenset(("allOf", "anyOf", "oneOf", "items"))
NAMED: Final = frozenset(("definitions", "dependencies", "patternProperties", "properties"))


class Unfolding:
    """How far the references of a plan may still unfold; shared by its rules."""

    def __init__(self) -> None:
        self.left = MOST_PARTS


def read_schema(
    schema: dict[str, Any], path: Steps, unfolding: Unfolding
) -> tuple[dict[str, Any], list[PlanProblem]]:
    """The schema with its references in place, and what is wrong with it."""
    if not surely_valid(schema):
        problem = _schema_problem(schema, path)
        if problem is not None:
            return schema, [problem]
        try:
            resolved = _Resolver(schema, path, unfolding).whole()
        except _Wrong as wrong:
            return schema, [wrong.problem]
        assert isinstance(resolved, dict)
        schema = resolved
    problems = []
    for at, part in parts(schema, path):
        problems += _pattern_problems(part, at)
        values = part.get("enum")
        if values is not None and len(values) > MOST_VALUES:
            fact = f"an enum of {len(values):,} values, and {MOST_VALUES:,} are the most"
            problems.append(PlanProblem((*at, "enum"), fact, "write a pattern that they have in common"))
    return schema, problems


def parts(schema: Any, path: Steps = ()) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """The schema and every schema in it, each with its place; `true` and `false` are left out."""
    waiting: list[tuple[Steps, Any]] = [(path, schema)]
    while waiting:
        at, part = waiting.pop()
        if not isinstance(part, dict):
            continue
        yield at, part
        waiting.extend(children(part, at))


def children(part: Mapping[str, Any], at: Steps) -> Iterator[tuple[Steps, Any]]:
    """The schemas that stand directly in a schema."""
    for key, value in part.items():
        if key in NAMED and isinstance(value, dict):
            for name, inner in value.items():
                yield (*at, key, name), inner
        elif key in MANY and isinstance(value, list):
            for number, inner in enumerate(value):
                yield (*at, key, number), inner
        elif key in ONE:
            yield (*at, key), value


def _pattern_problems(part: dict[str, Any], at: Steps) -> list[PlanProblem]:
    found = []
    own = part.get("pattern")
    if own is not None:
        found.append(((*at, "pattern"), own))
    for name in part.get("patternProperties", ()):
        found.append(((*at, "patternProperties", name), name))
    problems = []
    for place, pattern in found:
        why = unusable_pattern(pattern)
        if why:
            fact = f"the pattern {shown(pattern)} {why}"
            instead = "rewrite it as an RE2 expression, the kind that Segment evaluates"
            problems.append(PlanProblem(place, fact, instead))
    return problems


# ------------------------------------------------------------------------------ is the schema a schema?


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value: Any) -> bool:
    """A number of JSON, which a boolean of Python is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list) and all(isinstance(n, str) for n in value) and len(set(value)) == len(value)
    )


def _is_type(value: Any) -> bool:
    if isinstance(value, str):
        return value in JSON_TYPES
    return _is_names(value) and len(value) > 0 and JSON_TYPES.issuperset(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_PLAIN_KEYWORDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "type": _is_type,
    "required": _is_names,
    "enum": lambda value: isinstance(value, list),
    "const": lambda _: True,
    "default": lambda _: True,
    "labels": lambda _: True,
    "id": lambda _: True,
    "title": _is_text,
    "description": _is_text,
    "format": _is_text,
    "pattern": _is_text,  # judged on its own: see unusable_pattern
    "minimum": is_number,
    "maximum": is_number,
    "exclusiveMinimum": is_number,
    "exclusiveMaximum": is_number,
    "minLength": _is_count,
    "maxLength": _is_count,
    "minItems": _is_count,
    "maxItems": _is_count,
    "$schema": lambda value: (
        value in ("http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-07/schema")
    ),
}


def surely_valid(schema: Any, depth: int = 0) -> bool:
    """Whether the schema is made of ordinary keywords, rightly used.

    The real check costs a millisecond a schema, which is seconds for a plan of 2,000 rules. This one is a
    hundred times faster and only ever says yes when the real one would; it leaves the rest to that.
    """
    if isinstance(schema, bool):
        return True
    if not isinstance(schema, dict) or depth > DEEPEST:
        return False
    for key, value in schema.items():
        if key == "properties":
            if not isinstance(value, dict) or not all(surely_valid(v, depth + 1) for v in value.values()):
                return False
        elif key in ("items", "additionalProperties"):
            if not surely_valid(value, depth + 1):
                return False
        else:
            check = _PLAIN_KEYWORDS.get(key)
            if check is None or not check(value):
                return False
    return True


def _schema_problem(schema: dict[str, Any], path: Steps) -> PlanProblem | None:
    # Imported here: a plan of ordinary keywords never needs it, and it takes 65 ms (2026-11-23).
    from jsonschema import Draft7Validator, FormatChecker
    from jsonschema.exceptions import SchemaError

    instead = "correct it to draft-07 JSON Schema"
    try:
        # No formats: patterns are judged by unusable_pattern, for Python's regular expressions are not Segment's.
        Draft7Validator.check_schema(schema, format_checker=FormatChecker(()))
    except SchemaError as error:
        at = tuple(step if isinstance(step, int) else str(step) for step in error.absolute_path)
        message = " ".join(error.message.split())[:160]
        return PlanProblem((*path, *at), f"not a JSON Schema ({message})", instead)
    except RecursionError:
        return PlanProblem(path, "the JSON Schema is nested too deeply", "write it flat")
    except Exception as error:  # a schema is a file's content, and the library trusts some of it
        return PlanProblem(path, f"not a JSON Schema ({type(error).__name__})", instead)
    return None


# ------------------------------------------------------------------------------ references


class _Wrong(Exception):
    def __init__(self, problem: PlanProblem) -> None:
        super().__init__(problem.fact)
        self.problem = problem


class _Resolver:
    """Puts what a local `$ref` points to in its place. A plan is one document: nothing is fetched."""

    def __init__(self, root: dict[str, Any], path: Steps, unfolding: Unfolding) -> None:
        self._root = root
        self._path = path
        self._unfolding = unfolding

    def whole(self) -> Any:
        return self._placed(self._root, self._path, ())

    def _placed(self, schema: Any, at: Steps, through: tuple[str, ...], depth: int = 0) -> Any:
        self._unfolding.left -= bool(through)
        if depth > DEEPEST:
            raise _Wrong(PlanProblem(at, "the JSON Schema is nested too deeply", "write it flat"))
        if self._unfolding.left < 0:
            fact = f"the references of the plan unfold to more than {MOST_PARTS:,} schemas"
            raise _Wrong(PlanProblem(at, fact, "say the same with fewer references"))
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            reference = schema["$ref"]
            if reference in through:
                chain = " -> ".join(shown(each) for each in (*through[through.index(reference) :], reference))
                fact = f"the reference goes round in a circle ({chain})"
                instead = "write out as many levels as the events have"
                raise _Wrong(PlanProblem((*at, "$ref"), fact, instead))
            found = self._target(reference, (*at, "$ref"))
            return self._placed(found, at, (*through, reference), depth + 1)
        placed: dict[str, Any] = {}
        for key, value in schema.items():
            here = (*at, key)
            if key == "definitions":
                continue
            if key in NAMED and isinstance(value, dict):
                placed[key] = {
                    name: self._placed(inner, (*here, name), through, depth + 1)
                    for name, inner in value.items()
                }
            elif key in MANY and isinstance(value, list):
                placed[key] = [
                    self._placed(inner, (*here, number), through, depth + 1)
                    for number, inner in enumerate(value)
                ]
            elif key in ONE:
                placed[key] = self._placed(value, here, through, depth + 1)
            else:
                placed[key] = value
        return placed

    def _target(self, reference: Any, at: Steps) -> Any:
        instead = "write a reference within this rule, such as `#/definitions/address`"
        if not isinstance(reference, str):
            raise _Wrong(PlanProblem(at, "the reference is no text", instead))
        if not reference.startswith("#"):
            fact = f"the reference {shown(reference)} leaves the plan, and nothing is fetched"
            raise _Wrong(PlanProblem(at, fact, instead))
        pointer = unquote(reference[1:])
        found: Any = self._root
        if pointer and not pointer.startswith("/"):
            raise _Wrong(PlanProblem(at, f"the reference {shown(reference)} names an anchor", instead))
        for step in pointer.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isascii() and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise _Wrong(PlanProblem(at, f"the reference {shown(reference)} points to nothing", instead))
        if not isinstance(found, dict | bool):
            raise _Wrong(PlanProblem(at, f"the reference {shown(reference)} points to no schema", instead))
        return found
