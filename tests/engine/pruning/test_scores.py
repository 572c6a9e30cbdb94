"""What a channel is worth: by norms inside its layer, by what each task makes of it."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.engine.graph.zoo import build
from winnow.engine.pruning.scores import norm_scores, relevance_scores
from winnow.engine.pruning.units import Units, units


@pytest.fixture(scope="module")
def found() -> Units:
    return units(*build("ours basic"))


def of_layer(found: Units, scores: np.ndarray, layer: str) -> np.ndarray:
    return scores[found.classes == found.names.index(layer)]


def test_norms_follow_their_formulas(found: Units):
    raw = np.array([float(group.norm()) for group in found.groups])
    sizes = np.array([group.size for group in found.groups])
    np.testing.assert_allclose(norm_scores(found, "size"), raw / np.sqrt(sizes), rtol=1e-5)
    for kind in range(len(found.names)):
        own, squares = norm_scores(found)[found.classes == kind], raw[found.classes == kind] ** 2
        expected = [square / squares[squares >= square].sum() for square in squares]
        np.testing.assert_allclose(own, expected, rtol=1e-4)
        assert own.max() == 1
    with pytest.raises(ValueError, match="`compared` must be layer or size"):
        norm_scores(found, "height")


def test_the_score_of_a_layer_does_not_change_with_its_scale():
    net, x = build("ours basic")
    found = units(net, x)
    before = norm_scores(found)
    with torch.no_grad():
        for parameter in net.heads["seg"].mix.parameters():
            parameter.mul_(100)
    after = norm_scores(found)
    same = found.classes != found.names.index("heads.seg.mix.0.0")
    shared = found.names.index("trunk.stages.1.0.add")
    same &= found.classes != shared
    np.testing.assert_allclose(after[same], before[same])


def frame(rows: list[tuple[str, str, int, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["task", "layer", "channel", "relevance"])


def test_a_channel_that_one_task_needs_is_kept(found: Units):
    read = "trunk.stages.0.0.conv2.0"  # reads the six channels that conv1 of its block gives
    seg = [("seg", read, channel, 100.0 * (channel == 2)) for channel in range(6)]
    depth = [("depth", read, channel, 0.1 * (channel == 4)) for channel in range(6)]
    scores = relevance_scores(found, frame(seg + depth))
    own = of_layer(found, scores, "trunk.stages.0.0.conv1.0")
    assert own.tolist() == pytest.approx([0, 0, 6, 0, 6, 0])
    assert np.isinf(scores[found.classes != found.names.index("trunk.stages.0.0.conv1.0")]).all()
    alone = of_layer(found, relevance_scores(found, frame(seg + depth), ["depth"]), "trunk.stages.0.0.conv1.0")
    assert alone.tolist() == pytest.approx([0, 0, 0, 0, 6, 0])


@pytest.mark.parametrize("layer", ["trunk.stages.0.0.conv1.0", "trunk.stages.0.0.conv1"])
def test_a_layer_may_mean_what_it_gives(found: Units, layer: str):
    rows = frame([("seg", layer, channel, float(channel)) for channel in range(6)])
    own = of_layer(found, relevance_scores(found, rows, end="output"), "trunk.stages.0.0.conv1.0")
    assert (np.argsort(own) == np.arange(6)).all()


def test_all_that_reads_a_stream_counts_and_the_trunk_is_what_it_gives(found: Units):
    rows = [("seg", "trunk", channel, 1.0) for channel in range(8)]
    rows += [("seg", "trunk.stages.1.0.conv1.0", channel, 4.0) for channel in range(6)]
    rows += [("seg", "trunk.stages.1.0.around.0", channel, 2.0) for channel in range(6)]
    mean = (8 * 1.0 + 6 * 4.0 + 6 * 2.0) / 20
    scores = relevance_scores(found, frame(rows))
    np.testing.assert_allclose(of_layer(found, scores, "trunk.stages.1.0.add"), 1 / mean)
    np.testing.assert_allclose(of_layer(found, scores, "trunk.stages.0.1.add"), 6 / mean)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("seg", "nowhere", 0, 1.0)], "`layer` must be a module"),
        ([("seg", "trunk", 99, 1.0)], "`channel` must be from 0 to 7 at trunk, got 99"),
        ([("seg", "trunk", 0, float("nan"))], "`relevance` must be numbers of at least 0"),
        ([("seg", "trunk", 0, -1.0)], "`relevance` must be numbers of at least 0"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(found: Units, rows: list, words: str):
    with pytest.raises(ValueError, match=words):
        relevance_scores(found, frame(rows))
    with pytest.raises(ValueError, match="`tasks` must be among those of the frame"):
        relevance_scores(found, frame([("seg", "trunk", 0, 1.0)]), ["taste"])
    with pytest.raises(ValueError, match="must have the columns"):
        relevance_scores(found, frame(rows).drop(columns="task"))
