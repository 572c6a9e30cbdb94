"""AUROCs of channels: against counting pairs by hand, against what is planted, and with images as clusters."""

import math

import numpy as np
import pytest

from winnow.data.sample import Field
from winnow.engine.explain.separation import clustered_auroc, questions, separation_table

SEG = Field(kind="segmentation", classes=("wall", "<b>bed</b>"))


def by_hand(scores, positive):
    pairs = [(one > other) + 0.5 * (one == other) for one in scores[positive] for other in scores[~positive]]
    return float(np.mean(pairs))


@pytest.mark.parametrize("seed", range(4))
def test_the_area_is_the_share_of_pairs_in_order(seed):
    draw = np.random.default_rng(seed)
    scores, positive = draw.integers(0, 6, 40).astype(float), draw.random(40) < 0.4
    assert clustered_auroc(scores, positive, np.arange(40)).value == pytest.approx(by_hand(scores, positive))


def test_the_error_is_delongs_where_every_image_has_one_observation():
    draw = np.random.default_rng(1)
    scores, positive = draw.normal(size=60), draw.random(60) < 0.5
    scores[positive] += 1
    found = clustered_auroc(scores, positive, np.arange(60))
    ones, others = scores[positive], scores[~positive]
    right = (ones[:, None] > others[None]).astype(float)
    variance = right.mean(1).var(ddof=1) / len(ones) + right.mean(0).var(ddof=1) / len(others)
    half = 1.959964 * math.sqrt(variance) / (found.value * (1 - found.value))
    logit = math.log(found.value / (1 - found.value))
    assert found.low == pytest.approx(1 / (1 + math.exp(half - logit)))
    assert found.high == pytest.approx(1 / (1 + math.exp(-half - logit)))


def test_an_image_seen_twice_says_nothing_more():
    draw = np.random.default_rng(2)
    scores, positive, image = draw.normal(size=90), draw.random(90) < 0.3, np.arange(90) // 9
    once = clustered_auroc(scores, positive, image)
    twice = clustered_auroc(np.tile(scores, 2), np.tile(positive, 2), np.tile(image, 2))
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high))


def test_the_interval_covers_the_truth_with_clusters():
    draw, hits = np.random.default_rng(3), 0
    for _ in range(200):
        own = np.repeat(draw.normal(size=40), 12)  # what the positions of an image share
        positive = draw.random(480) < 0.5
        scores = own + draw.normal(size=480)
        found = clustered_auroc(scores, positive, np.repeat(np.arange(40), 12))
        hits += found.low <= 0.5 <= found.high
    assert hits >= 178  # of 200 at 95 %: fewer with a probability below 0.001


def test_what_cannot_be_said_is_nan():
    found = clustered_auroc(np.arange(4.0), np.array([True, True, False, False]), np.arange(4))
    assert found.value == 0
    assert math.isnan(found.low), "an interval of a perfect separation is not known"
    assert math.isnan(clustered_auroc(np.arange(3.0), np.ones(3, bool), np.arange(3)).value)
    one_image = clustered_auroc(np.array([0.0, 2, 1, 3]), np.array([True, True, False, False]), np.zeros(4, int))
    assert math.isnan(one_image.low)


def test_a_planted_channel_separates_its_class_and_another_nothing():
    draw = np.random.default_rng(4)
    seg = draw.integers(-1, 2, (8, 12, 12))
    planted = np.where(seg == 1, 2.0, 0.0) + 0.1 * draw.random(seg.shape)
    values = np.stack([planted, draw.random(seg.shape)]).astype(np.float32)
    depth = np.where(seg == 1, 1.0, 4.0 + draw.random(seg.shape))
    fields = {"seg": SEG, "depth": Field(kind="depth", unit="m"), "side": Field(kind="normals")}
    table = separation_table({"stem": ((3, 5), values)}, fields, {"seg": seg, "depth": depth})
    own = table[table["task"] == "seg"].set_index(["channel", "value"])
    assert own.loc[(3, "<b>bed</b>"), "auroc"] == 1
    assert own.loc[(3, "wall"), "auroc"] == 0
    assert own.loc[(5, "wall"), "low"] < 0.5 < own.loc[(5, "wall"), "high"]
    assert own.loc[(3, "wall"), "observations"] == (seg >= 0).sum(), "what has no label does not count"
    near = table[(table["task"] == "depth") & (table["channel"] == 3)].iloc[0]
    assert near["auroc"] > 0.8
    assert near["unit"] == "m"
    assert not (table["task"] == "side").any()


def test_labels_of_images_are_judged_by_mean_activation():
    values = np.zeros((1, 6, 4, 4), np.float32)
    values[0, 3:] = 1
    table = separation_table(
        {"stem": ((0,), values)},
        {"side": Field(kind="classification", classes=("left", "right"))},
        {"side": np.array([0, 0, 0, 1, 1, -1])},
    )
    assert table.set_index("value")["auroc"].to_dict() == {"left": 0, "right": 1}
    assert table["images"].tolist() == [5, 5]


def test_quarters_of_a_constant_ask_nothing_twice():
    assert [one.value for one in questions(Field(kind="depth", unit="m"), np.full((2, 3, 3), 2.0))] == []
    assert len(list(questions(Field(kind="regression"), np.array([1.0, 2, 3, 4, np.nan])))) == 4
