"""`recon grants` reads what the workspace names, writes our schemas, and gives nothing else to anybody."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlglot

from dagster_project.core.contracts import Destination, Export, Source, Workspace
from dagster_project.core.grants import OWN_SCHEMAS, grants, identifier, read_schemas

CHECKOUT = Path(__file__).parents[2]
HOSTILE = 'web"; grant all on account to role public; --'
# Everything that lets somebody change or make something.
WRITES = {
    "create",
    "insert",
    "update",
    "delete",
    "truncate",
    "ownership",
    "all",
    "modify",
    "manage",
    "operate",
}
OURS = {f'"SEGMENT"."{schema.upper()}"' for schema in OWN_SCHEMAS}


def script(told: Workspace, **names: str) -> list[str]:
    given = {"database": "segment", "role": "recon", "reader_role": "marketing", "user": "robot"} | names
    return grants(told, warehouses=["small", "large", "small"], **given)  # type: ignore[arg-type]


def written_outside(statements: list[str]) -> list[str]:
    """Grants of any writing privilege on anything but our own schemas."""
    found = []
    for statement in statements:
        granted = re.fullmatch(r'grant (.+?) on (.+?) to role (".*")', statement, re.IGNORECASE)
        if granted is None:
            continue
        words = set(re.findall(r"[a-z]+", granted[1].lower()))
        place = re.sub(r"^(schema|.* in schema) ", "", granted[2], flags=re.IGNORECASE)
        if words & WRITES and place not in OURS:
            found.append(statement)
    return found


def workspace(*sources: str, **exports: str) -> Workspace:
    """A workspace with these sources' schemas and destinations' export tables."""
    return Workspace(
        name="shop",
        sources=tuple(Source(name=f"source_{index}", schema_name=name) for index, name in enumerate(sources)),
        destinations=tuple(
            Destination(name=name, export=Export(table=table)) for name, table in exports.items()
        ),
    )


@pytest.fixture
def shop() -> Workspace:
    return workspace("web_app", "ios", mail="export_mail.events", crm="export_crm.events")


def test_nothing_is_written_outside_our_schemas(shop: Workspace) -> None:
    assert written_outside(script(shop)) == []


@pytest.mark.parametrize(
    "widened",
    [
        'grant insert on all tables in schema "SEGMENT"."WEB_APP" to role "RECON"',
        'grant create schema on database "SEGMENT" to role "RECON"',
        'grant ownership on schema "SEGMENT"."WEB_APP" to role "RECON"',
        'grant usage, create table on schema "SEGMENT"."RECONCILIATION_ELSEWHERE" to role "RECON"',
        'grant all on database "SEGMENT" to role "RECON"',
    ],
)
def test_a_grant_that_writes_elsewhere_is_found_out(shop: Workspace, widened: str) -> None:
    assert written_outside([*script(shop), widened]) == [widened]


def test_what_the_workspace_names_is_read_now_and_later(shop: Workspace) -> None:
    statements = script(shop)

    assert read_schemas(shop) == ["export_crm", "export_mail", "ios", "web_app"]
    for schema in ("EXPORT_CRM", "EXPORT_MAIL", "IOS", "WEB_APP"):
        assert f'grant usage on schema "SEGMENT"."{schema}" to role "RECON"' in statements
        for what in ("all tables", "future tables"):
            assert f'grant select on {what} in schema "SEGMENT"."{schema}" to role "RECON"' in statements
    read = {
        match[1]
        for each in statements
        if (match := re.search(r'select on .* in schema (\S+) to role "RECON"', each))
    }
    assert read == {f'"SEGMENT"."{name}"' for name in ("EXPORT_CRM", "EXPORT_MAIL", "IOS", "WEB_APP")}


def test_the_second_witness_is_read_too(shop: Workspace) -> None:
    heard = shop.model_copy(update={"violations_schema": "protocols_audit"})
    assert "protocols_audit" in read_schemas(heard)
    assert 'grant usage on schema "SEGMENT"."PROTOCOLS_AUDIT" to role "RECON"' in script(heard)


def test_marketing_reads_what_is_published_and_nothing_else(shop: Workspace) -> None:
    of_marketing = [each for each in script(shop) if each.endswith('to role "MARKETING"')]

    on_what = {match[1] for each in of_marketing if (match := re.search(r'"SEGMENT"\.("\w+")', each))}
    assert on_what == {'"RECONCILIATION_PUBLISHED"'}
    assert not [each for each in of_marketing if "create" in each or "warehouse" in each]


def test_each_warehouse_is_used_once(shop: Workspace) -> None:
    used = [each for each in script(shop) if " on warehouse " in each]

    assert used == [
        'grant usage on warehouse "SMALL" to role "RECON"',
        'grant usage on warehouse "LARGE" to role "RECON"',
    ]


def test_a_name_cannot_end_its_quotes() -> None:
    statements = script(workspace(HOSTILE, mail="export_mail.events"), user=HOSTILE, role=HOSTILE)

    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    assert f'grant usage on schema "SEGMENT".{quoted} to role {quoted}' in statements
    for statement in statements:
        # Outside of quotes nothing of it is left, so a statement stays one.
        bare = re.sub(r'"(?:[^"]|"")*"', "", statement)
        assert ";" not in bare and "--" not in bare and "account" not in bare
        assert len(sqlglot.tokenize(statement, read="snowflake")) < 20
    assert written_outside(statements) == []


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("web_app", '"WEB_APP"'),
        ("Web_App$1", '"WEB_APP$1"'),
        ('"Web App"', '"Web App"'),
        ('"a""b"', '"a""b"'),
        ("web-app", '"web-app"'),
        ('a"b', '"a""b"'),
        ("1st", '"1st"'),
    ],
)
def test_a_plain_name_is_the_one_that_the_server_keeps(name: str, quoted: str) -> None:
    assert identifier(name) == quoted


def test_a_schema_of_ours_is_never_taken_for_one_of_segments() -> None:
    assert read_schemas(workspace("web_app", mail="Reconciliation_Landing.mail")) == ["web_app"]


def _recon(tmp_path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("recon")), "grants", *words],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", "RECON_STATE_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_a_script_and_opens_nothing(tmp_path: Path) -> None:
    done = _recon(tmp_path, SNOWFLAKE_DATABASE="segment", SNOWFLAKE_WAREHOUSE="small", SNOWFLAKE_ROLE="mine")

    assert done.returncode == 0, done.stderr
    code = [line for line in done.stdout.splitlines() if not line.startswith("--")]
    assert len(code) > 20 and all(line.endswith(";") for line in code)
    assert 'grant usage on warehouse "SMALL" to role "MINE";' in code


def test_names_that_are_not_known_are_asked_for(tmp_path: Path) -> None:
    done = _recon(tmp_path)

    assert done.returncode == 2
    assert "SNOWFLAKE_DATABASE" in done.stderr and "SNOWFLAKE_WAREHOUSE" in done.stderr
    assert done.stdout == ""
