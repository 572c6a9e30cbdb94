import subprocess
import sys

import numpy as np
import pytest

from winnow.data.catalog import DATASETS, load
from winnow.data.disk.spec import DiskData

OURS = [name for name, spec in DATASETS.items() if not issubclass(spec, DiskData)]
THEIRS = [name for name in DATASETS if name not in OURS]


@pytest.mark.parametrize("name", OURS)
def test_the_fields_on_the_list_are_those_of_the_loaded_data_set(name):
    dataset = load(name)
    assert dataset.name == name
    assert dataset.fields == DATASETS[name]().fields
    assert DATASETS[name].model_fields["dataset"].default == name


def test_scenes_come_a_thousand_at_64_pixels_unless_told_otherwise():
    dataset = load("scenes")
    assert len(dataset) == 1000
    assert dataset.sample(0).image.shape == (64, 64, 3)


def test_options_reach_the_data_set():
    dataset = load("scenes", split="val", length=7, size=16, seed=3)
    assert len(dataset) == 7
    assert dataset.sample(6).image.shape == (16, 16, 3)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_spec_loads_the_split_that_its_options_describe(name, split):
    small = {"train_length": 3, "val_length": 2, "test_length": 4}
    spec = DATASETS[name](**{option: value for option, value in small.items() if option in DATASETS[name].model_fields})
    if split not in spec.splits:
        with pytest.raises(ValueError, match="`split` must be"):
            spec.load(split)
        return
    dataset = spec.load(split)
    assert dataset.fields == spec.fields
    assert spec.length(split) in (None, len(dataset))
    other = load(name, split=split, **{**spec.options(split), "seed": 1})
    assert not np.array_equal(dataset.sample(0).image, other.sample(0).image)


def test_a_data_set_that_reads_no_files_has_no_fingerprint():
    assert {DATASETS[name]().fingerprint() for name in OURS} == {""}


@pytest.mark.parametrize("name", THEIRS)
def test_a_data_set_on_disk_asks_for_its_folder(name, tmp_path):
    spec = DATASETS[name]()
    assert spec.dataset == name
    for ask in (spec.fingerprint, lambda: spec.load("train"), lambda: load(name)):
        with pytest.raises(ValueError, match="`root` must be the folder with the files, got none. Give it with --root"):
            ask()
    with pytest.raises(ValueError, match="`root` must be the folder .* which is not a folder"):
        load(name, root=str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("faces", {}, "`name` must be one of scenes, digits, fashion, .*, got 'faces'"),
        ("scenes", {"split": "all"}, "`split` must be one of train, val, test, got 'all'"),
        ("scenes", {"width": 3}, "Options of `scenes` must be among length, size, seed, got 'width'"),
        ("scenes", {"size": 4}, "`size` must be an integer, at least 8, got 4"),
    ],
)
def test_a_wrong_choice_is_answered_with_what_there_is(name, options, message):
    with pytest.raises(ValueError, match=message):
        load(name, **options)


def test_the_list_cannot_be_changed():
    with pytest.raises(TypeError):
        DATASETS["more"] = DATASETS["scenes"]


def test_listing_data_sets_imports_neither_scikit_learn_nor_torch():
    code = "import sys, winnow.data.catalog; print({'sklearn', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
