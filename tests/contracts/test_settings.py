"""The environment is read without secrets, and a missing variable is named with what needs it."""

from pathlib import Path

import pytest

from dagster_project.settings import VARIABLES, Settings, SettingsError, missing, project_root


def test_an_empty_environment_is_enough() -> None:
    settings = Settings.from_environment({})
    assert settings.expectations_dir == Path("expectations")
    assert settings.target == "duckdb"
    assert settings.duckdb_path == Path(".recon/warehouse.duckdb")
    assert settings.state_dir == Path(".recon")
    assert settings.home == Path.cwd() / ".recon"
    settings.require_warehouse()


def test_every_variable_is_read() -> None:
    environ = dict.fromkeys(VARIABLES.values(), "x")
    environ |= {"RECON_TARGET": "snowflake", "SNOWFLAKE_PORT": "8080", "SNOWFLAKE_PROTOCOL": "http"}
    environ |= {"RECON_MEMORY_LIMIT": "8GB", "RECON_THREADS": "4"}
    environ |= {"RECON_STEP_ROWS": "1000", "RECON_GROWN_FROM": "1000"}
    settings = Settings.from_environment(environ)
    assert all(getattr(settings, field) is not None for field in VARIABLES)
    assert settings.snowflake_port == 8080
    assert settings.home == Path.cwd() / "x"


def test_the_variables_have_the_contracts_names() -> None:
    assert set(VARIABLES.values()) >= {
        *("RECON_EXPECTATIONS_DIR", "RECON_TARGET", "RECON_DUCKDB_PATH", "RECON_STATE_DIR", "DAGSTER_HOME"),
        *("SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "SLACK_API_URL"),
        *("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER", "SNOWFLAKE_PASSWORD", "SNOWFLAKE_PRIVATE_KEY_PATH"),
    }
    assert set(VARIABLES) == set(Settings.model_fields)


def test_an_empty_variable_is_an_unset_one() -> None:
    assert Settings.from_environment({"RECON_DUCKDB_PATH": "", "SLACK_BOT_TOKEN": ""}) == Settings()


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"RECON_TARGET": "bigquery"}, "RECON_TARGET is 'bigquery'; write one of duckdb, snowflake"),
        ({"SNOWFLAKE_PORT": "https"}, "SNOWFLAKE_PORT is 'https'; write a number"),
        ({"SNOWFLAKE_PORT": "0"}, "SNOWFLAKE_PORT is '0'"),
        ({"SNOWFLAKE_PROTOCOL": "ftp"}, "SNOWFLAKE_PROTOCOL is neither http nor https"),
        ({"RECON_MEMORY_LIMIT": "8"}, "RECON_MEMORY_LIMIT is '8'; write a size such as 8GB, 500MB or 1.5GiB"),
        ({"RECON_MEMORY_LIMIT": "0GB"}, "RECON_MEMORY_LIMIT is '0GB'"),
        ({"RECON_MEMORY_LIMIT": "80%"}, "RECON_MEMORY_LIMIT is '80%'"),
        ({"RECON_MEMORY_LIMIT": "1GB'; drop"}, "RECON_MEMORY_LIMIT is "),
        ({"RECON_THREADS": "0"}, "RECON_THREADS is '0'; write a number from 1 to 1024, or unset it"),
        ({"RECON_THREADS": "two"}, "RECON_THREADS is 'two'"),
    ],
)
def test_a_wrong_value_is_refused_by_its_variable(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environ)
    assert says in str(caught.value)


@pytest.mark.parametrize("size", ["300MB", "8GB", "1.5GiB", "0.5 GB", "2tb"])
def test_a_size_is_written_as_duckdb_writes_it(size: str) -> None:
    assert Settings.from_environment({"RECON_MEMORY_LIMIT": size}).memory_limit == size


def test_a_missing_variable_is_named_with_what_needs_it() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings().require("slack_bot_token", needed_by="`recon notify`")
    assert str(caught.value) == (
        "SLACK_BOT_TOKEN is not set, and `recon notify` needs it; set it in the environment of this command"
    )


def test_all_missing_variables_are_named_at_once() -> None:
    assert str(missing("A", "B", needed_by="X")).startswith("A and B are not set, and X needs them; set them")
    with pytest.raises(SettingsError, match="SNOWFLAKE_ACCOUNT and SNOWFLAKE_USER and SNOWFLAKE_DATABASE"):
        Settings(target="snowflake").require_warehouse()


def test_snowflake_needs_a_proof_of_who_asks() -> None:
    said = {"RECON_TARGET": "snowflake"}
    said |= {f"SNOWFLAKE_{name}": "x" for name in ("ACCOUNT", "USER", "DATABASE")}
    with pytest.raises(SettingsError, match="SNOWFLAKE_PASSWORD or SNOWFLAKE_PRIVATE_KEY_PATH is not set"):
        Settings.from_environment(said).require_warehouse()
    Settings.from_environment(said | {"SNOWFLAKE_PASSWORD": "x"}).require_warehouse()
    Settings.from_environment(said | {"SNOWFLAKE_PRIVATE_KEY_PATH": "x"}).require_warehouse()


def test_no_secret_is_ever_shown() -> None:
    secret = "s3cr3t-value"
    fields = [field for field in VARIABLES if field.endswith(("_url", "token", "password", "passphrase"))]
    settings = Settings.from_environment(
        {VARIABLES[field]: secret for field in fields if field != "slack_api_url"}
    )
    assert settings.slack_webhook_url is not None
    assert settings.slack_webhook_url.get_secret_value() == secret
    assert secret not in repr(settings)
    assert secret not in settings.model_dump_json()


def test_the_checkout_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (project_root() / "workspace.yaml").is_file()
    assert (project_root() / "dbt" / "dbt_project.yml").is_file()
