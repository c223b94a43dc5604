"""Everything that is generated, as files: what should be written where, and what on disk is stale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dagster_project.core.contracts import Workspace
from dagster_project.generate.dbt_models import MARK, dbt_files
from dagster_project.generate.json_schema import schemas
from dagster_project.generate.suites import SuiteProblem, suites


@dataclass(frozen=True)
class Change:
    """One file that is not as it should be. `content` is null when it should go."""

    path: Path
    content: str | None
    why: str  # missing | stale | left over


def changes(workspace: Workspace, expectations_dir: Path, checkout: Path) -> list[Change]:
    """What `recon generate` would write or remove, in path order.

    The dbt files of the checkout belong to the checkout's own `expectations/`; a workspace kept elsewhere
    has them made anew in its state folder by every run.
    """
    wanted = {expectations_dir / "schema" / name: text for name, text in schemas().items()}
    suites_dir = expectations_dir / "suites"
    existing = read_suites(suites_dir)
    made = suites(workspace, existing)
    wanted |= {suites_dir / name: text for name, text in made.items()}
    gone = [suites_dir / name for name in existing if name not in made]
    if expectations_dir.resolve() == (checkout / "expectations").resolve():
        own = {checkout / "dbt" / name: text for name, text in dbt_files(workspace).items()}
        wanted |= own
        gone += [path for path in _generated_dbt_files(checkout / "dbt") if path not in own]
    found = []
    for path, text in wanted.items():
        if not path.exists():
            found.append(Change(path, text, "missing"))
        elif path.read_text("utf-8") != text:
            found.append(Change(path, text, "stale"))
    found += [Change(path, None, "left over") for path in gone]
    return sorted(found, key=lambda change: str(change.path))


def apply(found: list[Change]) -> None:
    """Write and remove what `changes` names."""
    for change in found:
        if change.content is None:
            change.path.unlink()
        else:
            change.path.parent.mkdir(parents=True, exist_ok=True)
            change.path.write_text(change.content, "utf-8")


def render_suites(workspace: Workspace, expectations_dir: Path, target: Path) -> None:
    """Write the suites a run judges by: generated for this workspace as it is, hand-written ones kept.

    A suite file that cannot be read is handed on as it is, so that its checks are errors and the others run.
    """
    existing = read_suites(expectations_dir / "suites")
    corrupt: dict[str, str] = {}
    while True:
        try:
            made = suites(workspace, existing)
            break
        except SuiteProblem:
            broken = next((name for name in existing if _is_corrupt(workspace, name, existing[name])), None)
            if broken is None:
                raise
            corrupt[broken] = existing.pop(broken)
    target.mkdir(parents=True, exist_ok=True)
    wanted = {**made, **corrupt}
    for path in target.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (target / name).write_text(text, "utf-8")


def read_suites(folder: Path) -> dict[str, str]:
    """File name -> text of every suite file; bytes that are no UTF-8 become marks, and so no valid suite."""
    return {path.name: path.read_text("utf-8", errors="replace") for path in sorted(folder.glob("*.json"))}


def _is_corrupt(workspace: Workspace, name: str, text: str) -> bool:
    try:
        suites(workspace, {name: text})
    except SuiteProblem:
        return True
    return False


def _generated_dbt_files(dbt: Path) -> list[Path]:
    return [
        path
        for path in sorted([*dbt.rglob("*.sql"), *dbt.rglob("*.yml")])
        if "target" not in path.parts and path.read_text("utf-8").startswith((f"-- {MARK}", f"# {MARK}"))
    ]
