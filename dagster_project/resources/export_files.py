"""Finds a destination's export files and reads them: where they lie, which format, expanded."""

from __future__ import annotations

import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator, Sequence
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
from dagster_project.resources.export_folder import find_in_folder
from dagster_project.resources.export_parquet import read_parquet
from dagster_project.resources.export_place import ExportFile, FileProblem
from dagster_project.resources.export_store import find_in_store
from dagster_project.resources.export_text import read_csv, read_jsonl, text_blocks

# gzip's ceiling is 1032 to 1 and real exports stay below 100 to 1. zst goes far higher.
_EXPANSION_UNCHECKED: Final = 256 << 20
_EXPANSION_LIMIT: Final = 500


def find_files(pattern: str, root: Path) -> tuple[Sequence[ExportFile], list[FileProblem]]:
    """The files of a glob in the order of their names: below ``root``, absolute, or in an object store.

    The problems are of single files. Raises ``ExportFileError`` when an object store cannot be asked at all.
    """
    if "://" in pattern:
        return find_in_store(pattern), []
    return find_in_folder(pattern, root)


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


def without_compression(name: str) -> str:
    """A file's name as it would be unpacked: the same file, packed otherwise, has the same."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and suffix.lower() in ("gz", "zst") else name


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
        self._handle = handle
        self._compression = compression
        self._stream = self._opened()
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
                f"its {self._compression} data is damaged after {self._readable():,} bytes of content"
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
            f"its {self._compression} data stops in the middle, after {self._readable():,} bytes of content",
            "copy or export it again in full; an upload may have been cut off or still be running",
        )

    def _opened(self) -> Readable:
        # pyarrow's zst stream knows the end of a frame; zstandard's reader stops silently at a cut.
        return (
            gzip.GzipFile(fileobj=self._handle)
            if self._compression == "gzip"
            else pa.CompressedInputStream(_Borrowed(self._handle), "zstd")
        )

    def _readable(self) -> int:
        """How much of the content can be read: a read that fails drops what it had, up to a block of it."""
        self._handle.seek(0)
        stream = self._opened()
        given = 0
        try:
            while given < self._given:
                given += len(stream.read(min(BLOCK, self._given - given)))
            # Byte by byte, or the last read would drop some again: at most a block, which takes a second.
            while stream.read(1):
                given += 1
        except (EOFError, OSError, zlib.error):
            pass  # the fault that is being told
        return given


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
