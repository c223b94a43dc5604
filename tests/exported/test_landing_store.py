"""Exports in an object store land as those on disk do: a real S3 server on loopback, and a line that breaks."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec  # noqa: F401 - its registry is looked into below
import pytest
from botocore.session import Session
from exported.landing_desk import Desk, events, gz, some_events, zst
from moto.server import ThreadedMotoServer

import dagster_project.resources.export_store as export_store
from dagster_project.resources.export_columns import ExportFileError
from dagster_project.resources.export_files import find_files
from dagster_project.resources.export_store import StoredFile, find_in_store, without_secrets

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    yield moto.get_host_and_port()
    moto.stop()


class Bucket:
    """What a destination's uploader does in its bucket."""

    def __init__(self, server: tuple[str, int], name: str) -> None:
        self.name = name
        self._client: Any = Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=f"http://{server[0]}:{server[1]}",
            aws_access_key_id="test",
            aws_secret_access_key=SECRET,
        )
        self._client.create_bucket(Bucket=name)

    def put(self, key: str, content: bytes | str) -> None:
        self._client.put_object(
            Bucket=self.name, Key=key, Body=content.encode() if isinstance(content, str) else content
        )

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.name, Key=key)


@pytest.fixture
def bucket(server: tuple[str, int], monkeypatch: pytest.MonkeyPatch, request: Any, tmp_path: Path) -> Bucket:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{server[0]}:{server[1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no_config"))
    name = "b" + "".join(each if each.isalnum() else "-" for each in request.node.name.lower())[-50:].strip(
        "-"
    )
    return Bucket(server, name)


def desk_of(folder: Path, url: str, **changes: Any) -> Desk:
    return Desk(folder, events(files=url, **changes))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The objects that were fetched."""
    fetched: list[str] = []
    original = StoredFile.opened

    def noted(self: StoredFile) -> Any:
        fetched.append(self.name)
        return original(self)

    monkeypatch.setattr(StoredFile, "opened", noted)
    return fetched


def test_objects_land_as_files_do(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("exports/dt=2026-11-01/part-0.csv.gz", gz(some_events("A", "B")))
    bucket.put("exports/dt=2026-11-02/part-0.csv.zst", zst(some_events("C")))
    bucket.put("exports/dt=2026-11-02/", "")
    bucket.put("exports/dt=2026-11-02/_SUCCESS", "")
    bucket.put("elsewhere/dt=2026-11-01/part-0.csv", some_events("Not ours"))
    desk = desk_of(tmp_path, f"s3://{bucket.name}/exports/dt=*/part-*")
    landed = desk.land()
    assert (landed.status, landed.problems, landed.files_new, landed.rows) == ("ok", [], 2, 3)
    assert desk.rows(["event_name", "_file", "_row"]) == [
        ("A", "dt=2026-11-01/part-0.csv.gz", 1),
        ("B", "dt=2026-11-01/part-0.csv.gz", 2),
        ("C", "dt=2026-11-02/part-0.csv.zst", 1),
    ]


def test_an_object_is_known_by_size_time_and_etag_and_not_fetched_again(
    tmp_path: Path, bucket: Bucket, opened: list[str]
) -> None:
    bucket.put("a.csv", some_events("A"))
    desk = desk_of(tmp_path, f"s3://{bucket.name}/*.csv")
    desk.land()
    (row,) = desk.ledger()
    assert len(row["etag"]) == 32
    before = desk.tables()
    desk.land("second")
    assert (opened, desk.tables()) == (["a.csv"], before)
    # The same size within the same second: the etag alone tells.
    bucket.put("a.csv", some_events("B"))
    desk.land()
    assert (opened, desk.names()) == (["a.csv"] * 2, ["B"])


def test_the_same_bytes_uploaded_again_change_nothing_but_what_is_seen(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a.csv", some_events("A"))
    desk = desk_of(tmp_path, f"s3://{bucket.name}/*.csv")
    desk.land("first")
    time.sleep(1.1)  # S3 counts in whole seconds
    bucket.put("a.csv", some_events("A"))
    again = desk.land("second")
    assert (again.files_new, again.files_changed, desk.names()) == (0, 0, ["A"])
    assert desk.ledger()[0]["run_id"] == "first"


def test_a_grown_object_replaces_its_rows(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("x/a.csv", some_events("A"))
    bucket.put("x/b.csv", some_events("B"))
    desk = desk_of(tmp_path, f"s3://{bucket.name}/x/*.csv")
    desk.land()
    bucket.put("x/a.csv", some_events("A", "A2"))
    assert (desk.land().files_changed, desk.names()) == (1, ["A", "A2", "B"])
    bucket.delete("x/a.csv")
    assert (desk.land().status, desk.names()) == ("ok", ["A", "A2", "B"])


def test_more_objects_than_one_listing_holds(tmp_path: Path, bucket: Bucket) -> None:
    for number in range(1_005):
        bucket.put(f"many/{number:04}.csv", "event,at,user,anon,id\n")
    files, _ = find_files(f"s3://{bucket.name}/many/*.csv", tmp_path)
    assert [file.name for file in files] == [f"{number:04}.csv" for number in range(1_005)]


GLOBS = {
    "*.csv": ["a.csv"],
    "**": ["a.csv", "x/b.csv", "x/y/c.csv", "x/y/[d].csv"],
    "**/*.csv": ["a.csv", "x/b.csv", "x/y/c.csv", "x/y/[d].csv"],
    "*/*.csv": ["x/b.csv"],
    "x/**/*.csv": ["b.csv", "y/c.csv", "y/[d].csv"],
    "x/y/?.csv": ["c.csv"],
    "x/y/[[]d].csv": ["[d].csv"],
    "x/b.csv": ["b.csv"],
    "x/[!a]*": ["b.csv"],
    "x": [],
    "?": [],
    ".hidden/*": [],  # a star matches no hidden name
}


@pytest.mark.parametrize("glob", GLOBS)
def test_a_glob_means_in_a_store_what_it_means_on_disk(tmp_path: Path, bucket: Bucket, glob: str) -> None:
    for name in ("a.csv", "x/b.csv", "x/y/c.csv", "x/y/[d].csv", ".hidden/.e.csv"):
        bucket.put(f"root/{name}", some_events("A"))
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(some_events("A"))
    stored = [file.name for file in find_files(f"s3://{bucket.name}/root/{glob}", tmp_path)[0]]
    assert stored == sorted(GLOBS[glob])
    assert [file.name for file in find_files(f"root/{glob}", tmp_path)[0]] == stored


def test_a_key_is_data(tmp_path: Path, bucket: Bucket) -> None:
    names = ["a'; drop table x; --.csv", "🛒 %41+&=.csv", "a?b#c.csv"]
    for name in names:
        bucket.put(f"x/{name}", some_events("A"))
    desk = desk_of(tmp_path, f"s3://{bucket.name}/x/*")
    assert desk.land().problems == []
    assert sorted(row[0] for row in desk.rows(["_file"])) == sorted(names)


# What goes wrong.


def test_a_bucket_that_is_not_there_is_told_and_changes_nothing(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("a.csv", some_events("A"))
    desk = desk_of(tmp_path, f"s3://{bucket.name}/*.csv")
    desk.land()
    before = desk.tables()
    desk.destinations = (events(files="s3://nobody-has-this-one/*.csv"),)
    landed = desk.land()
    assert landed.status == "broken"
    assert "the store has no bucket 'nobody-has-this-one'" in landed.problems[0].fact
    assert "export.files" in landed.problems[0].next_step
    assert desk.tables() == before


def test_an_empty_folder_is_told_as_one(tmp_path: Path, bucket: Bucket) -> None:
    landed = desk_of(tmp_path, f"s3://{bucket.name}/x/*.csv").land()
    assert (landed.status, landed.problems[0].fact) == (
        "empty",
        f"no file matches 's3://{bucket.name}/x/*.csv'",
    )


def test_a_store_that_does_not_answer_is_told(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        problem = desk_of(tmp_path, f"s3://{bucket.name}/*.csv").land().problems[0]
    assert "the store does not answer" in problem.fact
    assert "AWS_ENDPOINT_URL" in problem.next_step
    assert SECRET not in problem.fact


def test_no_credentials_are_told(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    problem = desk_of(tmp_path, f"s3://{bucket.name}/*.csv").land().problems[0]
    assert "the store refuses the credentials" in problem.fact
    assert "AWS_ACCESS_KEY_ID" in problem.next_step


def test_refused_credentials_are_told_without_the_secret(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(
            f"The signature of https://x.example/b?X-Amz-Signature=abc&k=1 with {SECRET} does not match"
        )

    bucket.put("a.csv", some_events("A"))
    monkeypatch.setattr("s3fs.S3FileSystem.open", refuse)
    desk = desk_of(tmp_path, f"s3://{bucket.name}/*.csv")
    problem = desk.land().problems[0]
    assert (problem.file, "refuses the credentials" in problem.fact) == ("a.csv", True)
    told = str(desk.tables()) + problem.fact + problem.next_step
    assert SECRET not in told
    assert "X-Amz-Signature" not in told
    monkeypatch.undo()


@pytest.mark.parametrize(("scheme", "extra"), [("s3", "s3"), ("gs", "gcs"), ("az", "azure")])
def test_a_driver_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str
) -> None:
    for name in ("s3fs", "gcsfs", "adlfs"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    problem = desk_of(tmp_path, f"{scheme}://bucket/*.csv").land().problems[0]
    assert f"{scheme}:// needs the package" in problem.fact
    assert f"--extra {extra}" in problem.next_step


def test_one_broken_object_does_not_stop_the_others(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("x/a.csv", "nonsense")
    bucket.put("x/b.csv", some_events("B"))
    bucket.put("x/c.csv", "")
    desk = desk_of(tmp_path, f"s3://{bucket.name}/x/*")
    landed = desk.land()
    assert [problem.file for problem in landed.problems] == ["a.csv", "c.csv"]
    assert desk.names() == ["B"]


def test_an_object_that_is_replaced_while_it_is_read_is_left_for_the_next_run(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_store, "_REQUEST_BYTES", 100)
    bucket.put("x/a.csv", some_events("A", "B", "C", "D"))
    bucket.put("x/b.csv", some_events("X"))
    desk = desk_of(tmp_path, f"s3://{bucket.name}/x/*")
    once = replaced_at(b"\r\nA,", lambda: bucket.put("x/a.csv", some_events("A", "B", "C", "E")))
    with monkeypatch.context() as patch:
        patch.setattr(export_store, "sha256", once)
        problem = desk.land().problems[0]
    assert (problem.file, problem.fact) == ("a.csv", "it was being written while it was read")
    assert desk.names() == ["X"]
    assert (desk.land().status, desk.names()) == ("ok", ["A", "B", "C", "E", "X"])


def replaced_at(place: bytes, replace: Callable[[], None]) -> Callable[[], Any]:
    """A hash that has the object replaced, once, when it has taken the piece that holds these bytes."""
    from hashlib import sha256

    done = threading.Event()

    class Hash:
        def __init__(self) -> None:
            self._hash = sha256()

        def update(self, block: bytes) -> None:
            self._hash.update(block)
            if place in block and not done.is_set():
                done.set()
                replace()

        def hexdigest(self) -> str:
            return self._hash.hexdigest()

    return Hash


class BreakingLine:
    """A line to the server that is cut after some bytes of an answer, a number of times."""

    def __init__(self, server: tuple[str, int], after: int, times: int) -> None:
        self._server, self._after, self.left, self.cut = server, after, times, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            upstream = socket.create_connection(self._server)
            threading.Thread(target=self._copy, args=(client, upstream, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(upstream, client, True), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        passed = 0
        try:
            while data := source.recv(4096):
                passed += len(data)
                if answers and self.left > 0 and passed > self._after:
                    self.left -= 1
                    self.cut += 1
                    break
                target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def test_a_line_that_breaks_is_tried_again(
    tmp_path: Path, bucket: Bucket, server: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = some_events(*(f"E{number}" for number in range(2_000)))
    bucket.put("x/a.csv", content)
    line = BreakingLine(server, after=50_000, times=2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.port}")
    desk = desk_of(tmp_path, f"s3://{bucket.name}/x/*")
    landed = desk.land()
    line.close()
    assert (line.cut, landed.problems, len(desk.names())) == (2, [], 2_000)


def test_a_line_that_stays_broken_is_told_and_lands_nothing_of_that_object(
    tmp_path: Path, bucket: Bucket, server: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("x/a.csv", some_events(*(f"E{number}" for number in range(2_000))))
    bucket.put("x/b.csv", some_events("B"))
    line = BreakingLine(server, after=50_000, times=1_000)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.port}")
    desk = desk_of(tmp_path, f"s3://{bucket.name}/x/*")
    landed = desk.land()
    line.close()
    assert [problem.file for problem in landed.problems] == ["a.csv"]
    assert "the store does not answer" in landed.problems[0].fact
    assert desk.names() == ["B"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{server[0]}:{server[1]}")
    assert (desk.land().status, len(desk.names())) == ("ok", 2_001)


def test_a_full_disk_for_the_copy_is_told_as_that(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    bucket.put("a.csv", some_events("A"))
    monkeypatch.setattr(export_store.tempfile, "TemporaryFile", Full)
    problem = desk_of(tmp_path, f"s3://{bucket.name}/*").land().problems[0]
    assert ("no space to copy it" in problem.fact, "TMPDIR" in problem.next_step) == (True, True)


# What stores of other kinds say of an object, as their drivers hand it over.


@pytest.mark.parametrize(
    ("details", "etag"),
    [
        ({"size": 7, "LastModified": "2026-11-22T10:00:00+00:00", "ETag": '"abc"'}, "abc"),
        ({"size": 7, "mtime": "2026-11-22T12:00:00+02:00", "updated": "x", "etag": "CJ/="}, "CJ/="),
        ({"size": 7, "last_modified": "2026-11-22T10:00:00+00:00", "etag": "0x8D"}, "0x8D"),
        ({"size": 7, "last_modified": "2026-11-22T10:00:00"}, None),
    ],
)
def test_size_time_and_version_are_found_under_every_drivers_names(
    details: dict[str, Any], etag: str | None
) -> None:
    seen = export_store._seen(details)
    assert (seen.size, seen.mtime.isoformat(), seen.etag) == (7, "2026-11-22T10:00:00", etag)


def test_what_a_driver_says_is_cleaned() -> None:
    environ = {"AZURE_STORAGE_SAS_TOKEN": "sv=2024&sig=abcdef", "PATH": "/usr/local/bin"}
    said = "GET https://me:pw@h.example/c?sig=zz&x=1 refused: sv=2024&sig=abcdef in /usr/local/bin"
    assert without_secrets(said, environ) == "GET https://...@h.example/c?... refused: ... in /usr/local/bin"


def test_a_store_that_cannot_be_listed_is_never_an_empty_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    class Store:
        def find(self, *_: object, **__: object) -> None:
            raise TimeoutError("timed out")

    monkeypatch.setattr(export_store, "_store", lambda scheme: Store())
    with pytest.raises(ExportFileError, match="does not answer for gs://b/x"):
        find_in_store("gs://b/x/*.csv")
