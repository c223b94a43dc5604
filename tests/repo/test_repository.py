"""The repository: captions, generated files, dbt's stage order, and a README that tells the truth."""

import re
import subprocess
from pathlib import Path

import pytest

from dagster_project.cli.main import recon
from dagster_project.core.load import load_workspace
from dagster_project.generate.files import changes

ROOT = Path(__file__).parents[2]
PYTHON = sorted([*(ROOT / "dagster_project").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
DBT_ORDER = ["sources", "exported", "normalised", "matched", "diagnosed", "published"]


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_first_line_of_a_file_says_its_one_job(path):
    assert path.read_text("utf-8").startswith('"""'), "begin the file with a docstring that says its one job"


def test_the_files_that_are_run_first_are_there(pytestconfig):
    (told,) = [plugin for plugin in pytestconfig.pluginmanager.get_plugins() if hasattr(plugin, "LONG")]
    assert [name for name in told.LONG if not (ROOT / "tests" / name).is_file()] == []
    assert len(set(told.LONG)) == len(told.LONG)
    assert {"loadfile", "--no-loadscope-reorder"} <= set(
        pytestconfig.getini("addopts")
    )  # xdist would sort by number


def test_no_package_shadows_a_library():
    assert list((ROOT / "dbt").rglob("__init__.py")) == []
    assert list((ROOT / "tests").rglob("__init__.py")) == []
    assert not (ROOT / "tests" / "dbt").exists()
    assert not (ROOT / "tests" / "dagster").exists()


def test_what_is_generated_is_fresh():
    found = changes(load_workspace(ROOT / "expectations"), ROOT / "expectations", ROOT)
    assert [f"{change.path}: {change.why}" for change in found] == []


def test_the_staleness_check_can_go_red(tmp_path):
    import shutil

    shutil.copytree(ROOT / "expectations", tmp_path / "expectations")
    suite = next((tmp_path / "expectations" / "suites").glob("*.json"))
    suite.write_text(suite.read_text("utf-8").replace('"critical"', '"info"', 1), "utf-8")
    (tmp_path / "expectations" / "schema" / "workspace.schema.json").unlink()
    found = changes(load_workspace(tmp_path / "expectations"), tmp_path / "expectations", ROOT)
    assert {(change.path.name, change.why) for change in found} == {
        (suite.name, "stale"),
        ("workspace.schema.json", "missing"),
    }


def models() -> dict[str, tuple[str, set[str]]]:
    """Model name -> its stage folder and the models it refers to."""
    found = {}
    for path in (ROOT / "dbt" / "models").rglob("*.sql"):
        text = path.read_text("utf-8")
        found[path.stem] = (path.parent.name, set(re.findall(r"ref\('([^']+)'\)", text)))
    return found


def test_a_dbt_stage_reads_only_earlier_stages():
    known = models()
    wrong = [
        f"{name} ({stage}) reads {other} ({known[other][0]})"
        for name, (stage, reads) in known.items()
        for other in reads
        if DBT_ORDER.index(known[other][0]) > DBT_ORDER.index(stage)
    ]
    assert wrong == []


def test_no_model_reads_the_clock_or_the_model_itself_in_its_config():
    for path in (ROOT / "dbt" / "models").rglob("*.sql"):
        text = path.read_text("utf-8").lower()
        assert not re.search(r"current_timestamp|getdate\(|\bnow\(\)", text), path
        for config in re.findall(r"{{\s*config\((.*?)\)\s*}}", text, re.S):
            # ref() and source() mean the model itself in a config block (measured on dbt 1.11).
            assert "ref(" not in config, path
            assert "source(" not in config, path


def test_no_stray_notes_or_foreign_paths_are_in_the_tree():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    notes = re.compile("|".join(["TO" + "DO", "FIX" + "ME", r"\.\./sha" + "red", "/wo" + "rk/"]))
    found = []
    for name in listed.splitlines():
        path = ROOT / name
        if (
            path.suffix in {".py", ".sql", ".yml", ".md", ".toml"}
            and path.exists()
            and path != Path(__file__)
        ):
            found += [f"{name}: {hit}" for hit in notes.findall(path.read_text("utf-8", errors="replace"))]
    assert found == []


def test_every_command_of_the_readme_exists():
    readme = (ROOT / "README.md").read_text("utf-8")
    known = set(recon.commands)
    told = set(re.findall(r"\brecon ([a-z]+)", readme))
    assert told >= known, f"the README does not tell {known - told}"
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(re.findall(r"^make ([a-z]+)", readme, re.M)) <= targets


def test_the_readme_names_only_files_that_exist():
    readme = (ROOT / "README.md").read_text("utf-8")
    named = re.findall(r"`((?:dagster_project|dbt|expectations|tests|benchmarks)/[\w./-]*)`", readme)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
