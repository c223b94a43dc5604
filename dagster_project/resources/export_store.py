"""Finds export files in an object store (s3://, gs://, az://) and reads them through fsspec's drivers.

Credentials, region and endpoint are the driver's own business (``AWS_*``, ``GOOGLE_*``, ``AZURE_STORAGE_*``, the
machine's role): nothing of them is read here, and what a driver says is cleaned before it is shown.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from dagster_project.core.contracts import STORES
from dagster_project.resources.export_columns import ExportFileError, first_line
from dagster_project.resources.export_place import EPOCH, OpenedFile, Seen, being_written

# One request each. Smaller ones cost a round trip for little, larger ones are held in memory by each thread.
_REQUEST_BYTES: Final = 8 << 20
_DRIVERS: Final = {  # scheme: package, our extra, what the drivers read their credentials from
    "s3": ("s3fs", "s3", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or the machine's role"),
    "gs": ("gcsfs", "gcs", "GOOGLE_APPLICATION_CREDENTIALS or the machine's account"),
    "az": (
        "adlfs",
        "azure",
        "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or the machine's identity",
    ),
}
assert _DRIVERS.keys() == set(STORES)
_SECRET: Final = re.compile(r"key|secret|token|password|credential|connection_string|sas", re.IGNORECASE)
_MAGIC: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class StoredFile:
    """One object of a store."""

    store: Any  # an fsspec file system
    scheme: str
    path: str  # bucket/key
    name: str
    folders: tuple[str, ...]
    seen: Seen  # as it was listed

    def look(self) -> Seen:
        return self.seen

    @contextmanager
    def opened(self) -> Iterator[OpenedFile]:
        """The object, copied to an unnamed file on disk: each byte is fetched once, and cannot change any more."""
        digest = sha256()
        # TMPDIR says where; one file a thread lies there at a time.
        with tempfile.TemporaryFile() as copy:
            try:
                with self.store.open(self.path, "rb", block_size=_REQUEST_BYTES, cache_type="none") as remote:
                    seen = _seen(remote.details)
                    while block := remote.read(_REQUEST_BYTES):
                        digest.update(block)
                        copy.write(block)
                now = _seen(self.store.info(self.path))
            except Exception as error:
                raise _explained(error, self.scheme, self.path) from error
            # S3 refuses to go on with another version (If-Match); not every store is asked to.
            if now != seen or copy.tell() != seen.size:
                raise being_written()
            copy.seek(0)
            yield OpenedFile(copy, seen, digest.hexdigest(), _nothing)


def _nothing() -> None:
    """A copy of our own does not change."""


def find_in_store(url: str) -> list[StoredFile]:
    """The objects of a glob, in the order of their names. ``*`` stays within a folder, ``**`` does not.

    Raises ``ExportFileError`` when the store cannot be asked, so that nobody takes that for an empty folder.
    """
    scheme, _, path = url.partition("://")
    store = _store(scheme)
    bucket, _, key = path.partition("/")
    *folders, last = key.split("/")
    fixed: list[str] = []
    for folder in folders:
        if _MAGIC.search(folder):
            break
        fixed.append(folder)
    base = "/".join([bucket, *fixed])
    first = [*folders, last][len(fixed)]
    prefix = first[: found.start()] if (found := _MAGIC.search(first)) else first
    wanted = [*folders, last][len(fixed) :]
    try:
        listed = store.find(base, prefix=prefix, detail=True)
    except FileNotFoundError as error:
        raise ExportFileError(
            f"the store has no bucket {bucket!r}, or shows it to nobody with these credentials",
            "correct export.files, or create the bucket",
            settled=False,
        ) from error
    except Exception as error:
        raise _explained(error, scheme, base) from error
    files = []
    for full, details in listed.items():
        name = full[len(base) + 1 :]
        # A key that ends in a slash is how consoles show an empty folder.
        if details.get("type") == "directory" or full.endswith("/") or not _matches(name.split("/"), wanted):
            continue
        above = tuple(full.split("/")[1:-1])
        files.append(StoredFile(store, scheme, full, _printable(name), above, _seen(details)))
    return sorted(files, key=lambda file: file.name)


def _store(scheme: str) -> Any:
    import fsspec

    package, extra, _ = _DRIVERS[scheme]
    # Nothing is remembered: a listing of the last run would hide what landed since.
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme == "az":
        options["anon"] = False  # without it the driver asks for public data only
    try:
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise ExportFileError(
            f"{scheme}:// needs the package {package}, which is not installed",
            f"install the extra: uv sync --extra {extra} (or pip install {package})",
            settled=False,
        ) from error
    except Exception as error:
        raise _explained(error, scheme, "") from error


def _matches(name: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches a glob, folder by folder, as the disk's own glob has it: no hidden names."""
    if not pattern:
        return not name
    if pattern == ["**"]:
        return not any(part.startswith(".") for part in name)
    if pattern[0] == "**":
        here = _matches(name, pattern[1:])
        return here or (len(name) > 1 and not name[0].startswith(".") and _matches(name[1:], pattern))
    if not name or (name[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(name[0], pattern[0]) and _matches(name[1:], pattern[1:])


def _seen(details: Mapping[str, Any]) -> Seen:
    changed = next(
        (details[key] for key in ("LastModified", "last_modified", "mtime", "updated") if details.get(key)),
        EPOCH,
    )
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed)
    if changed.tzinfo is not None:
        changed = changed.astimezone(UTC).replace(tzinfo=None)
    etag = details.get("ETag") or details.get("etag")
    return Seen(int(details["size"]), changed, str(etag).strip('"') if etag else None)


def _explained(error: Exception, scheme: str, path: str) -> ExportFileError:
    """What a driver raised, in our words. Drivers differ in their exceptions; their own text is cleaned."""
    place = f"{scheme}://{path}" if path else f"{scheme}://"
    said = f"{type(error).__name__}: {without_secrets(first_line(error), os.environ)}"
    kind = type(error).__name__
    text = str(error).lower()
    if kind == "FileExpired" or "pre-condition" in text or "precondition" in text:
        return being_written()
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ExportFileError(
            f"there is no space to copy it to ({tempfile.gettempdir()})",
            "make space there, or name another folder in TMPDIR; the next run tries again",
            settled=False,
        )
    if isinstance(error, FileNotFoundError):
        return ExportFileError(
            "it was taken away while it was about to be read",
            "nothing to do if that was meant; the next run lists the folder again",
            settled=False,
        )
    refused = ("credential", "forbidden", "unauthorized", "authentication", "access denied", "signature")
    if isinstance(error, PermissionError) or any(word in text or word in kind.lower() for word in refused):
        return ExportFileError(
            f"the store refuses the credentials at {place} ({said})",
            f"let the job list and read there; the driver reads {_DRIVERS[scheme][2]}",
            settled=False,
        )
    return ExportFileError(
        f"the store does not answer for {place} ({said})",
        "check the network, the region and the endpoint (AWS_ENDPOINT_URL and its like); the next run tries again",
        settled=False,
    )


def without_secrets(text: str, environ: Mapping[str, str]) -> str:
    """A driver's sentence without the query of any address (signatures) and without a secret of the environment."""
    text = re.sub(r"(\w+://[^\s?\"']*)\?[^\s\"']*", r"\1?...", text)
    text = re.sub(r"(\w+://)[^\s/@\"']+@", r"\1...@", text)
    for name, value in environ.items():
        if len(value) >= 8 and _SECRET.search(name) and value in text:
            text = text.replace(value, "...")
    return text


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
