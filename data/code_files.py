"""The Python files that importing a module may run, found without running any of them.

They are the module, the packages around it, and what these import, by the import statements in their text, as far as it
lies below the same folder. Their digest tells one state of the code from another. What escapes it: modules imported
under a computed name, files that the code reads, and packages that are installed (their versions count instead).
"""

import ast
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

OURS = "winnow"


def sources(module: str, folder: Path) -> dict[str, Path]:
    """Return the files below `folder` by their names in it, the module's own first; {} where it is not there."""
    found: dict[str, Path] = {}
    wanted, seen = [module], set[str]()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        for package, file in _files(name, folder):
            key = file.relative_to(folder).as_posix()
            if key not in found:
                found[key] = file
                wanted += _imported(file, package)
    return found


def installed_at(module: str) -> Path | None:
    """Return the folder that an installed module or package lies in; None where there is none of the user's own.

    Python's own modules and those of Winnow are none of theirs.
    """
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == OURS:
        return None
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    origin = Path(spec.origin)
    return origin.parents[1] if spec.submodule_search_locations else origin.parent


def _files(module: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (package, file) of a module and of the packages around it, as far as they lie below the folder."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:length])
        if (place / "__init__.py").is_file():
            yield ".".join(parts[:length]), place / "__init__.py"
        elif place.with_suffix(".py").is_file():
            yield ".".join(parts[: length - 1]), place.with_suffix(".py")


def _imported(file: Path, package: str) -> list[str]:
    """Return the full names that a file's import statements may bring in; of a damaged file none."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return []  # to import it says why
    return [name for node in ast.walk(tree) for name in _names(node, package)]


def _names(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        around = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*around, *([node.module] if node.module else [])])
        yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
