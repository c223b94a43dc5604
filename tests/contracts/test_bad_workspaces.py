"""Every mistake of the catalogue is refused, with exactly the words that stand beside it.

A case is a folder of `bad/`: the files in it lie over the right workspace, those named in `without.txt` are
taken away, and `expected.txt` is what is said.
"""

import shutil
from pathlib import Path

import pytest

from dagster_project.core.load import ConfigurationError, load_workspace

BAD = Path(__file__).parent / "bad"
CASES = sorted(path.name for path in BAD.iterdir())


@pytest.mark.parametrize("case", CASES)
def test_the_mistake_is_refused_in_its_own_words(case: str, expectations: Path) -> None:
    if (BAD / case / "expectations").exists():
        shutil.copytree(BAD / case / "expectations", expectations, dirs_exist_ok=True)
    if (BAD / case / "without.txt").exists():
        for name in (BAD / case / "without.txt").read_text().split():
            (expectations / name).unlink()

    with pytest.raises(ConfigurationError) as caught:
        load_workspace(expectations)

    assert str(caught.value) == (BAD / case / "expected.txt").read_text().rstrip("\n")


def test_the_catalogue_is_a_catalogue() -> None:
    assert len(CASES) >= 100


def test_a_problem_has_its_place_and_its_parts(expectations: Path) -> None:
    (expectations / "workspace.yml").write_text("name: acme\ntimezone: UTC\nsorces: {}\n")

    with pytest.raises(ConfigurationError) as caught:
        load_workspace(expectations)

    problem = next(p for p in caught.value.problems if "sorces" in p.fact)
    assert (problem.file, problem.line, problem.column) == ("expectations/workspace.yml", 3, 1)
    assert problem.fact == "unknown key `sorces`"
    assert problem.instead == "write `sources`"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no such folder; .*RECON_EXPECTATIONS_DIR"):
        load_workspace(tmp_path / "expectatons")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "expectations").write_text("")
    with pytest.raises(ConfigurationError, match="not a folder"):
        load_workspace(tmp_path / "expectations")


def test_a_folder_in_place_of_a_file_is_refused(expectations: Path) -> None:
    (expectations / "destinations" / "crm.yml").mkdir()
    with pytest.raises(ConfigurationError, match=r"crm\.yml:1:1: the file cannot be read"):
        load_workspace(expectations)


def test_the_63rd_destination_is_refused_and_the_62nd_is_not(expectations: Path) -> None:
    ads = (expectations / "destinations" / "ads.yml").read_text()
    for number in range(60):
        name = f"copy_{number:02}"
        (expectations / "destinations" / f"{name}.yml").write_text(ads.replace("name: ads", f"name: {name}"))
    assert len(load_workspace(expectations).destinations) == 62

    (expectations / "destinations" / "zz.yml").write_text(ads.replace("name: ads", "name: zz"))
    with pytest.raises(ConfigurationError, match=r"zz\.yml:1:1: there are 63 destinations, and 62"):
        load_workspace(expectations)
