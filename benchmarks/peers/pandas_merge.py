"""Plain pandas: both tables in memory, `duplicated` and one outer merge with its indicator."""

# ruff: noqa: T201 - one line of JSON on standard output is the answer

import json
import sys

import duckdb

with duckdb.connect(sys.argv[1], read_only=True) as db:
    expected = db.execute("select message_id from expected").df()
    delivered = db.execute("select message_id from delivered").df()
twice = delivered["message_id"].duplicated()
merged = expected.merge(delivered[~twice], on="message_id", how="outer", indicator=True)
sides = merged["_merge"].value_counts()
print(
    json.dumps(
        {
            "missing": int(sides["left_only"]),
            "unexpected": int(sides["right_only"]),
            "duplicates": int(twice.sum()),
        }
    )
)
