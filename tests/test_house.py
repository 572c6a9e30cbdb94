"""The house rules that a machine can check: layers, lint, types, sizes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "engine", "dashboard")
FORBIDDEN = {
    "data": {"winnow.engine", "winnow.dashboard", "torch", "streamlit", "plotly"},
    "engine": {"winnow.dashboard", "streamlit", "plotly"},
    "dashboard": {"torch", "captum"},
}
TORCH_FREE = ("specs", "runs", "cli", "studies")  # rooms of the engine that a page may import from


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {root(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(root(node.module or ""))
    return found


def root(module: str) -> str:
    """Return the package that a module belongs to: `winnow.engine` of ours, `torch` of torch.nn."""
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] == "winnow" else 1])


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


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."]])
def test_linters_are_content(command: list[str]):
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_types_are_right(type_check: subprocess.Popen[str]):
    said, _ = type_check.communicate()
    assert type_check.returncode == 0, said
