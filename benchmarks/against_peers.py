"""The nearest tools on the same rows: one destination, each tool in a throw-away environment of its own."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from contract import write_expectations
from daily import land
from meter import HERE, Ended, apart, whole_process
from month import MATCHING, recon_run
from pipeline import environment, run_apart
from table import Report
from traffic import SOURCES, Traffic, event_name


@dataclass(frozen=True)
class Peer:
    """A tool: what `uv pip install` is told, the script that asks it, and what is to be said about it."""

    name: str
    requirements: tuple[str, ...]
    script: str
    arguments: tuple[str, ...] = ()


# duckdb stands beside those that do not bring it; soda-core-duckdb 3 brings 1.0, which reads files of that format.
PEERS: Final = (
    Peer("pandas, merge", ("pandas", "duckdb==2.0.0", "pyarrow"), "pandas_merge.py"),
    Peer("datacompy, pandas", ("datacompy", "duckdb==2.0.0"), "datacompy_pandas.py"),
    Peer("reladiff, joindiff", ("reladiff[duckdb]",), "reladiff_diff.py", ("joindiff",)),
    Peer("reladiff, hashdiff", ("reladiff[duckdb]",), "reladiff_diff.py", ("hashdiff",)),
    Peer("Soda (soda-core-duckdb)", ("soda-core-duckdb",), "soda_scan.py"),
)
_KINDS: Final = ("missing", "unexpected", "duplicates")


def against_peers(
    report: Report,
    folder: Path,
    per_day: int,
    days: int,
    repeats: int,
    limits: dict[str, str],
    product: Path,
) -> None:
    """One line a tool: what its whole process takes, its version, and which differences it counts.

    The tools are given two tables of ids; we read the raw rows of all sources and the export.
    """
    traffic = Traffic(per_day, 1)
    folder.mkdir(parents=True)
    land(folder, traffic, 0, days)
    tables = folder / "peers.duckdb"
    sizes = apart(
        "against_peers",
        "make_tables",
        {"warehouse": folder / "warehouse.duckdb", "tables": tables, "traffic": asdict(traffic)},
    )
    report.say(
        f"One destination, {sizes['messages']:,} messages in {days} days: {sizes['expected']:,} rows expected, "
        f"{sizes['delivered']:,} delivered; whole processes"
    )
    (folder / "home" / ".soda").mkdir(parents=True)
    # Soda tells its makers about each scan unless the file in the home folder says otherwise.
    (folder / "home" / ".soda" / "config.yml").write_text(
        "send_anonymous_usage_stats: false\nuser_cookie_id: none\n", "utf-8"
    )
    bare = _runs([sys.executable, str(HERE / "peers" / "bare_duckdb.py"), str(tables)], repeats, folder)
    truth = _answer(bare[-1])
    if truth is None:
        raise SystemExit(f"bare DuckDB broke; it said:\n{bare[-1].errors[-2000:]}")
    base = median(each.seconds for each in bare)
    rows = [["bare DuckDB", *_figures(bare, base), _finds(truth, truth)]]
    rows += [_measured(peer, folder, tables, truth, base, repeats) for peer in PEERS]

    write_expectations(folder / "expectations", traffic)
    whole = recon_run(folder, traffic, days, limits, product)
    apart(
        "pipeline", "write_books", {"books": folder / "books.parquet"}, environment(folder, limits, product)
    )
    found = _finds(apart("against_peers", "our_sums", {"books": folder / "books.parquet"}), truth)
    again = folder / "again"
    again.mkdir()
    land(again, traffic, 0, days)
    write_expectations(again / "expectations", traffic)
    ours = run_apart(again, traffic, days, limits, product)
    seconds, cpu = (sum(each[what] for each in ours["stages"][:MATCHING]) for what in ("seconds", "cpu"))
    rows += [
        [
            "ours, `recon run` from the raw rows",
            *_figures([whole], base),
            f"{found}; by day and event, with causes",
        ],
        [
            "ours, sources to matched, own work",
            seconds,
            cpu,
            ours["peak_mb"],
            seconds / base,
            f"{found}; by day and event",
        ],
    ]
    report.table(["tool", "seconds", "cpu s", "peak MB", "of bare DuckDB", "finds"], rows)


def our_sums(books: str) -> dict[str, int]:
    """Our books added up, in the words of the peers."""
    import duckdb

    found = duckdb.execute(
        "select sum(missing + pending)::bigint, sum(unexpected)::bigint, sum(duplicates)::bigint "
        "from read_parquet(?)",
        [books],
    ).fetchone()
    return dict(zip(_KINDS, found or (), strict=True))


def make_tables(warehouse: str, tables: str, traffic: dict[str, int]) -> dict[str, int]:
    """What the tool should have and what it has, as two tables of id and event in a file that DuckDB 1.0 can read."""
    import duckdb

    names = ", ".join(f"'{event_name(number)}'" for number in Traffic(**traffic).received(0))
    with duckdb.connect() as db:
        db.execute(f"attach '{warehouse}' as raw (read_only)")
        db.execute(f"attach '{tables}' as made (storage_version 'v1.0.0')")
        every = " union all ".join(
            f"select id as message_id, event_text as event from raw.app_{source}.tracks"
            for source in range(SOURCES)
        )
        db.execute(f"create table made.expected as select * from ({every}) where event in ({names})")
        db.execute(
            "create table made.delivered as select message_id, event_name as event from raw.exports.tool_0"
        )
        counts = db.execute(
            f"select (select count(*) from ({every})), (select count(*) from made.expected), "
            "(select count(*) from made.delivered)"
        ).fetchone()
    return dict(zip(("messages", "expected", "delivered"), counts or (), strict=True))


def _measured(
    peer: Peer, folder: Path, tables: Path, truth: dict[str, int], base: float, repeats: int
) -> list[Any]:
    """The line of one tool; that it cannot be installed or breaks is its line, too."""
    python, said = _installed(peer, folder / "venvs")
    if python is None:
        return [peer.name, None, None, None, None, f"cannot be installed: {said}"]
    ended = _runs(
        [str(python), str(HERE / "peers" / peer.script), str(tables), *peer.arguments], repeats, folder
    )
    answer = _answer(ended[-1])
    if answer is None:
        reason = (ended[-1].errors or ended[-1].output).strip().splitlines()[-1:]
        told = f"cannot do it: {(reason or [f'exit status {ended[-1].status}'])[0][:120]}"
    else:
        told = _finds(answer, truth)
    return [f"{peer.name} {said}", *_figures(ended, base if answer else None), told]


def _runs(command: list[str], repeats: int, folder: Path) -> list[Ended]:
    """The same command so many times, with a home folder of its own: some tools write there."""
    return [whole_process(command, {"HOME": str(folder / "home")}) for _ in range(repeats)]


def _figures(ended: list[Ended], base: float | None) -> list[float | int | None]:
    """Medians of seconds and processor seconds, the highest peak, and the ratio to bare DuckDB."""
    seconds = median(each.seconds for each in ended)
    return [
        seconds,
        median(each.cpu for each in ended),
        max(each.peak_mb for each in ended),
        seconds / base if base else None,
    ]


def _installed(peer: Peer, venvs: Path) -> tuple[Path | None, str]:
    """The interpreter of an environment that holds the tool, and its version; never the project's own environment."""
    uv = Path(sys.executable).with_name("uv")
    place = venvs / peer.requirements[0].split("[")[0]
    python = place / "bin" / "python"
    if not python.exists():
        for command in (
            [str(uv), "venv", "--quiet", str(place)],
            [str(uv), "pip", "install", "--quiet", "--python", str(python), *peer.requirements],
        ):
            ended = whole_process(command)
            if ended.status:
                return None, " ".join(ended.errors.split())[:160]
    distribution = peer.requirements[0].split("[")[0]
    version = whole_process(
        [str(python), "-c", f"import importlib.metadata as m; print(m.version({distribution!r}))"]
    )
    return python, version.output.strip()


def _answer(ended: Ended) -> dict[str, int] | None:
    """What a script printed last, as JSON; None when it did not come that far."""
    if ended.status:
        return None
    try:
        return dict(json.loads(ended.output.strip().splitlines()[-1]))
    except (ValueError, IndexError):
        return None


def _finds(answer: dict[str, int], truth: dict[str, int]) -> str:
    """Which of the differences the tool counts rightly, which not, and which it does not see."""
    told = []
    both = answer.get("unexpected_and_duplicates", answer.get("unexpected"))
    together = both == truth["unexpected"] + truth["duplicates"] and "duplicates" not in answer
    for kind in _KINDS:
        if kind != "missing" and together:
            if kind == "unexpected":
                told.append("unexpected and duplicates in one number")
        elif kind not in answer:
            told.append(f"no {kind}")
        elif answer[kind] == truth[kind]:
            told.append(kind)
        else:
            told.append(f"{kind} wrong ({answer[kind]:,} of {truth[kind]:,})")
    return ", ".join(told)
