"""What the server of these tests cannot do although Snowflake can; each turns green when fakesnow learns it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import snowflake.connector

from benchmarks.fake_snowflake import FakeSnowflake

pytestmark = pytest.mark.fakesnow

Ask = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def ask(snowflake_server: FakeSnowflake) -> Iterator[Ask]:
    """Runs statements by the bare driver, which gives up soon: it asks again for ever after an HTTP 500."""
    environ = snowflake_server.environment()
    connection = snowflake.connector.connect(
        account="acme",
        user="recon",
        password="unused",
        database=environ["SNOWFLAKE_DATABASE"],
        host=environ["SNOWFLAKE_HOST"],
        port=int(environ["SNOWFLAKE_PORT"]),
        protocol="http",
        network_timeout=3,
    )
    yield lambda text: connection.cursor().execute(text).fetchall()
    connection.close()


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="fakesnow 0.12.1 sends a null timestamp to the driver as 1970-01-01 00:00:00",
)
def test_a_null_timestamp_is_read_as_a_null(ask: Ask) -> None:
    rows = ask(
        "select cast(null as timestamp_ntz) as at union all select cast('2026-11-01' as timestamp_ntz)"
    )

    assert sorted(str(at) for (at,) in rows) == ["2026-11-01 00:00:00", "None"]


@pytest.mark.xfail(
    strict=True,
    raises=snowflake.connector.errors.InternalServerError,
    reason="fakesnow 0.12.1 answers HTTP 500 to a hash above 2^63 (ArrowInvalid: Integer value "
    "13787848793156543929 not in range): Snowflake's is signed. Keys stay in the warehouse, so nothing of ours reads one",
)
def test_a_row_key_is_a_signed_number(ask: Ask) -> None:
    ((key,),) = ask("select hash(null)")

    assert -(2**63) <= int(str(key)) < 2**63


@pytest.mark.xfail(
    strict=True,
    raises=snowflake.connector.errors.ProgrammingError,
    reason="fakesnow 0.12.1: Catalog Error: Scalar Function with name try_to_timestamp_ntz does not exist! "
    "(for a column; a literal works). The macros go by way of try_cast to timestamp_tz, which both know",
)
def test_a_column_is_tried_as_a_timestamp(ask: Ask) -> None:
    ask("select count(try_to_timestamp_ntz(x)) from (select 'no' as x)")


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="fakesnow 0.12.1 keeps a transaction open over a definition; Snowflake commits it there",
)
def test_a_definition_commits_the_transaction_it_stands_in(ask: Ask) -> None:
    ask("create schema s")
    ask("create table s.t (x int)")
    ask("begin")
    ask("insert into s.t values (1)")
    ask("create table if not exists s.u (x int)")
    ask("rollback")

    assert ask("select count(*) from s.t") == [(1,)]


@pytest.mark.xfail(
    strict=True,
    raises=snowflake.connector.errors.ProgrammingError,
    reason="fakesnow 0.12.1: Catalog Error: Scalar Function with name current_warehouse does not exist! dbt asks for it "
    "before it changes the warehouse of a model, so only the configuration of that is tested",
)
def test_the_current_warehouse_is_told(ask: Ask) -> None:
    ask("select current_warehouse()")
