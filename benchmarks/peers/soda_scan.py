"""Soda 3: ids of one table that the other does not have, either way, and ids that are there twice."""

# ruff: noqa: T201 - one line of JSON on standard output is the answer

import json
import sys

import duckdb
from soda.scan import Scan

CHECKS = """
checks for delivered:
  - values in (message_id) must exist in expected (message_id)
  - duplicate_count(message_id) = 0
checks for expected:
  - values in (message_id) must exist in delivered (message_id)
"""
scan = Scan()
with duckdb.connect(sys.argv[1], read_only=True) as db:
    scan.add_duckdb_connection(db)
    scan.set_data_source_name("duckdb")
    scan.add_sodacl_yaml_str(CHECKS)
    scan.execute()
found = {}
for check in scan.get_scan_results()["checks"]:
    kind = {"delivered": "unexpected", "expected": "missing"}[check["table"]]
    found["duplicates" if "duplicate" in check["name"] else kind] = int(check["diagnostics"]["value"])
print(json.dumps(found))
