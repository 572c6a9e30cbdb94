"""The modules of the three packages and what each imports, read from the sources, for the house rules."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "engine", "dashboard")


@cache
def modules() -> dict[str, Path]:
    """Return the file of every module by its name; a package is the name of its folder."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(("winnow", *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the full names that an import statement brings in: `winnow.x.y`, or `torch.nn.Module`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """Return the module of ours that a full name lies in, None where it is not ours."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name or None


@cache
def imports(module: str) -> frozenset[str]:
    """Return the modules of ours that a module imports, wherever the import stands."""
    names = {module_of(name) for node in ast.walk(tree(modules()[module])) for name in imported(node)}
    return frozenset(name for name in names - {module} if name)


def at_import(module: str) -> set[str]:
    """Return the full names that are imported when a module is: those in functions and for type checkers are not."""
    found: set[str] = set()
    open_ = list(tree(modules()[module]).body)
    while open_:
        node = open_.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            open_ += node.orelse
            continue
        found |= set(imported(node))
        open_ += list(ast.iter_child_nodes(node))
    return found


def reached(module: str) -> set[str]:
    """Return the top packages outside of ours (`torch`, `numpy`, …) that importing a module imports."""
    outside, seen, open_ = set(), set(), {module}
    while open_:
        name = open_.pop()
        seen.add(name)
        for full in at_import(name):
            own = module_of(full)
            if own is None:
                outside.add(full.partition(".")[0])
                continue
            parts = own.split(".")
            packages = {".".join(parts[:end]) for end in range(2, len(parts) + 1)} & set(modules())
            open_ |= packages - seen
    return outside


def room(module: str) -> str | None:
    """Return the room of the engine that a module lies in."""
    parts = module.split(".")
    return parts[2] if parts[1] == "engine" and len(parts) > 2 else None


def rooms() -> dict[str, set[str]]:
    """Return the rooms that each room imports."""
    found: dict[str, set[str]] = {own: set() for module in modules() if (own := room(module))}
    for module in modules():
        own = room(module)
        if own:
            found[own] |= {other for name in imports(module) if (other := room(name)) and other != own}
    return found


def importers() -> dict[str, set[str]]:
    """Return, for every module that is no package, the modules of ours that import it."""
    found: dict[str, set[str]] = {name: set() for name, path in modules().items() if path.name != "__init__.py"}
    for module in modules():
        for name in imports(module) & found.keys():
            found[name].add(module)
    return found


def public_names() -> dict[str, list[str]]:
    """Return the modules that define each public function or class."""
    found: dict[str, list[str]] = defaultdict(list)
    for module, path in modules().items():
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(module)
    return dict(found)
