import subprocess
import sys

import pytest

from winnow.data.catalog import DATASETS, load


@pytest.mark.parametrize("name", DATASETS)
def test_the_fields_on_the_list_are_those_of_the_loaded_data_set(name):
    dataset = load(name)
    assert dataset.name == name
    assert dataset.fields == DATASETS[name].fields


def test_scenes_come_a_thousand_at_64_pixels_unless_told_otherwise():
    dataset = load("scenes")
    assert len(dataset) == 1000
    assert dataset.sample(0).image.shape == (64, 64, 3)


def test_options_reach_the_data_set():
    dataset = load("scenes", split="val", length=7, size=16, seed=3)
    assert len(dataset) == 7
    assert dataset.sample(6).image.shape == (16, 16, 3)


@pytest.mark.parametrize("name", DATASETS)
def test_every_listed_option_is_accepted(name):
    assert len(load(name, **dict.fromkeys(DATASETS[name].options, 40))) > 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("faces", {}, "`name` should be one of scenes, digits, planted. Found 'faces'"),
        ("scenes", {"split": "all"}, "`split` should be one of train, val, test. Found 'all'"),
        ("scenes", {"width": 3}, "Options of `scenes` should be among length, size, seed. Found 'width'"),
        ("scenes", {"size": 4}, "`size` should be an integer, at least 8. Found 4"),
    ],
)
def test_a_wrong_choice_is_answered_with_what_there_is(name, options, message):
    with pytest.raises(ValueError, match=message):
        load(name, **options)


def test_the_list_cannot_be_changed():
    with pytest.raises(TypeError):
        DATASETS["more"] = DATASETS["scenes"]


def test_listing_data_sets_imports_neither_scikit_learn_nor_torch():
    code = "import sys, data.catalog; print({'sklearn', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
