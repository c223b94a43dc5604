"""What a place of export files gives: files by name, what is seen of each without reading it, and its bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final, Protocol

from dagster_project.resources.export_columns import BLOCK, ExportFileError

EPOCH: Final = datetime(1970, 1, 1)


@dataclass(frozen=True)
class FileProblem:
    """What is wrong with one file of an export, and what to do about it."""

    file: str
    fact: str
    next_step: str


@dataclass(frozen=True)
class Seen:
    """What is known of a file without reading it."""

    size: int  # bytes
    mtime: datetime  # UTC, no zone, microseconds: as finely as the warehouse keeps it
    etag: str | None = None  # an object store's own mark of a version; a disk has none


@dataclass(frozen=True)
class OpenedFile:
    """A file that is being read: its bytes from the start, and what it was when it was opened."""

    handle: BinaryIO  # seekable
    seen: Seen
    sha256: str  # of the bytes
    must_be_unchanged: Callable[[], None]  # raises ExportFileError when the file is another by now


class ExportFile(Protocol):
    """One file that the contract's glob found."""

    @property
    def name(self) -> str:
        """Its path below the part of the glob that is fixed; what `_file` holds."""

    @property
    def folders(self) -> tuple[str, ...]:
        """All folders above it, outermost first, those of the fixed part too."""

    def look(self) -> Seen:
        """What is seen of it; raises `ExportFileError` when it cannot be."""

    def opened(self) -> AbstractContextManager[OpenedFile]:
        """Its bytes and their hash; raises `ExportFileError` when they cannot be read."""


def sha256_of(handle: BinaryIO) -> str:
    """The hash of all bytes of a handle, which is left at its start again."""
    digest = hashlib.sha256()
    while block := handle.read(BLOCK):
        digest.update(block)  # other threads go on meanwhile
    handle.seek(0)
    return digest.hexdigest()


def being_written() -> ExportFileError:
    return ExportFileError(
        "it was being written while it was read",
        "nothing to do if the upload goes on: the next run reads it again",
        settled=False,
    )


def unreadable(error: OSError) -> ExportFileError:
    return ExportFileError(
        f"it cannot be read ({error.strerror or error})",
        "let the job read it (owner, permissions, mount); the next run tries again",
        settled=False,
    )


def text_of(name: str) -> str:
    """A file name as text that any warehouse takes; bytes that are not UTF-8 show as ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
