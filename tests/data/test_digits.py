import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from winnow.data.digits import INK_SPREAD, Digits
from winnow.data.validation import validate

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def splits():
    return {split: Digits(split) for split in SPLITS}


def samples(dataset):
    return [dataset.sample(i) for i in range(len(dataset))]


def test_every_sample_keeps_the_promise_of_its_fields(splits):
    for split in SPLITS:
        for i, sample in enumerate(samples(splits[split])):
            assert validate(sample, splits[split].fields, f"digits[{i}]").image.shape == (8, 8, 1)


def test_the_splits_part_the_data_set_in_70_15_and_15_percent(splits):
    lengths = np.array([len(splits[split]) for split in SPLITS])
    assert lengths.sum() == 1797
    assert np.abs(lengths / 1797 - [0.7, 0.15, 0.15]).max() < 0.005


def test_the_splits_together_hold_every_image_of_the_source_once(splits):
    source = [np.round(image * 255 / 16 + 1e-6).astype(np.uint8).tobytes() for image in load_digits().images]
    assert sorted(s.image.tobytes() for split in SPLITS for s in samples(splits[split])) == sorted(source)


def test_every_split_has_the_same_share_of_each_digit(splits):
    shares = [np.bincount([int(s.targets["digit"]) for s in samples(splits[k])]) / len(splits[k]) for k in SPLITS]
    assert np.ptp(shares, axis=0).max() < 0.01


def test_the_same_seed_gives_the_same_split_and_another_seed_another(splits):
    again, other = Digits("val"), Digits("val", seed=1)
    first = np.stack([s.image for s in samples(splits["val"])])
    assert np.array_equal(first, np.stack([s.image for s in samples(again)]))
    assert not np.array_equal(first[:200], np.stack([s.image for s in samples(other)])[:200])


def test_digits_come_in_random_order(splits):
    digits = np.array([int(s.targets["digit"]) for s in samples(splits["train"])])
    assert 0.05 < (digits[1:] == digits[:-1]).mean() < 0.15


def test_parity_follows_the_digit_and_ink_follows_the_image(splits):
    for sample in samples(splits["test"]):
        assert sample.targets["parity"] == sample.targets["digit"] % 2
        assert abs(float(sample.targets["ink"]) - sample.image.mean() / 255) < 0.5 / 255


def test_the_scale_of_ink_is_its_spread_over_the_training_split(splits):
    ink = [float(s.targets["ink"]) for s in samples(splits["train"])]
    assert abs(np.std(ink) - INK_SPREAD) < 5e-5


@pytest.mark.parametrize("index", [-1, 270])
def test_an_index_outside_is_an_index_error(splits, index):
    with pytest.raises(IndexError, match=f"`index` must be from 0 to 269, got {index}"):
        splits["val"].sample(index)


@pytest.mark.parametrize(("arguments", "name"), [(("all",), "split"), (("val", -1), "seed"), (("val", 0.5), "seed")])
def test_a_wrong_parameter_is_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` must be .*, got"):
        Digits(*arguments)


def test_the_images_are_read_without_the_import_of_scikit_learn():
    code = "import sys; from winnow.data.digits import Digits; Digits('val'); print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_where_the_file_is_elsewhere_scikit_learn_is_asked(splits, monkeypatch):
    monkeypatch.setattr("winnow.data.digits.find_spec", lambda name: None)
    again = Digits("test")
    assert [s.image.tobytes() for s in samples(again)] == [s.image.tobytes() for s in samples(splits["test"])]
