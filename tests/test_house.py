"""The house rules that a machine can check: layers, lint, types, sizes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "engine", "dashboard")
FORBIDDEN = {
    "data": {"engine", "dashboard", "torch", "streamlit", "plotly"},
    "engine": {"dashboard", "streamlit", "plotly"},
    "dashboard": {"torch", "captum"},
}
PORT = (
    "spec", "specs.prune", "specs.explain", "specs.export", "specs.study", "folders", "runs", "followups", "jobs",
    "events", "norms", "control", "files", "quantities", "cli", "usage", "commands.follow", "explaining.overlap",
    "explaining.badges", "explaining.ranks", "explaining.agreement", "spatial.store", "spatial.choosing",
    "planted.wiring", "planted.recovery", "studies.folder", "studies.plan", "studies.rows", "studies.tables",
    "studies.spec_hash", "studies.reporting_tables", "work.study_job", "scheduling.remote",
)  # fmt: skip


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_layer_imports_none_above_it(package: str):
    wrong = {str(path): imports(path) & FORBIDDEN[package] for path in (ROOT / package).rglob("*.py")}
    assert not {path: found for path, found in wrong.items() if found}


def test_one_file_knows_captum():
    knowing = [str(path.relative_to(ROOT)) for path in (ROOT / "engine").rglob("*.py") if "captum" in imports(path)]
    assert knowing == ["engine/explain/relevance/captum_methods.py"]


def test_no_pickle_anywhere():
    wrong = {"pickle", "joblib", "dill", "cloudpickle", "shelve"}
    assert not [p for d in PACKAGES for p in (ROOT / d).rglob("*.py") if imports(p) & wrong]
    assert not [p for d in PACKAGES for p in (ROOT / d).rglob("*.py") if "torch.load(" in p.read_text()]


def test_files_stay_within_300_lines():
    sizes = {str(p): p.read_text().count("\n") for d in PACKAGES for p in (ROOT / d).rglob("*.py")}
    assert {path: lines for path, lines in sizes.items() if lines > 300} == {}


def test_the_port_leaves_torch_out():
    modules = ", ".join(f"engine.{name}" for name in PORT)
    code = f"import sys; import {modules}; sys.exit(bool({{'torch', 'captum', 'sklearn'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."]])
def test_linters_are_content(command: list[str]):
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_types_are_right(type_check: subprocess.Popen[str]):
    said, _ = type_check.communicate()
    assert type_check.returncode == 0, said
