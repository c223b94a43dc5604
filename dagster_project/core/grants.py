"""The least that the suite needs in Snowflake, as SQL: it reads what the workspace names and writes its own schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from dagster_project.core.contracts import Workspace

# The only schemas that are ever written.
OWN_SCHEMAS: Final = (
    "reconciliation",
    "reconciliation_work",
    "reconciliation_landing",
    "reconciliation_published",
)
PUBLISHED: Final = "reconciliation_published"
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_SELECT: Final = ("all tables", "future tables", "all views", "future views")


def identifier(name: str) -> str:
    """A Snowflake name, quoted: a plain one in capitals, as the server keeps it, and any other to the letter.

    A name that comes in double quotes is taken to the letter as well, as Snowflake's own tools do.
    """
    if len(name) > 2 and name[0] == name[-1] == '"':
        name = name[1:-1].replace('""', '"')
    elif _PLAIN.fullmatch(name):
        name = name.upper()
    return '"' + name.replace('"', '""') + '"'


def read_schemas(workspace: Workspace) -> list[str]:
    """The schemas whose tables a run reads: those of sources, export tables and Segment's violations, each once."""
    exports = {parts[0] for each in workspace.destinations if (parts := each.export.table_parts)}
    named = {source.schema_name for source in workspace.sources} | exports
    if workspace.violations_schema is not None:
        named.add(workspace.violations_schema)
    return sorted(schema for schema in named if schema.lower() not in OWN_SCHEMAS)


def grants(
    workspace: Workspace,
    *,
    database: str,
    role: str,
    reader_role: str,
    warehouses: Sequence[str],
    user: str | None = None,
) -> list[str]:
    """Statements without semicolons, in the order in which SECURITYADMIN and SYSADMIN run them.

    Nothing is granted on the database but its use: the schemas are made here, so the role need not make any.
    """
    return list(_grants(workspace, database, role, reader_role, warehouses, user))


def _grants(
    workspace: Workspace,
    database: str,
    role: str,
    reader_role: str,
    warehouses: Sequence[str],
    user: str | None,
) -> Iterator[str]:
    home, suite, reader = identifier(database), identifier(role), identifier(reader_role)
    yield "use role sysadmin"
    for schema in OWN_SCHEMAS:
        yield f"create schema if not exists {home}.{identifier(schema)}"
    yield "use role securityadmin"
    yield f"create role if not exists {suite}"
    yield f"create role if not exists {reader}"
    for name in dict.fromkeys(warehouses):
        yield f"grant usage on warehouse {identifier(name)} to role {suite}"
    for each in (suite, reader):
        yield f"grant usage on database {home} to role {each}"
    for schema in read_schemas(workspace):
        yield from _reads(f"{home}.{identifier(schema)}", suite)
    for schema in OWN_SCHEMAS:
        # What the role makes there it owns, and so may write, replace and drop.
        yield f"grant usage, create table, create view on schema {home}.{identifier(schema)} to role {suite}"
    yield from _reads(f"{home}.{identifier(PUBLISHED)}", reader)
    if user:
        yield f"grant role {suite} to user {identifier(user)}"


def _reads(schema: str, role: str) -> Iterator[str]:
    """Use of a schema and reading of all that is in it, now and later: loaders replace tables, grants and all."""
    yield f"grant usage on schema {schema} to role {role}"
    for what in _SELECT:
        yield f"grant select on {what} in schema {schema} to role {role}"
