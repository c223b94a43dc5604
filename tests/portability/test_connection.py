"""What the environment says about Snowflake reaches the driver and dbt, and its secrets reach nobody else."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbt.config.profile import Profile  # type: ignore[import-untyped]
from dbt.config.renderer import ProfileRenderer  # type: ignore[import-untyped]
from dbt_common.context import set_invocation_context
from portability import shop
from portability.conftest import CHECKOUT
from ruamel.yaml import YAML

from benchmarks.fake_snowflake import FakeSnowflake
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import (
    Warehouse,
    open_warehouse,
    snowflake_connect_args,
    snowflake_url,
)

SECRET = "pa:ss@wo/rd?%40"
PASSPHRASE = "open sesame"
BY_PASSWORD = {
    "SNOWFLAKE_ACCOUNT": "acme-eu_west",
    "SNOWFLAKE_USER": "recon@acme",
    "SNOWFLAKE_PASSWORD": SECRET,
    "SNOWFLAKE_DATABASE": "SEGMENT",
    "SNOWFLAKE_WAREHOUSE": "SMALL",
    "SNOWFLAKE_ROLE": "RECON",
}
BY_KEY = {
    "SNOWFLAKE_ACCOUNT": "acme",
    "SNOWFLAKE_USER": "recon",
    "SNOWFLAKE_DATABASE": "SEGMENT",
    "SNOWFLAKE_PRIVATE_KEY_PATH": "/etc/recon/key.p8",
    "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": PASSPHRASE,
}


def _driver_arguments(environ: dict[str, str]) -> dict[str, Any]:
    """What the driver is called with, without calling it."""
    seen: dict[str, Any] = {}

    class Stop(Exception):
        pass

    warehouse = open_warehouse("snowflake", Path("unused.duckdb"), environ)

    @sa.event.listens_for(warehouse.engine, "do_connect")
    def _stop(_dialect: object, _record: object, _positional: object, named: dict[str, Any]) -> None:
        seen.update(named)
        raise Stop

    with pytest.raises(Stop), warehouse.transaction():
        pass
    return seen


def test_every_missing_variable_is_named_at_once() -> None:
    for asked in (snowflake_url, snowflake_connect_args):
        with pytest.raises(ValueError) as caught:
            asked({"SNOWFLAKE_USER": "", "SNOWFLAKE_ROLE": "RECON"})
        for name in (
            "SNOWFLAKE_ACCOUNT",
            "SNOWFLAKE_USER",
            "SNOWFLAKE_DATABASE",
            "SNOWFLAKE_PASSWORD (or SNOWFLAKE_PRIVATE_KEY_PATH)",
        ):
            assert name in str(caught.value)
        assert "SNOWFLAKE_ROLE" not in str(caught.value)
        assert "set them in the environment" in str(caught.value)


def test_only_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError) as caught:
        open_warehouse("snowflake", Path("unused"), BY_KEY | {"SNOWFLAKE_DATABASE": ""})

    assert "SNOWFLAKE_DATABASE" in str(caught.value)
    assert "SNOWFLAKE_ACCOUNT" not in str(caught.value)
    assert "SNOWFLAKE_PASSWORD" not in str(caught.value)


def test_what_is_set_reaches_the_driver() -> None:
    arguments = _driver_arguments(BY_PASSWORD)

    assert {
        key: arguments[key] for key in ("account", "user", "password", "database", "warehouse", "role")
    } == {
        "account": "acme-eu_west",  # whole: the dialect would cut it at the hyphen
        "user": "recon@acme",
        "password": SECRET,
        "database": "SEGMENT",
        "warehouse": "SMALL",
        "role": "RECON",
    }
    assert "host" not in arguments and "port" not in arguments


def test_a_session_speaks_utc_and_naive_times_whatever_the_account_does() -> None:
    parameters = _driver_arguments(BY_PASSWORD)["session_parameters"]

    assert parameters["TIMEZONE"] == "UTC"
    assert parameters["TIMESTAMP_TYPE_MAPPING"] == "TIMESTAMP_NTZ"


def test_a_key_pair_is_passed_on() -> None:
    arguments = _driver_arguments(BY_KEY)

    assert arguments["private_key_file"] == "/etc/recon/key.p8"
    assert arguments["private_key_file_pwd"] == PASSPHRASE
    assert arguments["authenticator"] == "SNOWFLAKE_JWT"
    assert "password" not in arguments


def test_the_key_wins_over_a_password_as_it_does_for_dbt() -> None:
    arguments = _driver_arguments(BY_PASSWORD | BY_KEY)

    assert arguments["private_key_file"] == "/etc/recon/key.p8"
    assert "password" not in arguments


def test_a_server_that_answers_as_snowflake_is_reached_by_host_port_and_protocol() -> None:
    arguments = _driver_arguments(
        BY_PASSWORD | {"SNOWFLAKE_HOST": "127.0.0.1", "SNOWFLAKE_PORT": "8080", "SNOWFLAKE_PROTOCOL": "http"}
    )

    assert (arguments["host"], arguments["port"], arguments["protocol"]) == ("127.0.0.1", 8080, "http")


@pytest.mark.parametrize("environ", [BY_PASSWORD, BY_KEY], ids=["password", "key pair"])
def test_no_secret_is_in_any_text_about_the_warehouse(environ: dict[str, str]) -> None:
    warehouse = open_warehouse("snowflake", Path("unused"), environ)
    url = snowflake_url(environ)

    told = [repr(url), str(url), url.render_as_string(hide_password=False)]
    told += [
        repr(warehouse),
        str(warehouse),
        warehouse.name,
        repr(warehouse.engine),
        str(warehouse.engine.url),
    ]
    for text in told:
        assert SECRET not in text and sa.URL.create("x", password=SECRET).render_as_string(False) not in text
        assert PASSPHRASE not in text


def _nobody_listens(environ: dict[str, str]) -> Warehouse:
    elsewhere = {"SNOWFLAKE_HOST": "127.0.0.1", "SNOWFLAKE_PORT": "9", "SNOWFLAKE_PROTOCOL": "http"}
    return open_warehouse("snowflake", Path("unused"), environ | elsewhere)


def test_an_error_of_the_driver_tells_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    warehouse = _nobody_listens(BY_KEY | {"SNOWFLAKE_PRIVATE_KEY_PATH": "/no/such/key.p8"})

    with pytest.raises(RuntimeError) as caught, warehouse.transaction():
        pass

    assert "Snowflake account acme" in str(caught.value)
    assert "/no/such/key.p8" in str(caught.value)
    assert PASSPHRASE not in str(caught.value) + caplog.text


@pytest.mark.fakesnow
def test_the_password_is_in_no_error_and_no_log(
    snowflake_server: FakeSnowflake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    environ = snowflake_server.environment()
    warehouse = open_warehouse("snowflake", Path("unused"), environ)

    with pytest.raises(sa.exc.DBAPIError) as caught:
        warehouse.frame("select * from nowhere.at_all")

    assert environ["SNOWFLAKE_PASSWORD"] not in str(caught.value) + repr(caught.value) + caplog.text


def _profile(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> dict[str, Any]:
    """dbt's own reading of profiles.yml."""
    for name in ("SNOWFLAKE_PASSWORD", "SNOWFLAKE_PRIVATE_KEY_PATH", *BY_PASSWORD, *BY_KEY):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    set_invocation_context(os.environ)
    raw = YAML(typ="safe").load(CHECKOUT / "dbt" / "profiles.yml")["segment_reconciliation"]
    _, found = Profile.render_profile(raw, "segment_reconciliation", "snowflake", ProfileRenderer({}))
    return dict(found)


def test_dbt_reads_the_same_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _profile(monkeypatch, BY_PASSWORD)

    assert (found["account"], found["user"], found["password"]) == ("acme-eu_west", "recon@acme", SECRET)
    assert (found["database"], found["warehouse"], found["role"]) == ("SEGMENT", "SMALL", "RECON")
    # Absent, not the word None.
    for absent in ("private_key_path", "private_key_passphrase", "host", "port", "protocol"):
        assert found[absent] is None


def test_dbt_is_given_the_key_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _profile(monkeypatch, BY_KEY | {"SNOWFLAKE_PORT": "8080"})

    assert found["private_key_path"] == "/etc/recon/key.p8"
    assert found["private_key_passphrase"] == PASSPHRASE
    assert found["password"] is None
    assert found["port"] == 8080


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key as Snowflake's own guide makes one: PKCS#8, encrypted with a passphrase."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    path = tmp_path_factory.mktemp("keys") / "rsa_key.p8"
    path.write_bytes(
        rsa.generate_private_key(65_537, 2_048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSPHRASE.encode()),
        )
    )
    return path


def _by_key(server: FakeSnowflake, key_file: Path, passphrase: str = PASSPHRASE) -> dict[str, str]:
    environ = {name: value for name, value in server.environment().items() if name != "SNOWFLAKE_PASSWORD"}
    return environ | {
        "SNOWFLAKE_PRIVATE_KEY_PATH": str(key_file),
        "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": passphrase,
    }


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the driver says of itself when it logs in, in the order of the logins."""
    from snowflake.connector.auth import AuthByKeyPair

    seen: list[dict[str, Any]] = []
    before = AuthByKeyPair.update_body

    def update_body(self: Any, body: dict[str, Any]) -> None:
        before(self, body)
        seen.append(dict(body["data"]))

    monkeypatch.setattr(AuthByKeyPair, "update_body", update_body)
    return seen


@pytest.mark.fakesnow
def test_we_log_in_with_a_key_and_its_passphrase(
    snowflake_server: FakeSnowflake, key_file: Path, logins: list[dict[str, Any]]
) -> None:
    warehouse = open_warehouse("snowflake", Path("unused"), _by_key(snowflake_server, key_file))

    assert int(warehouse.frame("select 1 as x")["x"].iloc[0]) == 1
    (login,) = logins
    assert login["AUTHENTICATOR"] == "SNOWFLAKE_JWT"
    assert login["TOKEN"].count(".") == 2, "a signed token, and no password"
    assert "PASSWORD" not in login


@pytest.mark.fakesnow
def test_a_wrong_passphrase_is_told_without_it(snowflake_server: FakeSnowflake, key_file: Path) -> None:
    environ = _by_key(snowflake_server, key_file, passphrase="close sesame")

    with pytest.raises(RuntimeError, match="the key file among them") as caught:
        open_warehouse("snowflake", Path("unused"), environ).frame("select 1")

    assert "close sesame" not in str(caught.value)


@pytest.mark.dbt
@pytest.mark.fakesnow
def test_dbt_logs_in_with_the_same_key(
    snowflake_server: FakeSnowflake,
    key_file: Path,
    logins: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("SNOWFLAKE_PASSWORD", raising=False)
    environ = _by_key(snowflake_server, key_file)
    open_warehouse("snowflake", Path("unused"), environ).execute("create schema reconciliation_work")
    logins.clear()
    dbt = DbtProject(CHECKOUT / "dbt", tmp_path / "dbt", environ)
    dbt.render(shop.write_workspace(tmp_path / "expectations"))
    (tmp_path / "dbt" / "models" / "matched" / "one.sql").write_text("select 1 as x", "utf-8")

    dbt.run(["one"])

    assert logins and {login["AUTHENTICATOR"] for login in logins} == {"SNOWFLAKE_JWT"}
    assert not [login for login in logins if "PASSWORD" in login]
