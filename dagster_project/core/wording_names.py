"""Names from the data as people read and copy them: in one line, masked, cut, quoted for YAML."""

from __future__ import annotations

import json
import re

from dagster_project.core.message import cut, visible

NAME_LENGTH = 80
# Event names are made by programs too, and some put the customer into them.
_EMAIL = re.compile(r"[\w.%+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+")
_PLAIN_YAML = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?: [A-Za-z0-9_]+)*")
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def shown(name: object, limit: int = NAME_LENGTH) -> str:
    """A name from the data in one line: hidden characters escaped, e-mail addresses by their shape, cut."""
    if name is None:
        return ""
    # Cut before anything else as well: a hostile name may hold megabytes.
    text = _EMAIL.sub("<email>", str(name)[: limit * 4].encode("utf-8", "replace").decode())
    return cut(visible(text), limit) or "(empty)"


def alias(name: str, there: str | None) -> str:
    """The line of a destination's file that gives an event its name over there, as valid YAML."""
    return f"`- {{{_yaml(name)}: {_yaml(there if there is not None else name)}}}`"


def _yaml(name: str) -> str:
    text = shown(name)
    if text == name and _PLAIN_YAML.fullmatch(name) and name.lower() not in _YAML_WORDS:
        return name
    # JSON strings are YAML strings; a cut or masked name cannot be copied anyway.
    return (
        json.dumps(name, ensure_ascii=True) if len(name) <= NAME_LENGTH and "@" not in name else f'"{text}"'
    )
