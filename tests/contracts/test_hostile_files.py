"""Whatever stands in a file, the answer is a workspace or a ConfigurationError with places in it."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dagster_project.core.load import ConfigurationError, load_workspace

RIGHT = Path(__file__).parent / "workspace" / "expectations"
FILES = {path.relative_to(RIGHT).as_posix(): path.read_bytes() for path in RIGHT.rglob("*.*")}
TOKENS = [
    *(
        b"\x00",
        b"\t",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\r",
        b"\x85",
        b"\xe2\x80\xa8",
        b"\x1b[31m",
        b"\xf0\x9f\x8e\x89",
    ),
    *(b": ", b"- ", b"#", b"'", b'"', b"{", b"}", b"[", b"]", b"&a ", b"*a", b"!!int ", b"!!binary ", b"? "),
    *(b"|\n", b">\n", b"---\n", b"...\n", b"%YAML 1.1\n---\n", b"%TAG ! x\n", b"<<: ", b"~", b"yes", b"0o7"),
    *(
        b"1e999",
        b"9" * 5000,
        b".nan",
        b"2026-99-99",
        b"0001-01-01",
        b"\\ud800",
        b'"\\ud800"',
        b"NaN",
        b"null",
    ),
    *(b"..", b"/", b"*", b"all", b"true", b"\n", b"\n\n  ", b"[" * 300, b"{" * 300, b'{"a":' * 300),
]


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, bytes]:
    """One file of the right workspace with a few cuts, doublings and insertions."""
    name = draw(st.sampled_from(sorted(FILES)))
    data = FILES[name]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        until = draw(st.integers(at, min(len(data), at + 60)))
        kind = draw(st.sampled_from(["insert", "delete", "double", "replace"]))
        token = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=4)))
        data = {
            "insert": data[:at] + token + data[at:],
            "delete": data[:at] + data[until:],
            "double": data[:until] + data[at:],
            "replace": data[:at] + token + data[until:],
        }[kind]
    return name, data


def load_mutated(root: Path, name: str, data: bytes) -> None:
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(RIGHT, root)
    (root / name).write_bytes(data)
    try:
        load_workspace(root)
    except ConfigurationError as error:
        assert error.problems
        lines = str(error).split("\n")
        assert len(lines) == len(error.problems)
        for problem, line in zip(error.problems, lines, strict=True):
            assert line.isprintable(), line
            assert problem.line >= 1
            assert problem.column >= 1
            assert problem.fact
            assert problem.instead
            assert len(line) < 1000


@given(mutations())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(("tracking_plan.json", b"[" * 100_000))
@example(("tracking_plan.json", b'{"rules": [' + b"9" * 5000 + b"]}"))
@example(("tracking_plan.json", b'{"data": {"rules": [{"type": "TRACK", "type": "TRACK"}, {"x": {\n{]}}'))
@example(("workspace.yml", b"[" * 10_000))
@example(
    ("destinations/ads.yml", b"name: ads\nreceives:\n  sources: all\n  events:\n    - \xef\xbb\xbfBuy:\n")
)
@example(("workspace.yml", b"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\n" * 3))
def test_a_mutated_file_gives_a_workspace_or_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, mutation: tuple[str, bytes]
) -> None:
    load_mutated(tmp_path_factory.getbasetemp() / "mutated", *mutation)


def test_aliases_that_multiply_are_stopped(tmp_path: Path) -> None:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    shutil.copytree(RIGHT, tmp_path / "expectations")
    (tmp_path / "expectations" / "workspace.yml").write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigurationError, match="aliases expand to too much"):
        load_workspace(tmp_path / "expectations")


def test_a_file_full_of_wrong_names_is_answered_soon(tmp_path: Path) -> None:
    shutil.copytree(RIGHT, tmp_path / "expectations")
    file = tmp_path / "expectations" / "destinations" / "ads.yml"
    wrong = "\n".join(f"    - {'Wrong Name ' * 9}{n}" for n in range(3000))
    file.write_text(file.read_text().replace("    - Purchase Completed", wrong))
    with pytest.raises(ConfigurationError) as caught:
        load_workspace(tmp_path / "expectations")
    assert len(caught.value.problems) == 3000
