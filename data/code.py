"""Code of the user's own: a network or a data set by module and name, `mypkg.nets:build`, and the folder it lies in.

Nothing of it runs when a page, a list or a spec is read. `Code.load` is the one place that imports it, in a worker or a
command, and only what the user has confirmed on this machine (`data.trust`).

Its digest is that of the Python files that importing it may run, found without running any: the module, the packages
around it, and what these import by the import statements in their text, as far as it lies below the same folder. What
escapes it: modules imported under a computed name, files that the code reads, and packages that are installed (their
versions count instead).
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from winnow.data.blame import OURS, is_installed, users_code
from winnow.data.fingerprint import fingerprint
from winnow.data.trust import is_confirmed

Plain = bool | int | float | str | None
"""What an option of the user's code may be."""
PATTERN = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"


@dataclass(frozen=True)
class Code:
    """A function or class of the user's own: `name` is `package.module:function`, `path` the folder of its package.

    `role` is the option that names it, for messages: network, dataset or task. Where the module is not below `path`, it
    is one that is installed.
    """

    name: str
    path: str
    role: str

    @property
    def module(self) -> str:
        """The module's full name."""
        return self.name.partition(":")[0]

    def files(self) -> Mapping[str, Path]:
        """Return the files that count for its digest.

        Raises:
            ValueError: there is no such module, in the folder or installed.

        """
        folder = Path(self.path)
        found = sources(self.module, folder)
        if self._own_file(found, folder):
            return found
        elsewhere = installed_at(self.module)
        found = {} if elsewhere is None else sources(self.module, elsewhere)
        if elsewhere is not None and self._own_file(found, elsewhere):
            top = self.module.partition(".")[0]
            return {name: file for name, file in found.items() if name.partition("/")[0] in (top, f"{top}.py")}
        raise ValueError(
            f"`{self.role}` must name a module in {self.path}, or one that is installed, got {self.module}. "
            "Give the command in the folder that holds it."
        )

    def fingerprint(self) -> dict[str, str]:
        """Return what identifies the code, without running it: its name, version ("" where it has none), digest."""
        return {"code": self.name, "version": _version(self.module), "digest": fingerprint(dict(self.files()))}

    def load(self) -> Any:
        """Import the module and return what is called so in it; the one place where the user's code is run.

        Its folder comes last in the path of imports, so that no file in it stands for a module of Python's or ours.

        Raises:
            ValueError: the code was not confirmed on this machine, another module has its name, or it has no such name.

        """
        found = self.fingerprint()
        if not is_confirmed(found):
            raise ValueError(
                f"`{self.role}` must be code that you confirmed on this machine, got {self.name} in {self.path}, "
                f"digest {found['digest']}. Read it, then run: winnow trust RUN"
            )
        if self.path not in sys.path:
            sys.path.append(self.path)
        with users_code(self.role, self.name):
            module = import_module(self.module)
        for name, file in self.files().items():
            self._require_own(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."), file)
        attribute = self.name.partition(":")[2]
        if not hasattr(module, attribute):
            raise ValueError(
                f"`{self.role}` must name something in {self.module}, got {attribute}, which is not there."
            )
        return getattr(module, attribute)

    def _require_own(self, name: str, file: Path) -> None:
        """Refuse a file of the code if a module of its name came from elsewhere, which its digest does not count.

        The module itself must be the user's; what it imports may be Python's, ours or installed, which come first.
        """
        other = getattr(sys.modules.get(name), "__file__", None)
        if other is not None and Path(other).resolve() == file.resolve():
            return
        first = other is None or name.startswith(f"{OURS}.") or is_installed(Path(other))
        if name == self.module or not first:
            raise ValueError(
                f"`{self.role}` must have a module name of its own, got {name}, which is also "
                f"{other or 'a module of Python'}. Rename yours."
            )

    def _own_file(self, found: Mapping[str, Path], folder: Path) -> bool:
        place = folder.joinpath(*self.module.split("."))
        return bool({place / "__init__.py", place.with_suffix(".py")} & set(found.values()))


@lru_cache(maxsize=64)
def _version(module: str) -> str:
    """Return the version of the distribution that a module belongs to."""
    for name in packages_distributions().get(module.partition(".")[0], ()):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


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
