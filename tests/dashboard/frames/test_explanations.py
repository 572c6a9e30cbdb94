from collections.abc import Callable

from tests.dashboard.making_explanations import WIDTHS, write_explanation
from winnow.dashboard.frames import explanations
from winnow.engine.runs.derived import DerivedJob, derived_job
from winnow.engine.specs.explain import ExplainSpec

Make = Callable[..., DerivedJob]


def test_layers_tasks_and_methods_come_in_their_order(make_explained: Make) -> None:
    work = make_explained(methods=["gradient_x_activation", "taylor"])
    assert [(layer.name, layer.groups) for layer in explanations.explained_layers(work)] == list(WIDTHS.items())
    assert explanations.explained_tasks(work) == ["seg", "depth", "normals"]
    assert explanations.methods(work) == ["gradient_x_activation", "taylor"]


def test_the_newest_of_all_layers_is_shown_first(make_explained: Make) -> None:
    whole = make_explained()
    part = write_explanation(whole.run, layers=["stem"])
    waiting = derived_job(whole.run, ExplainSpec())
    works = explanations.explanations(whole.run)
    assert {work.id for work in works} == {whole.id, part.id, waiting.id}
    best = explanations.best(works)
    assert best is not None
    assert best.id == whole.id


def test_an_explanation_without_tables_has_empty_ones(make_explained: Make) -> None:
    work = derived_job(make_explained().run, ExplainSpec())
    assert not explanations.begun_explanations(work)
    for name, columns in explanations.COLUMNS.items():
        frame = explanations.explanation_table(work, name)
        assert frame.empty
        assert list(frame) == list(columns)
    assert explanations.explained_layers(work) == ()


def test_an_explanation_with_a_damaged_spec_is_left_out(make_explained: Make) -> None:
    work = make_explained()
    (work.path / "spec.json").write_text('{"kind": "explain", "images": 0}')
    assert explanations.explanations(work.run) == []


def test_the_tables_hold_the_columns_that_the_pages_need(make_explained: Make) -> None:
    work = make_explained()
    for name, columns in explanations.COLUMNS.items():
        assert set(columns) <= set(explanations.explanation_table(work, name)), name
