"""What became of an expectation, and a memory of it for the run that has the same rows to judge again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

logger = logging.getLogger(__name__)

Status = Literal["PASS", "FAIL", "ERROR"]

# What an outcome depends on besides the suite and the rows: the libraries that judge, and our own code.
_LIBRARIES: Final = ("great-expectations", "pandas", "numpy")
_CODE: Final = ("gx.py", "gx_expectations.py", "outcomes.py", "../core/families.py")


@dataclass(frozen=True)
class Outcome:
    """What became of one expectation: it held, it did not, or it could not be judged."""

    status: Status
    rows: tuple[int, ...] | None = None  # positions of the rows that failed; None: the whole frame did
    observed: float | None = None  # what an expectation on a whole column or table saw
    problem: str = ""  # why it could not be judged


class Memory:
    """The last outcomes of each suite with a digest of what they were given, in one JSON file.

    An outcome is a function of its suite, its rows and the code that judges. When none of them has changed since
    the last run, Great Expectations would say the same again: it needs 2 s to be imported and 40 ms an
    expectation (2026-11-22). What could not be judged is never remembered.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known = _read(path) if path is not None else {}
        self._given: dict[str, str] = {}

    def recall(
        self, name: str, expectations: Sequence[Mapping[str, Any]], frame: pd.DataFrame
    ) -> list[Outcome] | None:
        """The outcomes of this suite on these rows, if they were judged before; else None."""
        if self._path is None:
            return None
        self._given[name] = _digest(expectations, frame)
        found = self._known.get(name)
        if found is None or found["of"] != self._given[name]:
            return None
        return [
            Outcome(status, None if rows is None else tuple(rows), observed)
            for status, rows, observed in found["outcomes"]
        ]

    def keep(self, name: str, outcomes: Sequence[Outcome]) -> None:
        """Remember what became of what :meth:`recall` was asked for, unless a part of it could not be judged."""
        if self._path is None:
            return
        self._known.pop(name, None)
        if all(each.status != "ERROR" for each in outcomes):
            self._known[name] = {
                "of": self._given[name],
                "outcomes": [[each.status, each.rows, each.observed] for each in outcomes],
            }

    def save(self, suites: Sequence[str]) -> None:
        """Write the file: what is known of these suites, from this run and from earlier ones."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(
            json.dumps({name: self._known[name] for name in sorted(set(suites) & set(self._known))})
        )
        fresh.replace(self._path)

    def knows_more_than(self, suites: Sequence[str]) -> bool:
        """Whether a suite that was judged before is, or may be, none of these any more."""
        return self._path is None or not set(self._known) <= set(suites)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text("utf-8"))
        return {str(name): {"of": each["of"], "outcomes": each["outcomes"]} for name, each in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("%s cannot be read, so every suite is judged again: %s", path, error)
        return {}


def _digest(expectations: Sequence[Mapping[str, Any]], frame: pd.DataFrame) -> str:
    """A digest of a suite, its rows in their order with their types, and the code that judges them."""
    digest = hashlib.sha256(_code().encode())
    digest.update(
        json.dumps(list(expectations), sort_keys=True, default=repr).encode("utf-8", "surrogatepass")
    )
    for column in frame.columns:
        values = frame[column]
        # `repr` tells a null from an empty text and a number from its digits.
        told = f"\x1e{column!r}\x1f{values.dtype}\x1f{values.tolist()!r}"
        digest.update(told.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


@cache
def _code() -> str:
    digest = hashlib.sha256()
    for name in _CODE:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest() + " ".join(f"{library}={version(library)}" for library in _LIBRARIES)
