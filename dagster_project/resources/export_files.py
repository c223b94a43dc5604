"""Finds a destination's export files and opens them: which files, which format, expanded, each named once."""

from __future__ import annotations

import glob
import gzip
import io
import itertools
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, Final

import pyarrow as pa

from dagster_project.resources.export_columns import (
    AGAIN,
    BLOCK,
    ExportFileError,
    Readable,
    Wanted,
    first_line,
)
from dagster_project.resources.export_parquet import read_parquet
from dagster_project.resources.export_text import read_csv, read_jsonl, text_blocks

# gzip's ceiling is 1032 to 1 and real exports stay below 100 to 1. zst goes far higher.
_EXPANSION_UNCHECKED: Final = 256 << 20
_EXPANSION_LIMIT: Final = 500


@dataclass(frozen=True)
class FileProblem:
    """What is wrong with one file of an export, and what to do about it."""

    file: str
    fact: str
    next_step: str


@dataclass(frozen=True)
class ExportFile:
    """One file that the contract's glob found."""

    path: Path
    name: str  # relative to the part of the glob that is fixed; what `_file` holds


def find_files(pattern: str, root: Path) -> tuple[list[ExportFile], list[FileProblem]]:
    """The files of a glob (relative to ``root``, or absolute), each once, in the order of their names.

    A file with several names (a ``latest.csv`` link beside the dated file) is one file: landed twice, it
    would double a day.
    """
    base = _fixed_base(pattern)
    real_base = os.path.realpath(root / base)
    by_inode: dict[tuple[int, int], tuple[bool, ExportFile]] = {}
    problems: list[FileProblem] = []
    # root_dir, not a joined pattern: the folder's own name may hold brackets.
    for match in sorted(glob.glob(pattern, root_dir=root, recursive=True)):
        path = root / match
        relative = PurePath(match).relative_to(base)
        name = _text_of(relative.as_posix())
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
            by_inode[key] = (linked, ExportFile(path, name))
    return sorted((file for _, file in by_inode.values()), key=lambda file: file.name), problems


def _fixed_base(pattern: str) -> PurePath:
    parts = PurePath(pattern).parts
    fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    return PurePath(*(fixed[:-1] if len(fixed) == len(parts) else fixed))


def _text_of(name: str) -> str:
    """A file name as text that any warehouse takes; bytes that are not UTF-8 show as ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _unreachable(name: str, path: Path, error: OSError) -> FileProblem:
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return FileProblem(
            name, "it is a link to a file that is not there", "remove the link, or restore its file"
        )
    return FileProblem(
        name, f"it cannot be opened ({error.strerror})", f"let the job read {_text_of(str(path))}"
    )


def read_batches(handle: BinaryIO, name: str, size: int, wanted: Wanted) -> Iterator[pa.Table]:
    """The rows of an open file in pieces that fit in memory: the logical columns, in order, as text.

    Raises ``ExportFileError`` at the first thing that is wrong, which may be after some pieces.
    """
    kind, compression = _suffixes(name)
    if size == 0:
        raise ExportFileError(
            "it is empty (0 bytes)", f"{AGAIN}; an upload may have failed or still be running"
        )
    stream: Readable = handle if compression is None else _Expanded(handle, compression, size)
    try:
        if kind == "parquet":
            yield from read_parquet(handle if compression is None else _spooled(stream), wanted)
        elif kind == "csv":
            yield from read_csv(text_blocks(stream), wanted)
        else:
            yield from read_jsonl(text_blocks(stream), wanted)
    except OSError as error:
        raise ExportFileError(
            f"reading it failed ({error.strerror or first_line(error)})",
            "check the disk or the mount; the next run reads it again",
            settled=False,
        ) from error


def _suffixes(name: str) -> tuple[str, str | None]:
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    compression = {".gz": "gzip", ".zst": "zstd"}.get(suffixes[-1]) if suffixes else None
    ending = suffixes[-2:-1] if compression else suffixes[-1:]
    # Amplitude and Mixpanel name their line-delimited exports .json; ndjson is the same format.
    kinds = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
    kind = kinds.get(ending[0]) if ending else None
    if kind is None:
        raise ExportFileError(
            "its name does not end in .csv, .jsonl or .parquet (then .gz or .zst)",
            "rename it to what it holds, or narrow the glob under export.files",
        )
    return kind, compression


class _Expanded:
    """A compressed stream that notices when it ends too early, is damaged, or grows without end."""

    def __init__(self, handle: BinaryIO, compression: str, size: int) -> None:
        self._compression = compression
        # pyarrow's zst stream knows the end of a frame; zstandard's reader stops silently at a cut.
        self._stream: Readable = (
            gzip.GzipFile(fileobj=handle)
            if compression == "gzip"
            else pa.CompressedInputStream(_Borrowed(handle), "zstd")
        )
        self._size = size
        self._given = 0

    def read(self, size: int = -1, /) -> bytes:
        try:
            chunk = self._stream.read(size)
        except EOFError as error:
            raise self._cut() from error
        except (OSError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk, not the data
            if "Truncated" in str(error):
                raise self._cut() from error
            raise ExportFileError(
                f"its {self._compression} data is damaged after {self._given:,} bytes of content"
                f" ({first_line(error)})",
                f"{AGAIN}, or copy it again from where it came",
            ) from error
        self._given += len(chunk)
        if self._given > _EXPANSION_UNCHECKED and self._given > _EXPANSION_LIMIT * self._size:
            raise ExportFileError(
                f"it grows to more than {_EXPANSION_LIMIT} times its size when expanded",
                f"look at who made it; {AGAIN} if it is meant",
            )
        return chunk

    def _cut(self) -> ExportFileError:
        return ExportFileError(
            f"its {self._compression} data stops in the middle, after {self._given:,} bytes of content",
            "copy or export it again in full; an upload may have been cut off or still be running",
        )


class _Borrowed(io.RawIOBase):
    """A handle that pyarrow may close without closing ours, which is still asked whether its file changed."""

    def __init__(self, handle: BinaryIO) -> None:
        super().__init__()
        self._handle = handle

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._handle.read(size)


def _spooled(stream: Readable) -> BinaryIO:
    """Parquet is read from its end, so a compressed one is expanded to an unnamed file on disk first."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the reader lets go of it
    while chunk := stream.read(BLOCK):
        spool.write(chunk)
    spool.seek(0)
    return spool
