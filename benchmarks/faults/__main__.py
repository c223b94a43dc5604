"""`python -m benchmarks.faults`: scores the diagnosis on planted faults and on clean workspaces."""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import traceback
from typing import Any

from benchmarks.faults.bench import make, plain, run, side_by_side
from benchmarks.faults.report import MARKS, summary, table


def main() -> None:
    options = _options()
    if options.show is not None:
        print(side_by_side(run(make(options.show, clean=options.as_clean), clean=options.as_clean)))
        return
    jobs = [(seed, False) for seed in _seeds(options.seeds)] + [
        (seed, True) for seed in _seeds(options.clean)
    ]
    if not jobs:
        sys.exit("No seeds: give --seeds 1000-1019, --clean 2000-2009, or --show SEED.")
    if options.jobs == 1:
        outcomes = [_one(job) for job in jobs]
    else:
        with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
            outcomes = list(pool.imap_unordered(_one, jobs, chunksize=1))
    outcomes.sort(key=lambda each: (each["clean"], each["seed"]))
    broke = [each for each in outcomes if "broke" in each]
    outcomes = [each for each in outcomes if "broke" not in each]
    found = summary(outcomes)
    found["broke"] = [each["seed"] for each in broke]
    if options.json:
        print(json.dumps({"summary": found, "seeds": outcomes}, indent=1, default=str))
    else:
        print(table(found, variants=options.variants))
    if options.list:
        _list(outcomes)
    if broke:
        sys.exit(f"{len(broke)} seeds broke: {', '.join(str(each['seed']) for each in broke)}")


def _list(outcomes: list[dict[str, Any]]) -> None:
    """Every false incident, and every truth of which something was not told right."""
    for each in outcomes:
        for line in each["lines"]:
            wrong = [mark for mark in MARKS if not line[mark]]
            if wrong:
                print(
                    f"- seed {each['seed']}: {line['kind']} [{line['variant']}] {line['place']}: not"
                    f" {', '.join(wrong).replace('_', ' ')}"
                )
        for incident in each["false"]:
            beside = "clean" if each["clean"] else "faulty"
            print(
                f"- seed {each['seed']} ({beside}): false {incident['kind']} {incident['source'] or ''}"
                f" {incident['event'] or ''} {incident['property'] or ''}"
                f" at {', '.join(incident['destinations'][:3])} from {incident['started_on']},"
                f" {incident['messages']} messages, near {', '.join(incident['near']) or 'nothing'}"
            )


def _one(job: tuple[int, bool]) -> dict[str, Any]:
    seed, clean = job
    try:
        found = plain(run(make(seed, clean=clean), clean=clean))
    except Exception:
        # A crash of the product is one seed's result; the others are still worth knowing.
        print(f"seed {seed} broke:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        return {"seed": seed, "clean": clean, "broke": traceback.format_exc(limit=-3)}
    mark = "clean " if clean else ""
    right = sum(line["right_kind"] for line in found["lines"])
    print(
        f"{mark}seed {seed}: {right}/{len(found['lines'])} right, {len(found['false'])} false,"
        f" {found['seconds']} s ({found['seconds_per_diagnosis']} s a diagnosis)",
        file=sys.stderr,
        flush=True,
    )
    return found


def _seeds(text: str | None) -> list[int]:
    """`1000-1019`, `7`, `1,5,9-12`."""
    found: list[int] = []
    for part in (text or "").split(","):
        first, _, last = part.strip().partition("-")
        if first:
            found += range(int(first), int(last or first) + 1)
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--seeds", help="workspaces with planted faults, e.g. 1000-1019")
    parser.add_argument("--clean", help="workspaces without, e.g. 2000-2009")
    parser.add_argument("--show", type=int, help="the truth and the incidents of one seed, side by side")
    parser.add_argument(
        "--as-clean", action="store_true", help="with --show: the clean workspace of the seed"
    )
    parser.add_argument("--variants", action="store_true", help="a line for each variant, too")
    parser.add_argument(
        "--list", action="store_true", help="list what was told wrongly, and the false incidents"
    )
    parser.add_argument("--json", action="store_true", help="everything as JSON on standard output")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
