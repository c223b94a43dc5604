"""Finds export files on disk, each once however many names it has, and opens them."""

from __future__ import annotations

import glob
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Final

from dagster_project.resources.export_place import (
    EPOCH,
    FileProblem,
    OpenedFile,
    Seen,
    being_written,
    sha256_of,
    text_of,
    unreadable,
)

_LAST_MICROSECOND: Final = 253_402_300_799_000_000  # year 9999


@dataclass(frozen=True)
class FolderFile:
    """One file on disk."""

    path: Path
    name: str
    folders: tuple[str, ...]

    def look(self) -> Seen:
        try:
            return _seen(self.path.stat())
        except OSError as error:
            raise unreadable(error) from error

    @contextmanager
    def opened(self) -> Iterator[OpenedFile]:
        try:
            handle = self.path.open("rb")
        except OSError as error:
            raise unreadable(error) from error
        with handle:
            before = os.fstat(handle.fileno())
            try:
                digest = sha256_of(handle)
            except OSError as error:
                raise unreadable(error) from error

            def must_be_unchanged() -> None:
                now = os.fstat(handle.fileno())
                if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                    raise being_written()

            yield OpenedFile(handle, _seen(before), digest, must_be_unchanged)


def _seen(status: os.stat_result) -> Seen:
    since = min(status.st_mtime_ns // 1000, _LAST_MICROSECOND)
    return Seen(status.st_size, EPOCH + timedelta(microseconds=since))


def find_in_folder(pattern: str, root: Path) -> tuple[list[FolderFile], list[FileProblem]]:
    """The files of a glob (relative to ``root``, or absolute), each once, in the order of their names.

    A file with several names (a ``latest.csv`` link beside the dated file) is one file: landed twice, it
    would double a day.
    """
    base = _fixed_base(pattern)
    real_base = os.path.realpath(root / base)
    by_inode: dict[tuple[int, int], tuple[bool, FolderFile]] = {}
    problems: list[FileProblem] = []
    # root_dir, not a joined pattern: the folder's own name may hold brackets.
    for match in sorted(glob.glob(pattern, root_dir=root, recursive=True)):
        path = root / match
        relative = PurePath(match).relative_to(base)
        name = text_of(relative.as_posix())
        try:
            status = path.stat()
        except OSError as error:
            problems.append(_unreachable(name, path, error))
            continue
        if stat.S_ISDIR(status.st_mode):
            continue
        if not stat.S_ISREG(status.st_mode):
            problems.append(
                FileProblem(name, "it is a pipe or a device, not a file", f"narrow the glob {pattern!r}")
            )
            continue
        linked = os.path.realpath(path) != os.path.join(real_base, relative)  # noqa: PTH118
        key = (status.st_dev, status.st_ino)
        if key not in by_inode or (by_inode[key][0] and not linked):
            folders = tuple(text_of(part) for part in PurePath(match).parent.parts)
            by_inode[key] = (linked, FolderFile(path, name, folders))
    return sorted((file for _, file in by_inode.values()), key=lambda file: file.name), problems


def _fixed_base(pattern: str) -> PurePath:
    parts = PurePath(pattern).parts
    fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    return PurePath(*(fixed[:-1] if len(fixed) == len(parts) else fixed))


def _unreachable(name: str, path: Path, error: OSError) -> FileProblem:
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return FileProblem(
            name, "it is a link to a file that is not there", "remove the link, or restore its file"
        )
    return FileProblem(
        name, f"it cannot be opened ({error.strerror})", f"let the job read {text_of(str(path))}"
    )
