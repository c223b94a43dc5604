"""What reconciling costs: bare DuckDB, our pipeline and the nearest tools on the same rows, in one command.

    .venv/bin/python benchmarks/run.py                              1M messages in 30 days, 10 destinations
    .venv/bin/python benchmarks/run.py --size 10M --destinations 30
    .venv/bin/python benchmarks/run.py --daily 10M --history 4      nightly runs
    .venv/bin/python benchmarks/run.py --flat                       the same night after 7 to 365 days
    .venv/bin/python benchmarks/run.py --python-memory              what Python holds, by messages a day
    .venv/bin/python benchmarks/run.py --backfill --size 100M --memory 8GB
    .venv/bin/python benchmarks/run.py --peers                      reladiff, datacompy, Soda, pandas
    .venv/bin/python benchmarks/run.py --demo

Options combine. Each part runs in a process of its own, so that its peak of memory is its own. Everything is made
in a temporary folder that is removed again. All destinations export message ids; the tracking plan has names
without property rules. No ratio is printed before every cell of the books is equal. Read ratios rather than
seconds: they hold on other machines.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from against_peers import against_peers
from daily import History, nights, report_nights
from demo import demo
from flat import HISTORIES, flat
from meter import HERE
from month import backfill, month
from python_memory import PER_DAY, python_memory
from startup import start_up
from table import Report
from traffic import Traffic


def main() -> None:
    options = _options()
    report = Report(options.markdown)
    folder = Path(tempfile.mkdtemp(prefix="recon_benchmark_", dir=options.folder))
    limits = {"threads": str(options.threads)} | ({"memory_limit": options.memory} if options.memory else {})
    product = Path(options.product).resolve()
    chosen = [
        *(options.daily, options.flat, options.backfill, options.peers, options.demo),
        options.python_memory,
    ]
    report.say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; limits of both: {limits}\n")
    try:
        if not any(chosen):
            _default(report, folder, options, limits, product)
        if options.daily:
            _daily(report, folder / "daily", options, limits, product)
        if options.flat:
            histories = [int(each) for each in options.histories.split(",")]
            flat(report, folder / "flat", options.flat, options.destinations, histories, limits, product)
        if options.backfill:
            traffic = Traffic(options.size // options.days, options.destinations)
            _say_size(report, traffic, options.days)
            backfill(report, folder / "backfill", traffic, options.days, limits, product)
            shutil.rmtree(folder / "backfill")
        if options.peers:
            per_day = options.size // options.days
            against_peers(report, folder / "peers", per_day, options.days, options.repeats, limits, product)
        if options.python_memory:
            sizes = [_number(each) for each in options.python_memory.split(",")]
            python_memory(report, folder / "memory", sizes, options.destinations, limits, product)
        if options.demo:
            demo(report, folder / "demo", product)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _default(
    report: Report, folder: Path, options: argparse.Namespace, limits: dict[str, str], product: Path
) -> None:
    """The first run over a month beside the floor, the nights after it, and start-up."""
    traffic = Traffic(options.size // options.days, options.destinations)
    _say_size(report, traffic, options.days)
    here = folder / "month"
    month(report, here, traffic, options.days, limits, options.repeats, product)
    found = nights(here, traffic, options.days, limits, product, options.nights, options.repeats)
    report_nights(report, found)
    shutil.rmtree(here)
    start_up(report, folder / "start", limits, options.repeats, product)


def _daily(
    report: Report, folder: Path, options: argparse.Namespace, limits: dict[str, str], product: Path
) -> None:
    """Nightly runs after a history, which may be kept from one invocation to the next."""
    traffic = Traffic.before(options.history, options.daily, options.destinations, options.history_per_day)
    report.say(
        f"{options.daily:,} messages a day, {options.destinations} destinations, {options.history} days of history"
        + (f", of which {traffic.thin_days} have {traffic.thin:,} only" if traffic.thin_days else "")
    )
    work = folder / "work"
    history = History(Path(options.keep) if options.keep else work, traffic, options.history, limits, product)
    history.make(report)
    if options.keep:
        history.copy(work)
    report_nights(
        report, nights(work, traffic, options.history, limits, product, options.nights, options.repeats)
    )
    shutil.rmtree(work)


def _say_size(report: Report, traffic: Traffic, days: int) -> None:
    report.say(
        f"{traffic.per_day * days:,} messages in {days} days, 10 sources, {traffic.destinations} destinations"
    )


def _number(text: str) -> int:
    """1M, 20k and 20,000 as a number."""
    units = {"k": 1_000, "m": 1_000_000}
    plain = text.replace(",", "").replace("_", "").lower()
    unit = units.get(plain[-1:], 1)
    return int(float(plain[:-1] if unit > 1 else plain) * unit)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    rows = parser.add_argument_group("how much")
    rows.add_argument("--size", type=_number, default=1_000_000, help="messages in all: 1M, 10M, 100M")
    rows.add_argument("--days", type=int, default=30, help="that they are spread over")
    rows.add_argument("--destinations", type=int, default=10, help="1 to 62")
    rows.add_argument("--nights", type=int, default=2, help="nightly runs after the history")
    rows.add_argument(
        "--repeats", type=int, default=3, help="of the floor and of start-up; medians are shown"
    )
    parts = parser.add_argument_group("instead of the first run, the next nights and start-up")
    parts.add_argument("--daily", type=_number, metavar="PER_DAY", help="nightly runs of so many messages")
    parts.add_argument("--history", type=int, default=4, help="days before the first nightly run of --daily")
    parts.add_argument("--history-per-day", type=_number, help="thinner days, all but the last six of them")
    parts.add_argument("--keep", help="folder in which the history of --daily is kept and found again")
    parts.add_argument(
        "--flat",
        type=_number,
        nargs="?",
        const=20_000,
        metavar="PER_DAY",
        help="the same night after 7, 30, 90 and 365 days",
    )
    parts.add_argument("--histories", default=",".join(map(str, HISTORIES)), help="days, for --flat")
    parts.add_argument("--backfill", action="store_true", help="a month in one `recon run`")
    parts.add_argument(
        "--peers", action="store_true", help="other tools, one destination against --size messages"
    )
    parts.add_argument(
        "--python-memory",
        metavar="SIZES",
        nargs="?",
        const=",".join(map(str, PER_DAY)),
        help="what Python holds, by messages a day",
    )
    parts.add_argument("--demo", action="store_true", help="`recon demo` and its next day")
    limits = parser.add_argument_group("where and how")
    limits.add_argument("--memory", help="limit of DuckDB's memory for the floor and for us, such as 8GB")
    limits.add_argument("--threads", type=int, default=os.cpu_count())
    limits.add_argument("--product", default=HERE.parent, help="another checkout of this project to measure")
    limits.add_argument("--folder", help="where the temporary folder is made")
    limits.add_argument("--markdown", action="store_true", help="tables as Markdown")
    options = parser.parse_args()
    if not 1 <= options.destinations <= 62 or options.days < 1 or options.size < options.days:
        parser.error("write 1 to 62 destinations, and at least a day with a message each")
    if options.nights < 1 or options.repeats < 1 or options.history < 1:
        parser.error("write 1 or more for --nights, --repeats and --history")
    return options


if __name__ == "__main__":
    main()
