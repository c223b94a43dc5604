"""Import rules: core is pure, a stage reads only earlier stages, and nothing imports in a circle."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "dagster_project"
IMPURE = {
    "dagster",
    "dbt",
    "great_expectations",
    "sqlalchemy",
    "duckdb",
    "snowflake",
    "requests",
    "click",
    "rich",
}
# In the order in which a run does them: exports are read before messages, for they open days too.
FLOW = [
    "sources",
    "exported",
    "normalised",
    "matched",
    "diagnosed",
    "judged",
    "gated",
    "published",
    "notified",
]
SHARED = {"context", "inputs", "census", "landing"}


def module_of(path: Path) -> str:
    parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, *, lazy: bool = True) -> set[str]:
    """Modules that a file imports; without `lazy` only those imported when it is loaded."""
    tree = ast.parse(source)
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    inside = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
        if child is not node
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in typing_only or (not lazy and node in inside):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def impurities(source: str) -> set[str]:
    roots = {name.split(".")[0] for name in imports_of(source)}
    ours = {name for name in imports_of(source) if name.startswith("dagster_project.")}
    return (roots & IMPURE) | {name for name in ours if not name.startswith("dagster_project.core")}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of a graph as a path, or nothing."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for follower in sorted(graph.get(node, ())):
            if found := visit(follower, [*path, node]):
                return found
        done.add(node)
        return []

    for start in sorted(graph):
        if found := visit(start, []):
            return found
    return []


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize("module", [name for name in FILES if name.startswith("dagster_project.core")])
def test_core_is_pure(module):
    assert impurities(FILES[module].read_text("utf-8")) == set()


def test_the_purity_rule_can_go_red():
    assert impurities("import sqlalchemy as sa") == {"sqlalchemy"}
    assert impurities("from dagster_project.flow.gated import gate") == {
        "dagster_project.flow.gated",
        "dagster_project.flow.gated.gate",
    }


@pytest.mark.parametrize("stage", FLOW)
def test_a_stage_reads_only_earlier_stages(stage):
    later = [*FLOW[FLOW.index(stage) + 1 :]]
    # The outbox is written in the transaction of the incidents: diagnosed may hand them to notified.
    allowed = {"notified"} if stage == "diagnosed" else set()
    read = imports_of((PACKAGE / "flow" / f"{stage}.py").read_text("utf-8"))
    wrong = {name for name in later if f"dagster_project.flow.{name}" in read} - allowed
    assert wrong == set()


@pytest.mark.parametrize("shared", sorted(SHARED))
def test_what_stages_share_reads_no_stage(shared):
    read = imports_of((PACKAGE / "flow" / f"{shared}.py").read_text("utf-8"))
    assert {name for name in FLOW if f"dagster_project.flow.{name}" in read} == set()


def test_nothing_imports_in_a_circle():
    graph = {
        name: {
            each for each in imports_of(path.read_text("utf-8"), lazy=False) if each in FILES and each != name
        }
        for name, path in FILES.items()
    }
    assert circle(graph) == []


def test_the_circle_rule_can_go_red():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert circle({"a": {"b"}, "b": set()}) == []
