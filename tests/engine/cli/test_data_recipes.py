"""Recipes: every option of the published experiment reaches the spec, what is given beside it wins, an epoch trains."""

import math
from pathlib import Path

import pytest

from tests.data.layouts import celeba_files, nyu_files
from tests.engine.commanding import winnow_here
from tests.engine.training_here import result_of, train_here
from winnow.engine.cli.data_recipes import NOT_REPEATED, RECIPES, with_recipe
from winnow.engine.cli.options import spec_of, training_options

WRITERS = {"less-is-more-nyuv2": nyu_files.mtan, "less-is-more-celeba": celeba_files.raw}
NAMES = [option.name for option in training_options()]


def given(**options: object) -> dict[str, object]:
    return {**dict.fromkeys([*NAMES, "tasks"]), **options}


def test_every_recipe_describes_the_experiment(tmp_path: Path):
    assert set(RECIPES) == set(WRITERS)
    for name, write in WRITERS.items():
        spec = spec_of(with_recipe(name, given(root=str(write(tmp_path / name)))))
        assert (spec.data.height, spec.data.width, spec.flips) == (256, 256, False)
        assert (spec.network.widths, spec.network.blocks, spec.network.block) == (
            (64, 128, 256, 512),
            (3, 4, 6, 3),
            "bottleneck",
        )
        assert (spec.network.stem, spec.network.dilated, spec.network.head) == ("large", True, "aspp")
        assert (spec.optimiser.optimiser, spec.optimiser.learning_rate, spec.optimiser.weight_decay) == (
            "adamw",
            1e-4,
            0.1,
        )
        assert (spec.penalty.groups, spec.penalty.scope, spec.keep) == ("input", "trunk", "best")
    assert (spec.data.layout, spec.tasks) == ("raw3", ("seg", "male", "smiling"))
    assert (spec.batch_size, spec.patience, spec.penalty.strength) == (32, 10, 1e-5)
    spec = spec_of(with_recipe("less-is-more-nyuv2", given(root=str(tmp_path / "less-is-more-nyuv2"), epochs="3")))
    assert (spec.batch_size, spec.patience, spec.penalty.strength, spec.epochs) == (16, 25, 1e-6, 3)


def test_masks_of_three_classes_need_no_other_layout(tmp_path: Path):
    spec = spec_of(with_recipe("less-is-more-celeba", given(root=str(celeba_files.masks3(tmp_path)))))
    assert spec.data.layout == "masks3"


@pytest.mark.parametrize("name", RECIPES)
def test_an_epoch_of_a_recipe_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    root = WRITERS[name](tmp_path / "data")
    small = ["--root", str(root), "--height", "32", "--width", "32"]
    result = result_of(train_here(monkeypatch, tmp_path / "runs", "--recipe", name, *small))
    assert (result["state"], result["epoch"]) == ("done", 1), result


def test_a_faithful_recipe_repeats_the_choices_of_the_code_and_names_the_others(runs_root: Path, tmp_path: Path):
    for name, write in WRITERS.items():
        root = str(write(tmp_path / name))
        plain, spec = (spec_of(with_recipe(name, given(root=root), faithful)) for faithful in (False, True))
        assert (plain.optimiser.fresh_state, spec.optimiser.fresh_state) == (False, True)
        assert plain.balancing.task_weights == {}
        assert spec.balancing.task_weights == dict.fromkeys(spec.tasks, pytest.approx(math.exp(-1), rel=1e-5))
    assert (plain.data.split_by, spec.data.split_by) == ("celeba", "random")
    asked = with_recipe(name, given(root=root, split_by="celeba", tasks="seg"), faithful=True)
    assert (asked["split_by"], asked["task_weights"]) == ("celeba", "seg=0.367879")
    for arguments in (["--faithful"], ["--faithful", "--resume", "x", "--recipe", name]):
        done = winnow_here("train", *arguments)
        assert done.returncode == 2
        assert "faithful` must come with" in done.stderr
    assert "the penalty added to the loss" in NOT_REPEATED


def test_an_unknown_recipe_is_refused(runs_root: Path):
    done = winnow_here("train", "--recipe", "cake")
    assert done.returncode == 2
    assert "`recipe` must be one of less-is-more-nyuv2, less-is-more-celeba, got 'cake'" in done.stderr
    assert not runs_root.exists()
