"""Several data sets as one: what each knows stays, what it does not know is missing, and nothing is mixed up."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from tests.data.layouts.nyu_files import mtan
from winnow.data.joined import Joined, JoinedData, confirm_caches
from winnow.data.kinds import KINDS
from winnow.data.registered import joined_values
from winnow.data.sample import DataError, Field, Sample
from winnow.data.stacking import stack

FIELDS = {"one": Field(kind="classification", classes=("a", "b")), "two": Field(kind="regression", unit="m")}
SMALL = {"train_length": 4, "val_length": 2, "test_length": 2}


class Made:
    """`length` grey images of a number each, labelled with one field."""

    def __init__(self, name: str, field: str, length: int, **more: object) -> None:
        self.name, self.fields, self._length = name, {field: FIELDS[field]}, length
        self._shape, self._dtype = more.get("shape", (4, 5, 1)), more.get("dtype", np.uint8)
        self._target = more.get("target", np.int64 if field == "one" else np.float32)

    def __len__(self) -> int:
        return self._length

    def sample(self, index: int) -> Sample:
        image = np.full(self._shape, 255 if self._dtype == np.uint8 else 1.0, self._dtype)
        return Sample(image, {name: np.asarray(index % 2, self._target) for name in self.fields})


def test_each_sample_has_its_own_labels_and_misses_those_of_the_others():
    found = stack(Joined([Made("left", "one", 3), Made("right", "two", 2)]), ["one", "two"])
    assert found.targets["one"].tolist() == [0, 1, 0, -1, -1]
    assert np.isnan(found.targets["two"][:3]).all()
    assert found.targets["two"][3:].tolist() == [0, 1]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unspecified"])
def test_what_is_missing_is_missing_in_every_kind(kind: str):
    field = Field(kind=kind, classes=("a", "b"))
    other = Made("other", "one", 1)
    one = Made("left", "one", 1)
    one.fields = {"it": field}
    target = KINDS[kind].unknown((4, 5), 2)
    one.sample = lambda index: Sample(np.zeros((4, 5, 1), np.uint8), {"it": np.zeros_like(target)})  # type: ignore[method-assign]
    found = stack(Joined([one, other]), ["it"]).targets["it"]
    np.testing.assert_array_equal(found[1], target)


def test_types_that_differ_become_one_that_holds_both():
    floats = Made("floats", "one", 2, dtype=np.float32, target=np.uint8)
    found = stack(Joined([Made("bytes", "one", 2), floats]), ["one"])
    assert (found.images.dtype, found.targets["one"].dtype) == (np.float32, np.int64)
    assert found.images.min() == 1.0
    unsigned = stack(Joined([floats, Made("other", "two", 1, dtype=np.float32)]), ["one"])
    assert unsigned.targets["one"].tolist() == [0, 1, -1]


def test_images_of_another_size_are_refused_by_name():
    with pytest.raises(DataError, match=r"right\[0\]: `image` must be of shape \(4, 5, 1\), as those of left"):
        stack(Joined([Made("left", "one", 1), Made("right", "two", 1, shape=(4, 5, 3))]), ["one"])


def test_a_spec_joins_fields_and_lengths_and_survives_json():
    sources = [{"dataset": "fashion", **SMALL}, {"dataset": "scenes", **SMALL, "size": 36}]
    both = JoinedData(sources=sources, labels=[["upper"], ["depth", "seg"]])
    assert [*both.fields] == ["upper", "depth", "seg"]
    assert len(both.fields["seg"].classes) == 13
    assert (both.length("train"), len(both.load("train")), both.splits) == (8, 8, ("train", "val", "test"))
    assert JoinedData.model_validate_json(both.model_dump_json()) == both


def test_names_that_mean_two_things_are_refused():
    with pytest.raises(ValidationError, match="`sources` must agree on the field seg, got segmentation of 11 classes"):
        JoinedData(sources=[{"dataset": "fashion"}, {"dataset": "scenes"}])


def test_a_source_is_used_for_what_it_is_asked_for():
    left, right = Made("left", "one", 2), Made("right", "one", 1)
    right.fields = {**right.fields, "two": FIELDS["two"]}
    right.sample = lambda _: Sample(np.zeros((4, 5, 1), np.uint8), {"one": np.int64(1), "two": np.float32(7)})
    found = stack(Joined([left, right], [[], ["two"]]), ["one", "two"])
    assert found.targets["one"].tolist() == [0, 1, -1]
    assert found.targets["two"][2] == 7


@pytest.mark.parametrize(
    ("labels", "says"), [([["upper"]], "`labels` must have 2"), ([["x"], []], "`labels` must be am")]
)
def test_labels_are_fields_of_their_source(labels: list[list[str]], says: str):
    with pytest.raises(ValidationError, match=says):
        JoinedData(sources=[{"dataset": "fashion"}, {"dataset": "digits"}], labels=labels)


@pytest.mark.parametrize("source", [{"dataset": "own", "code": "a:b", "path": "/"}, {"dataset": "joined"}, {}])
def test_only_data_sets_of_ours_can_be_joined(source: dict[str, str]):
    with pytest.raises(ValidationError, match="`sources` must be data sets among scenes"):
        JoinedData(sources=[source, {"dataset": "digits"}])


def test_options_go_to_the_sources_that_have_them():
    given = {
        "dataset": "scenes[seg]+motorcycle[ depth , normals ]",
        "size": 48,
        "train_length": 8,
        "tasks": "depth",
        "alternating": True,
    }
    data, rest = joined_values(given)
    assert data["alternating"] is True
    assert [source["size"] for source in data["sources"]] == [48, 48]
    assert data["labels"] == [["seg"], ["depth", "normals"]]
    assert rest == {"dataset": None, "tasks": "depth"}
    assert [spec.dataset for spec in JoinedData.model_validate(data).sources] == ["scenes", "motorcycle"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"dataset": "scenes+cats"}, "`dataset` must join names among .* got 'cats'"),
        ({"dataset": "digits+digits", "size": 3}, "`size` is not an option of digits.digits"),
        ({"dataset": "scenes[seg+digits"}, "`dataset` must be written as"),
        ({"dataset": "digits", "alternating": True}, "`alternating` must come with --dataset ONE.OTHER, got digits"),
    ],
)
def test_wrong_requests_are_refused(given: dict[str, object], says: str):
    with pytest.raises(ValueError, match=says):
        joined_values(given)


def test_sources_with_a_cache_are_read_from_it(tmp_path: Path):
    """What is joined is the same, the first time and the second."""
    one, other = mtan(tmp_path / "one"), mtan(tmp_path / "other")
    asked = {"dataset": "nyu", "cache": str(tmp_path / "cache")}
    sources = [{**asked, "root": str(one)}, {**asked, "root": str(other), "cache": ""}]
    spec = JoinedData.model_validate({"sources": sources, "labels": [["depth"], ["seg"]]})
    wanted = stack(spec.load("train"), ["depth", "seg"])
    confirm_caches(spec)
    for _ in range(2):
        found = stack(spec.from_cache("train"), ["depth", "seg"])
        assert np.array_equal(found.images, wanted.images)
        assert all(np.array_equal(found.targets[name], wanted.targets[name]) for name in ("depth", "seg"))
        kept = sorted(path.name for path in (tmp_path / "cache").rglob("*.npy"))
        assert kept == ["train-depth.npy", "train-image.npy"]  # what the source is used for, and nothing else
