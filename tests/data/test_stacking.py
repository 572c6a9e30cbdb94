from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pytest

from winnow.data.catalog import load
from winnow.data.sample import DataError, Field, Sample
from winnow.data.stacking import stack


@dataclass
class Listed:
    """Samples from a list."""

    samples: list
    name: str = "listed"
    fields: dict = field(default_factory=lambda: {"kind": Field(kind="classification", classes=("a", "b"))})

    def __len__(self):
        return len(self.samples)

    def sample(self, index):
        return self.samples[index]


def picture(side=4, kind=0, dtype=np.uint8):
    return Sample(np.zeros((side, side, 3), dtype), MappingProxyType({"kind": np.asarray(kind)}))


def test_a_stack_holds_every_sample_at_its_index():
    dataset = load("scenes", length=5, size=16)
    stacked = stack(dataset, ("depth", "seg"))
    for i in range(5):
        sample = dataset.sample(i)
        assert np.array_equal(stacked.images[i], sample.image)
        for name in ("depth", "seg"):
            assert np.array_equal(stacked.targets[name][i], sample.targets[name])


def test_only_the_named_targets_are_stacked_in_their_order():
    stacked = stack(load("scenes", length=2, size=8), ("normals", "seg"))
    assert list(stacked.targets) == ["normals", "seg"]


def test_a_field_may_be_called_image():
    listed = Listed([Sample(np.ones((2, 2, 1), np.uint8), {"image": np.asarray(1)})])
    listed.fields = {"image": Field(kind="classification", classes=("a", "b"))}
    stacked = stack(listed, ("image",))
    assert stacked.images.shape == (1, 2, 2, 1)
    assert stacked.targets["image"].tolist() == [1]


def test_progress_counts_every_sample():
    calls = []
    stack(load("scenes", length=4, size=8), ("seg",), lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("odd", [picture(side=5), picture(dtype=np.float32)])
def test_samples_unlike_the_first_are_refused_by_index(odd):
    with pytest.raises(DataError, match=r"listed\[2\]: `image` must be uint8 of shape \(4, 4, 3\), as in the first"):
        stack(Listed([picture(), picture(), odd]), ("kind",))


def test_a_broken_sample_is_refused_by_index():
    with pytest.raises(DataError, match=r"listed\[1\]: `kind` must be integers from -1 to 1, got 2"):
        stack(Listed([picture(), picture(kind=2)]), ("kind",))


def test_an_empty_data_set_is_refused():
    with pytest.raises(DataError, match="`length` must be at least 1"):
        stack(Listed([]), ("kind",))


def test_a_name_that_is_no_field_is_refused():
    with pytest.raises(ValueError, match="`names` must be among kind, got 'mood'"):
        stack(Listed([picture()]), ("mood",))
