"""The parts of a component in the browser: its script, its style, its markup; and what it reports back.

The scripts are modules that import one another, so that Node can test them. Streamlit takes one text a component: the
modules are joined to it, each once and after those that it imports, without their `import` and `export`.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from winnow.dashboard.frames.cells import Cell, Kind, known
from winnow.engine.runs.norm_log import Layer

HERE = Path(__file__).parent
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z]+\.js)"\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def script(name: str) -> str:
    """Return the module `name` and all that it imports as one module."""
    joined: dict[str, str] = {}
    _join(name, joined)
    return "\n".join(joined.values())


def style(*names: str) -> str:
    """Return the style sheet of the maps and some others as one."""
    return "\n".join(_text(name) for name in ("map.css", *names))


def markup(name: str) -> str:
    """Return the markup of a component."""
    return _text(name)


def named(cell: Cell | None) -> dict[str, Any] | None:
    """Return a cell as the browser calls it."""
    return None if cell is None else {"layer": cell.layer, "channel": cell.channel}


def reported(value: object, of: str, layers: Iterable[Layer], kind: Kind) -> tuple[bool, Cell | None]:
    """Return whether a browser reports a selection in the thing `of`, and the cell: None for nothing, or none of these.

    A report that comes from another thing, shown a moment ago in its place, does not count.
    """
    if not isinstance(value, Mapping) or value.get("of") != of:
        return False, None
    layer, channel = value.get("layer"), value.get("channel")
    found = known(layer, str(channel), kind, layers) if isinstance(layer, str) and type(channel) is int else None
    return True, found


def _join(name: str, joined: dict[str, str]) -> None:
    if name in joined:
        return
    text = _text(name)
    for other in _IMPORT.findall(text):
        _join(other, joined)
    joined[name] = _EXPORT.sub("", _IMPORT.sub("", text))


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
