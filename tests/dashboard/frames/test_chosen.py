"""What was chosen for a report: kept, read back, and refused by name where it can't be right."""

import json
from collections.abc import Callable

import pytest

from winnow.dashboard.frames import chosen
from winnow.dashboard.frames.chosen import NAME, Pin, ReportChoice, add_pin, choose_for_report, pinned, report_choice
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]
PIN = Pin(
    "losses", "It learns.", "How to read it.", "demo · after epoch 3", "figure", {"data": [], "layout": {}}, "a\n1\n"
)


def test_what_was_chosen_is_read_back(make_run: MakeRun) -> None:
    run = make_run()
    assert report_choice(run) == ReportChoice()
    kept = ReportChoice(("bounds", "sparse"), ("sparsities",), {"layer_counts": "Mine <b>"})
    choose_for_report(run, kept)
    assert report_choice(run) == kept


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "`format` of report.json must be 1"),
        ({"sections": "sparse"}, "`sections` of report.json must be a list"),
        ({"sections": ["a", "a"]}, "must name each one once"),
        ({"sections": [1]}, "must be a list of names"),
        ({"hidden": None}, "`hidden` of report.json must be a list"),
        ({"captions": {"a": 1}}, "must map keys of figures to text"),
        ({"captions": {"a": "x" * 2001}}, "at most 2000 characters"),
        ({"pins": ["../../etc/passwd"]}, "ids like pin-"),
        ({"pins": [f"pin-{number:012x}" for number in range(25)]}, "at most 24 ids"),
    ],
)
def test_a_file_that_can_not_be_right_is_refused_by_name(make_run: MakeRun, changes: dict, said: str) -> None:
    run = make_run()
    usual = {"format": 1, "sections": None, "hidden": [], "captions": {}, "pins": []}
    (run.path / NAME).write_text(json.dumps({**usual, **changes}))
    with pytest.raises(ValueError, match=said):
        report_choice(run)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1', "null", "[" * 100_000])
def test_a_damaged_file_is_refused_by_name(make_run: MakeRun, text: str) -> None:
    run = make_run()
    (run.path / NAME).write_text(text)
    with pytest.raises(ValueError, match="report.json"):
        report_choice(run)


def test_a_figure_is_pinned_once_kept_whole_and_forgotten(make_run: MakeRun) -> None:
    run = make_run()
    add_pin(run, PIN)
    add_pin(run, PIN)
    (found,) = pinned(run).values()
    assert (found.key, found.claim, found.kind, found.csv) == ("losses", "It learns.", "figure", "a\n1\n")
    assert found.at > 0
    other = Pin("losses", "", "", "another run", "table", {}, "a\n")
    choose_for_report(run, ReportChoice(("sparse",), pins=(PIN.id,)))
    add_pin(run, other)
    assert report_choice(run).sections == ("sparse", other.id)
    chosen.remove_pin(run, other.id)
    assert report_choice(run) == ReportChoice(("sparse",), pins=(PIN.id,))
    assert [file.stem for file in (run.path / "report").glob("pin-*")] == [PIN.id]


def test_too_many_or_too_large_pins_are_refused_and_one_that_is_gone_or_wrong_is_named(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    monkeypatch.setattr(chosen, "MOST_PINS", 1)
    monkeypatch.setattr(chosen, "MOST_BYTES", 2000)
    add_pin(run, PIN)
    with pytest.raises(ValueError, match="at most 1 pinned"):
        add_pin(run, Pin("other", "", "", "", "table", {}, ""))
    with pytest.raises(ValueError, match="at most 2,000 bytes"):
        add_pin(run, Pin("losses", "", "", PIN.source, "figure", {"data": ["x" * 3000]}, ""))
    file = run.path / "report" / f"{PIN.id}.json"
    file.write_text("[]")
    with pytest.raises(ValueError, match=f"report/{PIN.id}.json"):
        pinned(run)
    file.unlink()
    with pytest.raises(ValueError, match="whose file is missing"):
        pinned(run)
