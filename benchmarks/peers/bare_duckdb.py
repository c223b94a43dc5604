"""Bare DuckDB: one grouping and one full join on the text id. What the peers are held against."""

# ruff: noqa: T201 - one line of JSON on standard output is the answer

import json
import sys

import duckdb

with duckdb.connect(sys.argv[1], read_only=True) as db:
    missing, unexpected, duplicates = db.execute(
        """
        select count(*) filter (d.message_id is null), count(*) filter (e.message_id is null),
            sum(d.copies - 1)
        from expected as e
        full join (select message_id, count(*) as copies from delivered group by 1) as d using (message_id)
        """
    ).fetchone()
print(json.dumps({"missing": missing, "unexpected": unexpected, "duplicates": int(duplicates)}))
