"""A run again: one field differs, and a fork starts from the newest checkpoint."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from winnow.dashboard.forms.again import FIELDS, changed_spec
from winnow.engine.runs.files import replace_json
from winnow.engine.runs.run import Run, list_runs

MakeRun = Callable[..., Run]


@pytest.mark.parametrize(("title", "value"), [("seed", 7), ("learning rate", 0.02), ("floor", 0.2), ("target [%]", 40)])
def test_only_the_field_and_the_name_differ(make_run: MakeRun, title: str, value: float) -> None:
    run = make_run()
    part, name = FIELDS[title]
    one, other = run.spec.model_dump(), changed_spec(run, part, name, value, fork=False).model_dump()
    assert (other[part] if part else other)[name] == value
    (other[part] if part else other)[name] = (one[part] if part else one)[name]
    assert {**other, "name": ""} == {**one, "name": ""}


def test_a_strength_takes_the_place_of_a_target(make_run: MakeRun) -> None:
    spec = changed_spec(make_run(penalty={"target": 60}), "penalty", "strength", 2e-3, fork=False)
    assert (spec.penalty.strength, spec.penalty.target) == (2e-3, None)


def test_a_fork_names_the_newest_checkpoint(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    replace_json(run.path / "weights" / "00000030.json", {"step": 30, "bytes": 0, "sha256": "a" * 64})
    spec = changed_spec(run, "penalty", "strength", 0.5, fork=True)
    assert spec.start is not None
    assert spec.start.weights is not None
    assert (spec.start.weights.run, spec.start.weights.sha256) == (run.id, "a" * 64)


def test_a_fork_without_a_checkpoint_and_a_wrong_value_are_refused(make_run: MakeRun) -> None:
    run = make_run()
    with pytest.raises(ValueError, match="must have a checkpoint to be forked"):
        changed_spec(run, "", "seed", 1, fork=True)
    with pytest.raises(ValueError, match="target"):
        changed_spec(run, "penalty", "target", 300, fork=False)


def test_the_same_value_is_no_other_run(make_run: MakeRun) -> None:
    run = make_run()

    def draw(path: str) -> None:
        from winnow.dashboard.forms.again import again
        from winnow.engine.runs.run import Run

        again(Run(path))

    page = AppTest.from_function(draw, args=(run.path,), default_timeout=30).run()
    assert not page.exception
    page.button(key="again_start").click().run()
    assert "Change the value first" in page.error[0].value
    assert len(list_runs()) == 1
