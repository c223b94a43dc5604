"""reladiff: rows of one side only by id, `joindiff` within one database or `hashdiff` by checksums of segments."""

# ruff: noqa: T201 - one line of JSON on standard output is the answer

import json
import sys

import reladiff

path, algorithm = sys.argv[1:3]
left, right = (
    reladiff.connect_to_table({"driver": "duckdb", "filepath": path}, table, "message_id")
    for table in ("expected", "delivered")
)
options = {"algorithm": reladiff.Algorithm(algorithm)}
if algorithm == "joindiff":
    # It refuses keys that are there twice, unless it is told not to look.
    options |= {"validate_unique_key": False}
counts = {"-": 0, "+": 0}
for sign, _ in reladiff.diff_tables(left, right, **options):
    counts[sign] += 1
print(json.dumps({"missing": counts["-"], "unexpected": counts["+"]}))
