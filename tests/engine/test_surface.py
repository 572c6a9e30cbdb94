"""What `from winnow.engine import …` gives, and when it is imported."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import winnow.engine
from tests.import_graph import ROOT, imported


def declared() -> dict[str, str]:
    """Return, as type checkers see it, the module that each exported name comes from."""
    tree = ast.parse((ROOT / "engine" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    found = [name for node in block.body for name in imported(node)]
    return {name.rpartition(".")[2]: name.rpartition(".")[0] for name in found}


def test_all_names_are_sorted_and_declared_for_type_checkers():
    names = winnow.engine.__all__
    order = [(not name.isupper(), not name[0].isupper(), name) for name in names]  # constants, classes, functions
    assert order == sorted(order)
    assert set(names) == set(declared())


@pytest.mark.parametrize("name", winnow.engine.__all__)
def test_a_name_is_the_object_of_its_module(name: str):
    assert getattr(winnow.engine, name) is getattr(import_module(declared()[name]), name)


def test_no_exported_name_is_that_of_a_room():
    rooms = {path.parent.name for path in Path(ROOT / "engine").glob("*/__init__.py")}
    assert rooms.isdisjoint(winnow.engine.__all__)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'prune_everything'"):
        _ = winnow.engine.prune_everything


def test_the_surface_is_listed_before_it_is_imported():
    code = "import sys, winnow.engine as e; assert set(e.__all__) <= set(dir(e)); assert 'torch' not in sys.modules"
    code += "; from winnow.engine import compact, Proximal; assert callable(compact); assert 'torch' in sys.modules"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
