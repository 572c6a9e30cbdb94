"""What `make docs` adds to the pages of docs/: the README as the first page, and one page of API for each room."""

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "dashboard" / "pictures"
TOP = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}  # at the top of the repository; their page
SURFACE = "api/surface.md"
ROOMS = [ROOT / "data", *sorted(path.parent for path in (ROOT / "engine").glob("*/__init__.py"))]


def on_config(config: Any) -> Any:
    """List the pages of the API in the navigation."""
    for entry in config.nav:
        if "API" in entry:
            entry["API"] = [{"from winnow.engine import …": SURFACE}, *({name(room): page(room)} for room in ROOMS)]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made here, and the pictures that they show."""
    for source, path in TOP.items():
        files.append(File.generated(config, path, content=moved((ROOT / source).read_text())))
    files.append(File.generated(config, SURFACE, content=surface()))
    for room in ROOMS:
        files.append(File.generated(config, page(room), content=reference(room)))
    for picture in sorted(PICTURES.glob("*.png")):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links from docs/ to the top of the repository to their pages."""
    for source, path in TOP.items():
        markdown = markdown.replace(f"](../{source}", f"]({path}")
    return markdown


def moved(text: str) -> str:
    """Return a page from the top of the repository with its links as they are from docs/."""
    text = text.replace("](docs/", "](").replace("](dashboard/pictures/", "](pictures/")
    for source, path in TOP.items():
        text = text.replace(f"]({source}", f"]({path}")
    return re.sub(r"\[([^]]+)\]\((LICENSE|CHANGELOG\.md)\)", r"\1", text)


def name(room: Path) -> str:
    """Return what a room is called in docstrings: `engine.pruning`."""
    return ".".join(room.relative_to(ROOT).parts)


def page(room: Path) -> str:
    """Return the path of a room's page of API, below docs/."""
    return f"api/{name(room).replace('.', '-')}.md"


def reference(room: Path) -> str:
    """Return the page of a room: what it says of itself, then every public module that holds something public."""
    lines = [f"# `winnow.{name(room)}`", ""]
    for file in sorted(room.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        private = any(part.startswith("_") and part != "__init__" for part in parts)
        if not private and public(file):
            module = ".".join(("winnow", *(part for part in parts if part != "__init__")))
            lines += [f"::: {module}", ""]
    return "\n".join(lines)


def surface() -> str:
    """Return the page of what `winnow.engine` hands on: each name, what it is, and where it is described."""
    lines = [
        "# `from winnow.engine import …`",
        "",
        "Imported when first used.",
        "",
        "| name | what it is |",
        "|---|---|",
    ]
    imports = [node for node in ast.walk(parsed(ROOT / "engine" / "__init__.py")) if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: str(node.module) for node in imports for alias in node.names if "winnow" in str(node.module)}
    for known, module in sorted(homes.items(), key=lambda item: item[0].lower()):
        home, node = defined(known, module)
        first = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split()).replace("|", "\\|")
        lines.append(f"| [`{known}`][{home}.{known}] | {first} |")
    return "\n".join(lines)


def defined(known: str, module: str) -> tuple[str, ast.FunctionDef | ast.ClassDef]:
    """Return the module that defines a name which `module` defines or hands on, and the definition."""
    path = ROOT.joinpath(*module.split(".")[1:])
    for node in parsed(path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py").body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == known:
            return module, node
        if isinstance(node, ast.ImportFrom) and known in {alias.name for alias in node.names}:
            return defined(known, str(node.module))
    raise LookupError(f"`{module}` must define or import `{known}`, which `winnow.engine` hands on.")


def parsed(file: Path) -> ast.Module:
    """Return a module's syntax tree; nothing is imported."""
    return ast.parse(file.read_text())


def public(file: Path) -> bool:
    """Return whether a module defines something public; what a package hands on stands with the module it is from."""
    nodes = parsed(file).body
    defined = [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return any(not name.startswith("_") for name in defined)
