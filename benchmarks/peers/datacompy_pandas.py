"""datacompy on pandas: rows of one side only, joined on the id and the event."""

# ruff: noqa: T201 - one line of JSON on standard output is the answer

import json
import sys

import datacompy
import duckdb

with duckdb.connect(sys.argv[1], read_only=True) as db:
    expected = db.execute("select message_id, event from expected").df()
    delivered = db.execute("select message_id, event from delivered").df()
compare = getattr(datacompy, "PandasCompare", None) or datacompy.Compare
found = compare(expected, delivered, join_columns=["message_id"])
# A second copy has nobody to be paired with: it is one of the rows that only the right side has.
print(
    json.dumps(
        {
            "missing": len(found.df1_unq_rows),
            "unexpected_and_duplicates": len(found.df2_unq_rows),
        }
    )
)
