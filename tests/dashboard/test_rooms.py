"""How the rooms of the dashboard hang together: no circles, and no page imports another."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

from winnow.dashboard import navigation

ROOT = Path(__file__).resolve().parents[2] / "dashboard"
PREFIX = "winnow.dashboard."
ROOMS = {  # what a page may import; a room may not import pages at all
    "pages": {"pages", "report", "shared", "forms", "frames", "figures", "canvas", "navigation", "documents"},
    "report": {"report", "shared", "frames", "figures", "canvas"},
    "shared": {"shared", "forms", "frames", "figures", "canvas", "navigation"},
    "forms": {"forms", "frames", "shared"},
    "figures": {"figures", "frames", "shared"},
    "canvas": {"canvas", "frames", "figures"},
    "frames": {"frames", "shared"},
}


def test_no_module_imports_itself_by_way_of_others() -> None:
    arrows = {name: set(_imports(name)) for name in _modules()}
    assert len(list(TopologicalSorter(arrows).static_order())) == len(arrows)


def test_a_room_imports_only_rooms_below_it() -> None:
    wrong = {
        (name, other)
        for name in _modules()
        for other in _imports(name)
        if (room := name.split(".")[0]) in ROOMS and other.split(".")[0] not in ROOMS[room]
    }
    assert wrong == set()


def test_no_page_imports_another() -> None:
    wrong = {
        (name, other)
        for name in _modules()
        if name.startswith("pages.")
        for other in _imports(name)
        if other.startswith("pages.") and other.split(".")[1] != name.split(".")[1]
    }
    assert wrong == set()


def test_only_pages_import_pages() -> None:
    others = [name for name in _modules() if not name.startswith("pages.")]
    assert not [name for name in others if any(other.startswith("pages.") for other in _imports(name))]


def test_frames_and_figures_take_only_words_from_the_shared_room() -> None:
    low = [name for name in _modules() if name.split(".")[0] in ("frames", "figures", "canvas")]
    taken = {other for name in low for other in _imports(name) if other.startswith("shared.")}
    assert taken <= {"shared.formatting"}


def test_every_page_is_in_the_table_and_has_its_folder() -> None:
    folders = {file.parent.name for file in (ROOT / "pages").glob("*/page.py")}
    assert folders == set(navigation.ENTRIES)
    assert all(find_spec(entry.module) for entry in navigation.ENTRIES.values())


def _modules() -> list[str]:
    files = (file.relative_to(ROOT).with_suffix("") for file in ROOT.rglob("*.py") if file.name != "__init__.py")
    return [".".join(file.parts) for file in files]


def _imports(name: str) -> Iterator[str]:
    """Yield the modules of the dashboard that a module imports, inside functions too."""
    known = set(_modules())
    for node in ast.walk(ast.parse((ROOT / Path(*name.split("."))).with_suffix(".py").read_text())):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(PREFIX):
            room = (node.module or "").removeprefix(PREFIX.rstrip(".")).lstrip(".")
            for alias in node.names:
                inner = f"{room}.{alias.name}".lstrip(".")
                if inner in known or room in known:
                    yield inner if inner in known else room
