"""Every page that shows work opens with one sentence about it."""

import re
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.pruning_making import write_pruning
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study

MakeRun = Callable[..., Run]


def _drawn(page: str) -> None:
    from importlib import import_module

    import_module(f"winnow.dashboard.pages.{page}.page").page()


def _answers(page: str, **address: str) -> list[str]:
    drawn = AppTest.from_function(_drawn, default_timeout=60, args=(page,))
    for name, value in address.items():
        drawn.query_params[name] = value
    drawn.run()
    assert not drawn.exception
    return [element.proto.body for element in drawn.get("html") if 'class="answer"' in element.proto.body]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("runs", "2 runs: 2 done"),
        ("train", "After epoch 3 of 5"),
        ("groups", "has lost most"),
        ("tasks", "used channels"),
        ("explain", "half of what seg relies on"),
        ("prune", "were removed"),
        ("compare", "of A are zero"),
    ],
)
def test_a_page_opens_with_one_sentence(make_stored_run: MakeRun, page: str, words: str) -> None:
    make_stored_run()
    run = make_stored_run(tasks=["seg", "depth", "normals"])
    write_explanation(run)
    write_pruning(run)
    (said,) = _answers(page, run=run.id)
    assert words in re.sub("<[^>]*>", "", said)


def test_a_path_and_a_study_open_with_one_sentence(the_path: Study, the_study: Study) -> None:
    assert "skill" in _answers("path", study=the_path.id)[0]
    assert "sparse arm" in _answers("path", study=the_study.id)[0]
