"""The house rules that a machine can check: layers, rooms, names, lint, types, sizes."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests import import_graph
from tests.import_graph import PACKAGES, ROOT
from tests.link_packages import link

FORBIDDEN = {
    "data": {"winnow.engine", "winnow.dashboard", "torch", "streamlit", "plotly"},
    "engine": {"winnow.dashboard", "streamlit", "plotly"},
    "dashboard": {"torch", "captum"},
}
ROOMS = {
    "cli", "explain", "export", "graph", "jobs", "measure", "networks", "pruning", "runs", "sparsity", "specs",
    "studies", "tasks", "training",
}  # fmt: skip
TORCH_FREE = ("specs", "runs", "cli", "studies")  # rooms of the engine that a page may import from
EXPORTING = (  # packages whose modules all need torch; what is for users is exported by winnow.engine, lazily
    "engine/__init__.py", "engine/export/__init__.py", "engine/pruning/__init__.py",
    "engine/sparsity/groups/__init__.py",
)  # fmt: skip
HEAVY = {"torch", "captum", "sklearn"}  # seconds of import each
REPEATED_NAMES = 10  # public functions and classes of one name in several modules
ONE_IMPORTER = 111  # modules that one other imports: often part of it; a data set has a file, and the catalog a line


def files(package: str) -> Iterator[Path]:
    return (ROOT / package).rglob("*.py")


def imports(path: Path) -> set[str]:
    """Return the packages that a file imports anywhere: `winnow.engine` of ours, `torch` of torch.nn."""
    nodes = ast.walk(import_graph.tree(path))
    parts = [name.split(".") for node in nodes for name in import_graph.imported(node)]
    return {".".join(own[: 2 if own[0] == "winnow" else 1]) for own in parts}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_layer_imports_none_above_it(package: str):
    wrong = {str(path): imports(path) & FORBIDDEN[package] for path in files(package)}
    assert not {path: found for path, found in wrong.items() if found}


def test_the_engine_has_fourteen_rooms_and_no_loose_module():
    folders = {path.parent.name for path in (ROOT / "engine").glob("*/__init__.py")}
    assert folders == ROOMS
    assert [path.name for path in (ROOT / "engine").glob("*.py")] == ["__init__.py"]


def test_no_circle_of_imports_between_rooms():
    list(TopologicalSorter(import_graph.rooms()).static_order())  # CycleError names the circle


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_says_what_it_may_import_and_where_to_start(room: str):
    said = ast.get_docstring(import_graph.tree(ROOT / "engine" / room / "__init__.py")) or ""
    allowed, _, start = said.partition("May import: ")[2].partition("\nStart at ")
    assert start
    assert all(import_graph.module_of(f"winnow.{name}") for name in re.findall(r"`(engine\.[\w.]+)`", said))
    named = {other for other in ROOMS if re.search(rf"\b{other}\b", allowed)}
    may = ROOMS - named if "every room but" in allowed else named
    assert import_graph.rooms()[room] <= may


def test_importing_a_module_imports_no_neighbour():
    for path in files("engine"):
        place = path.relative_to(ROOT).as_posix()
        if path.name == "__init__.py" and place not in EXPORTING:
            assert len(import_graph.tree(path).body) == (1 if path.read_text() else 0), place


@pytest.mark.parametrize("place", [*TORCH_FREE, "dashboard"])
def test_no_module_of_a_torch_free_place_leads_to_torch(place: str):
    own = [name for name in import_graph.modules() if place in (import_graph.room(name), name.split(".")[1])]
    assert own
    assert {name: found for name in own if (found := import_graph.reached(name) & HEAVY)} == {}


@pytest.mark.parametrize("name", ["worker", "study_job"])
def test_a_worker_holds_the_lock_before_it_imports_torch(name: str):
    assert not import_graph.reached(f"winnow.engine.jobs.{name}") & HEAVY


def test_importing_the_torch_free_rooms_imports_no_torch():
    names = ["winnow.engine", *(name for name in import_graph.modules() if import_graph.room(name) in TORCH_FREE)]
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code, *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & HEAVY == set()


def test_public_names_are_told_apart():
    repeated = {name: own for name, own in import_graph.public_names().items() if len(own) > 1}
    assert len(repeated) <= REPEATED_NAMES, repeated


def test_few_modules_have_one_importer():
    single = {name: own for name, own in import_graph.importers().items() if len(own) == 1}
    assert len(single) <= ONE_IMPORTER, sorted(single)


def test_one_file_knows_captum():
    knowing = [str(path.relative_to(ROOT)) for path in files("engine") if "captum" in imports(path)]
    assert knowing == ["engine/explain/relevance/captum_methods.py"]


def test_no_pickle_anywhere():
    wrong = {"pickle", "joblib", "dill", "cloudpickle", "shelve"}
    assert not [p for d in PACKAGES for p in files(d) if imports(p) & wrong]
    nodes = (node for package in PACKAGES for path in files(package) for node in ast.walk(import_graph.tree(path)))
    loads = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"]
    assert all("weights_only=True" in ast.unparse(node) for node in loads)  # tensors and numbers, no objects


def test_files_stay_within_300_lines():
    sizes = {str(p): p.read_text().count("\n") for d in PACKAGES for p in files(d)}
    assert {path: lines for path, lines in sizes.items() if lines > 300} == {}


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."]])
def test_linters_are_content(command: list[str]):
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_types_are_right():
    link()
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
