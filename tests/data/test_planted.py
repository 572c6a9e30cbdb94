"""The planted data set is what its table says: tasks need their causes, and nothing else."""

import numpy as np
import pytest

from winnow.data.planted import AMOUNT_SPREAD, AMOUNTS, CAUSES, FIELDS, PATCH, Planted, causes_of, disc, looks
from winnow.data.validation import validate

SIZE = 40


@pytest.fixture(scope="module")
def samples():
    dataset = Planted("train", 300, SIZE, 1)
    return [validate(dataset.sample(i), FIELDS, f"planted[{i}]") for i in range(len(dataset))]


def present(sample, seed: int = 1) -> np.ndarray:
    """Return the strength of every cause as the picture shows it: its pattern's best match."""
    patterns = looks(seed)
    picture = (sample.image / 255.0 - sample.image.mean((0, 1)) / 255.0) / 0.35
    windows = np.lib.stride_tricks.sliding_window_view(picture, (PATCH, PATCH), axis=(0, 1))
    matches = np.einsum("yxchw,khwc->kyx", windows, patterns)
    return (matches / np.square(patterns).sum((1, 2, 3))[:, None, None]).max((1, 2))


def test_every_set_of_tasks_needs_a_cause_and_two_causes_serve_none():
    sets = [frozenset(tasks) for tasks in CAUSES.values()]
    assert len(set(sets)) == 2 ** len(FIELDS)
    assert sets.count(frozenset()) == 2
    assert set(AMOUNTS) == set(causes_of("amount"))


def test_targets_are_functions_of_what_the_picture_shows(samples):
    names = list(CAUSES)
    for sample in samples[:20]:
        seen = dict(zip(names, present(sample), strict=True))
        strengths = {name: value if value > 0.4 else 0.0 for name, value in seen.items()}
        amount = sum(AMOUNTS[name] * strengths[name] for name in AMOUNTS)
        assert float(sample.targets["amount"]) == pytest.approx(amount, abs=0.15)
        rivals = causes_of("strongest")
        chosen = int(sample.targets["strongest"])
        assert max(strengths[name] for name in rivals) - (strengths[rivals[chosen - 1]] if chosen else 0.0) < 0.08
        shown = {name for i, name in enumerate(causes_of("place"), 1) if (sample.targets["place"] == i).any()}
        assert shown == {name for name in causes_of("place") if strengths[name] > 0}


def test_a_place_is_a_disc_inside_the_picture(samples):
    for sample in samples:
        sizes = np.bincount(sample.targets["place"].ravel(), minlength=6)[1:]
        assert set(sizes.tolist()) <= {0, int(disc().sum())}


def test_the_causes_come_independently(samples):
    places = np.stack([[(s.targets["place"] == i).any() for i in range(1, 6)] for s in samples])
    assert np.abs(places.mean(0) - 0.6).max() < 0.1
    assert np.abs(np.corrcoef(places.T) - np.eye(5)).max() < 0.2


def test_patterns_do_not_answer_to_one_another():
    patterns = looks(0).reshape(len(CAUSES), -1)
    cosines = patterns @ patterns.T / np.square(patterns).sum(1)
    assert np.abs(cosines - np.eye(len(CAUSES))).max() < 0.25
    assert np.abs(looks(0).mean((1, 2))).max() < 1e-6


def test_the_scale_of_the_amount_is_its_spread(samples):
    spread = np.std([float(s.targets["amount"]) for s in samples])
    assert spread == pytest.approx(AMOUNT_SPREAD, rel=0.1)


def test_an_image_depends_on_seed_split_and_index_alone(samples):
    again = Planted("train", 5, SIZE, 1).sample(4)
    assert np.array_equal(again.image, samples[4].image)
    others = [Planted("val", 5, SIZE, 1).sample(4), Planted("train", 5, SIZE, 2).sample(4), samples[3]]
    assert not any(np.array_equal(again.image, other.image) for other in others)
    assert not np.array_equal(looks(1), looks(2))


def test_an_index_outside_is_an_index_error():
    with pytest.raises(IndexError, match="`index` must be from 0 to 4, got 5"):
        Planted("val", 5, SIZE).sample(5)


@pytest.mark.parametrize(
    ("arguments", "name"), [(("all", 5), "split"), (("val", -1), "length"), (("val", 5, 35), "size")]
)
def test_a_wrong_parameter_is_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` must be .*, got"):
        Planted(*arguments)
