import re
from typing import Any

import pytest

from winnow.dashboard.canvas.components import HERE, named, reported, script, style
from winnow.dashboard.frames.cells import Cell
from winnow.engine.runs.norm_log import Layer

LAYERS = [Layer("stem", 3, 9), Layer("<b>deep</b>", 4, 18)]
MODULES = {file.name: file.read_text(encoding="utf-8") for file in sorted(HERE.glob("*.js"))}
ENTRIES = [name for name, text in MODULES.items() if "export default function" in text]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_script_is_one_module_with_one_entry_and_each_part_once(entry: str) -> None:
    text = script(entry)
    assert text.count("export default function") == 1
    assert not re.search(r"^(import|export (?!default))", text, re.MULTILINE)
    names = re.findall(r"^(?:function|class|const) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))


def test_every_module_is_part_of_a_component() -> None:
    joined = "".join(script(entry) for entry in (*ENTRIES, "report.js"))  # the report's script has no entry
    for name, text in MODULES.items():
        first = text.splitlines()[0]  # says what the module is, and goes along
        assert first.startswith(("//", "/*")), name
        assert first in joined, name


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_script_never_writes_html(entry: str) -> None:
    written = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")
    assert not any(word in script(entry) for word in written)


def test_all_maps_are_drawn_in_one_style() -> None:
    common = (HERE / "map.css").read_text()
    for sheet in ("survival.css", "pair.css", "path.css"):
        assert style(sheet).startswith(common)
        assert not set(re.findall(r"^([^ ].*) \{$", style(sheet)[len(common) :], re.MULTILINE)) & {".tip", ".board"}


def test_a_report_of_what_is_shown_selects_a_cell_of_its_kind() -> None:
    value = {"of": "run", "layer": "stem", "channel": 2}
    assert reported(value, "run", LAYERS, "output") == (True, Cell("stem", 2, "output"))
    assert reported({"of": "run"}, "run", LAYERS, "input") == (True, None)


@pytest.mark.parametrize("value", [None, "text", {}, {"of": "another", "layer": "stem", "channel": 0}])
def test_a_report_of_something_else_is_not_heard(value: Any) -> None:
    assert reported(value, "run", LAYERS, "input") == (False, None)


@pytest.mark.parametrize(
    "value",
    [
        {"layer": "nowhere", "channel": 0},
        {"layer": "stem", "channel": 3},
        {"layer": "stem", "channel": -1},
        {"layer": "stem", "channel": "0"},
        {"layer": "stem", "channel": True},
        {"layer": ["stem"], "channel": 0},
    ],
)
def test_a_reported_cell_that_is_not_there_is_none(value: dict[str, Any]) -> None:
    assert reported({"of": "run", **value}, "run", LAYERS, "input") == (True, None)


def test_a_cell_is_named_by_layer_and_channel() -> None:
    assert named(Cell("stem", 1, "coupled")) == {"layer": "stem", "channel": 1}
    assert named(None) is None
