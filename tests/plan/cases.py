"""Plans and messages by the thousand, from a seed: what the judges of one plan are held together by."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Final

NAMES: Final = (
    "total",
    "currency",
    "isGift",
    "coupon",
    "items count",
    "orderId",
    "étage",
    "步",
    "x.y",
    "__proto__",
)
TEXTS: Final = (
    *(
        "",
        " ",
        "EUR",
        "eur",
        "USD",
        "a",
        "aaaa",
        "sku_01",
        "sku_1x",
        "1",
        "1.0",
        "-0",
        "1e3",
        "true",
        "false",
    ),
    *(
        "null",
        "None",
        "NaN",
        "2026-10-20",
        "2026-02-30",
        "2026-10-20T09:30:00Z",
        "2026-10-20T09:30:00.5+05:30",
    ),
    *(
        "09:30:00",
        "é",
        "e\u0301",
        "🎉",
        "日本",
        "line\nbreak",
        "tab\t",
        "[1,2]",
        '{"a":1}',
        "<script>",
        "a@b.co",
    ),
    *("123e4567-e89b-12d3-a456-426614174000", "x" * 60, "K", "ſ", "İ", "\u2028", "'; drop table x; --"),
)
NUMBERS: Final = (
    *(0, 1, -1, 2, 5, 10, 100, 1.0, 0.5, 2.5, -0.0, 0.1, 0.3, 99.99, 1e3, 1e-7, 123456.789, 1e15, 2**53),
    *(-(2**53), 1.7976931348623157e308, 5e-324, 7, 12, 3.0),
)
OTHERS: Final = (
    None,
    True,
    False,
    [],
    {},
    [1, 2],
    [1, 1],
    ["a", "b"],
    [[1]],
    [{"sku": "a"}],
    {"city": "Bonn"},
)
PATTERNS: Final = (
    *(
        "^sku_[0-9]+$",
        "^[A-Z]{3}$",
        "^(a+)+$",
        "(?i)^eur|usd$",
        r"^\d{4}-\d{2}-\d{2}",
        r"\.",
        r"^\S*$",
        "a{2,3}",
    ),
    *(
        r"\bbreak\b",
        r"^.$",
        r"(?s)^.+$",
        r"(?m)^break$",
        r"^\pL+$",
        r"^[^\d\s]*\z",
        "",
        "^$",
        r"\x{1F389}|é",
        "x*y?",
    ),
    *("[[:alpha:]_-]+@", r"^(?:EUR|USD|GBP)$", r"(?i)^k$", r"\Qa.b\E|\A1", r"^(x|x)*$", r"\p{Greek}|\p{Han}"),
)
FORMATS: Final = ("date-time", "date", "time", "email", "uuid", "ipv4", "ipv6", "hostname", "uri", "color")
TYPES: Final = ("string", "number", "integer", "boolean", "array", "object", "null")


def property_schema(random: Random) -> Any:
    """What a plan made in Segment's editor says of one property: one type, and what the editor offers for it."""
    kind = random.choice(("string", "string", "number", "integer", "boolean", "array", "any", "moment"))
    schema: dict[str, Any] = {} if kind == "any" else {"type": kind}
    if kind == "moment":
        schema = {"type": "string", "format": "date-time"}
    if kind == "string" and random.random() < 0.5:
        schema["enum" if random.random() < 0.5 else "pattern"] = None
        if "enum" in schema:
            schema["enum"] = random.sample(TEXTS, random.randint(1, 4))
        else:
            schema["pattern"] = random.choice(PATTERNS)
    if kind in ("number", "integer", "any") and random.random() < 0.6:
        schema[random.choice(("minimum", "exclusiveMinimum"))] = random.choice((0, 1, 0.5, -1))
        if random.random() < 0.4:
            schema[random.choice(("maximum", "exclusiveMaximum"))] = random.choice((10, 100, 99.99))
    if kind in ("integer", "boolean") and random.random() < 0.2:
        schema["enum"] = [1, 2, 5] if kind == "integer" else [True]
    if kind == "array":
        schema["items"] = {"type": random.choice(("string", "number"))}
    if "type" in schema and random.random() < 0.25:
        schema["type"] = [schema["type"], random.choice(("null", "null", "string", "number"))]
        schema["type"] = list(dict.fromkeys(schema["type"]))
        if "null" in schema["type"] and "enum" in schema and random.random() < 0.5:
            schema["enum"] = [*schema["enum"], None]
    return schema


def any_schema(random: Random, depth: int = 0) -> Any:
    """Anything that draft-07 can say, within a few levels."""
    if random.random() < 0.04:
        return random.random() < 0.6
    schema: dict[str, Any] = {}
    few = 3 if depth == 0 else 2
    for keyword in random.sample(_KEYWORDS, random.randint(0, few)):
        schema[keyword] = _said(keyword, random, depth + 1)
    if random.random() < 0.5:
        schema["type"] = random.choice(TYPES) if random.random() < 0.7 else random.sample(TYPES, 2)
    return schema


_KEYWORDS: Final = (
    *("enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "format", "items", "additionalItems", "contains", "minItems", "maxItems"),
    *("uniqueItems", "properties", "required", "additionalProperties", "patternProperties", "propertyNames"),
    *(
        "minProperties",
        "maxProperties",
        "dependencies",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
    ),
    *("title", "examples", "unknown"),
)


def object_schema(random: Random) -> Any:
    """An object whose properties may be anything, so that every keyword meets values that it speaks of."""
    if random.random() < 0.3:
        return any_schema(random)
    around = any_schema(random, 2)
    inner = {"type": "object", "properties": _said("properties", random, 1)}
    return {**around, **inner} if isinstance(around, dict) else inner


def _said(keyword: str, random: Random, depth: int) -> Any:
    leaf = depth > 3

    def schema() -> Any:
        return {} if leaf else any_schema(random, depth)

    if keyword == "enum":
        return [value(random, 2) for _ in range(random.randint(1, 4))]
    if keyword in ("const", "examples", "unknown"):
        return [value(random, 2)] if keyword == "examples" else value(random, 2)
    if keyword == "pattern":
        return random.choice(PATTERNS)
    if keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        return random.choice(NUMBERS)
    if keyword == "multipleOf":
        return random.choice((0.1, 0.01, 1, 2, 2.5, 1e-7, 3))
    if keyword in ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"):
        return random.randint(0, 3)
    if keyword == "format":
        return random.choice(FORMATS)
    if keyword == "uniqueItems":
        return random.random() < 0.8
    if keyword == "items" and random.random() < 0.4:
        return [schema() for _ in range(random.randint(0, 2))]
    if keyword in ("properties", "patternProperties"):
        names = NAMES if keyword == "properties" else PATTERNS
        return {name: schema() for name in random.sample(names, random.randint(1, 3))}
    if keyword == "required":
        return random.sample(NAMES, random.randint(1, 2))
    if keyword == "additionalProperties":
        return False if random.random() < 0.5 else schema()
    if keyword == "dependencies":
        return {
            random.choice(NAMES): schema()
            if random.random() < 0.5
            else random.sample(NAMES, random.randint(1, 2))
        }
    if keyword in ("allOf", "anyOf", "oneOf"):
        return [schema() for _ in range(random.randint(1, 3))]
    if keyword == "title":
        return "A title"
    return schema()


def value(random: Random, depth: int = 0) -> Any:
    """Any JSON value that the judges must agree on to the last case."""
    draw = random.random()
    if draw < 0.4:
        return random.choice(TEXTS)
    if draw < 0.65:
        return random.choice(NUMBERS)
    if draw < 0.85 or depth > 2:
        return random.choice(OTHERS)
    if draw < 0.93:
        return [value(random, depth + 1) for _ in range(random.randint(0, 3))]
    return {name: value(random, depth + 1) for name in random.sample(NAMES, random.randint(0, 3))}


def fitting(schema: Any, random: Random) -> Any:
    """A value that an editor's schema takes, or nearly: most traffic keeps to its plan."""
    if not isinstance(schema, Mapping) or random.random() < 0.15:
        return value(random)
    if "enum" in schema:
        return random.choice(schema["enum"])
    if "type" not in schema:
        return value(random)
    kinds = schema["type"]
    kind = random.choice(kinds) if isinstance(kinds, list) else kinds
    if schema.get("format") == "date-time":
        return random.choice(("2026-10-20T09:30:00Z", "2026-10-21T00:00:00+02:00"))
    return {
        "string": lambda: random.choice(TEXTS),
        "number": lambda: random.choice(NUMBERS),
        "integer": lambda: random.choice([n for n in NUMBERS if isinstance(n, int)]),
        "boolean": lambda: random.random() < 0.5,
        "array": lambda: random.choice(([], ["a"], [1, 2.5], ["a", 1])),
        "object": dict,
        "null": lambda: None,
    }[kind]()
