"""What is stored is what the network does, and comes back from the file as it was."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from winnow.data.catalog import load
from winnow.data.stacking import stack
from winnow.engine.explain.maps.attributions import channel_answers, layer_silence
from winnow.engine.explain.maps.making import (
    Spatial,
    SpatialSettings,
    receptive_windows,
    spatial,
    top_cells,
)
from winnow.engine.explain.maps.store import SpatialStore, write_spatial
from winnow.engine.explain.relevance.means import channel_means
from winnow.engine.explain.relevance.probe import Probe, probe, restricted
from winnow.engine.explain.relevance.relevance import probe_relevance
from winnow.engine.networks.multitask import build_network
from winnow.engine.specs.network import ResidualSpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches

TASKS = ("seg", "depth", "normals", "edges")
INNER = "trunk.stages.1.0.conv2.0"
CELLS = {INNER: (1, 5), "trunk": (0, 2, 7)}
SETTINGS = SpatialSettings(images=3, top=2, steps=4, patch=8)


@pytest.fixture(scope="module")
def asked() -> Probe:
    """A small network on nine rooms, in chunks of four."""
    rooms = load("scenes", split="val", length=9, size=32)
    tasks = build_tasks(rooms.fields, TASKS)
    torch.manual_seed(0)
    net = build_network(ResidualSpec(widths=(6, 8), blocks=(1, 1), head_width=4), tasks, 3)
    given = Batches(stack(rooms, TASKS), tasks, 4, torch.device("cpu"))
    for batch in given.in_order():
        net(batch.images)
    return probe(net.eval(), given, layers=list(CELLS))


@pytest.fixture(scope="module")
def made(asked: Probe) -> Spatial:
    return spatial(asked, CELLS, channel_means(asked), SETTINGS)


@pytest.fixture(scope="module")
def store(made: Spatial, tmp_path_factory: pytest.TempPathFactory) -> SpatialStore:
    folder = tmp_path_factory.mktemp("maps")
    write_spatial(folder, made.arrays, made.index)
    return SpatialStore(folder)


def read_by(asked: Probe, layer: str) -> np.ndarray:
    """Return what a layer reads (or the trunk gives) of all images."""
    kept, site = [], asked.site(layer)
    with torch.no_grad(), site.changing(lambda x: kept.append(x) or x):
        for batch in asked.batches():
            asked.model(batch.images)
    return torch.cat(kept).numpy()


@pytest.mark.parametrize(("layer", "channel"), [(INNER, 5), ("trunk", 0), ("trunk", 7)])
def test_activations_silence_and_top_images_are_those_of_the_network(asked, store, layer, channel):
    real = read_by(asked, layer)[:, channel]
    tolerance = 1e-3 * np.abs(real).max()
    np.testing.assert_allclose(store.activation(layer, channel), real[:3], atol=tolerance)
    np.testing.assert_allclose(store.silent(layer, channel), (real == 0).mean(0), atol=1e-3)
    assert np.array_equal(store.silent_here(layer, channel), real[:3] == 0)
    best = np.argsort(-real.mean((1, 2)), kind="stable")[:2]
    top = store.top(layer, channel)
    assert top.numbers == best.tolist()
    np.testing.assert_allclose(top.means, real.mean((1, 2))[best], rtol=1e-5)
    np.testing.assert_allclose(top.activations, real[best], atol=tolerance)
    np.testing.assert_allclose(store.per_image(layer, channel)["max"], real.max((1, 2)), rtol=1e-6)


def test_reliance_adds_up_to_relevance_position_by_position(asked: Probe, store: SpatialStore):
    relevance = probe_relevance(restricted(asked, images=3), "taylor_positions", channel_means(asked))
    known = relevance.set_index(["task", "layer", "channel"])["relevance"]
    for task in TASKS:
        for layer, channels in CELLS.items():
            for channel in channels:
                found = store.reliance(layer, channel, task).sum((1, 2)).mean()
                assert found == pytest.approx(known[task, layer, channel], rel=5e-3)


def test_pictures_targets_and_predictions_come_back(asked: Probe, store: SpatialStore):
    batch = next(asked.batches())
    with torch.no_grad():
        given = asked.model(batch.images)
    assert np.array_equal(store.images(), (batch.images[:3] * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy())
    assert np.array_equal(store.target("seg"), batch.targets["seg"][:3].numpy())
    assert np.array_equal(store.prediction("seg"), given["seg"][:3].argmax(1).numpy())
    np.testing.assert_allclose(store.target("depth"), batch.targets["depth"][:3].numpy(), rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(store.prediction("normals").astype(float), axis=3), 1, atol=2e-3)
    assert store.prediction("edges").min() >= 0
    assert store.prediction("edges").max() <= 1
    whole = asked.batches()
    everything = torch.cat([part.images for part in whole])
    top = store.top("trunk", 2)
    expected = (everything[top.numbers] * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(top.pictures, expected)


def test_attributions_are_complete_up_to_the_stored_residual(store: SpatialStore):
    table = store.completeness()
    assert table["task"].unique().tolist() == list(TASKS)
    for task, own in table.groupby("task", sort=False):
        sums = store.attribution("integrated_gradients", task).sum((1, 2))
        np.testing.assert_allclose(sums, own["difference"] - own["residual"], atol=3e-3 * own["difference"].abs().max())
    assert store.attribution("occlusion", "depth").shape == (3, 4, 4)


def test_the_model_is_afterwards_what_it_was(asked: Probe, made: Spatial):
    assert all(parameter.requires_grad for parameter in asked.model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in asked.model.modules())


def test_large_images_are_stored_reduced_and_their_attributions_summed(asked: Probe, made: Spatial):
    settings = SpatialSettings(images=2, top=1, steps=4, patch=16, side=16)
    small = spatial(asked, {"trunk": (0,)}, channel_means(asked), settings).arrays
    assert small["images"].shape == (2, 16, 16, 3)
    assert small["target.seg"].shape == small["prediction.seg"].shape == (2, 16, 16)
    sums = (small["integrated_gradients"].astype(float) * small["integrated_gradients_peak"][..., None, None]).sum(
        (2, 3)
    )
    promised = small["difference"] - small["residual"]
    np.testing.assert_allclose(sums, promised, atol=3e-3 * np.abs(promised).max())


def test_top_cells_are_the_most_relevant_of_each_task_and_alive():
    rows = [("a", "l", c, v) for c, v in enumerate([3, 0, 2, 1])] + [
        ("b", "l", c, v) for c, v in enumerate([0, 0, 1, 2])
    ]
    early = [(task, "k", 0, 9.0) for task in ("a", "b")]
    relevance = pd.DataFrame([*early, *rows], columns=["task", "layer", "channel", "relevance"])
    assert top_cells(relevance, 1) == {"l": (0, 3)}
    assert top_cells(relevance, 9) == {"l": (0, 2, 3)}
    assert top_cells(relevance, 1, ["k"]) == {"k": (0,)}
    with pytest.raises(ValueError, match="`layers` must be layers of the frame, k, l, got m"):
        top_cells(relevance, 1, ["m"])
    with pytest.raises(ValueError, match="`per_task` must be at least 1"):
        top_cells(relevance, 0)


@pytest.mark.parametrize(
    ("cells", "says"),
    [({"stem": (0,)}, "must be in layers .* got layer 'stem'"), ({"trunk": (8,)}, "0 to 7"), ({"trunk": ()}, "0 to 7")],
)
def test_channels_that_there_are_not_are_refused(asked: Probe, cells: dict[str, tuple[int, ...]], says: str):
    with pytest.raises(ValueError, match=says):
        spatial(asked, cells, channel_means(asked), SETTINGS)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="`steps` must be at least 1, got 0"):
        SpatialSettings(steps=0)


def test_a_classification_and_a_number_come_back(tmp_path: Path):
    images = load("planted", split="val", length=6, size=36)
    tasks = build_tasks(images.fields, ("strongest", "amount"))
    net = build_network(ResidualSpec(widths=(4,), blocks=(1,), head_width=4), tasks, 3).eval()
    given = Batches(stack(images, tuple(tasks)), tasks, 16, torch.device("cpu"))
    asked = probe(net, given, layers=["trunk"])
    found = spatial(asked, {"trunk": (1,)}, channel_means(asked), SETTINGS)
    write_spatial(tmp_path, found.arrays, found.index)
    store = SpatialStore(tmp_path)
    assert store.prediction("strongest").shape == (3, 6)
    np.testing.assert_allclose(store.prediction("strongest").astype(float).sum(1), 1, atol=5e-3)
    np.testing.assert_allclose(store.target("amount"), given.target("amount")[:3].numpy())
    with torch.no_grad():
        expected = net(next(given.in_order()).images)["amount"][:3, 0] * tasks["amount"].field.scale
    np.testing.assert_allclose(store.prediction("amount"), expected.numpy(), rtol=1e-5)


def test_the_silence_of_a_layer_is_the_share_of_its_living_channels_that_are_zero(
    asked: Probe, store: SpatialStore
) -> None:
    seen = read_by(asked, INNER)  # (9, C, h, w)
    zero = (seen == 0).astype(np.float32)
    assert store.silent_layers() == list(CELLS)
    assert store.index["living"][INNER] == seen.shape[1]
    np.testing.assert_allclose(store.silence(INNER), zero.mean((0, 1)), atol=1e-3)
    np.testing.assert_allclose(store.silence(INNER, 2), zero[2].mean(0), atol=1e-3)
    np.testing.assert_allclose(store.silence_of(INNER), zero.mean((0, 2, 3)), atol=1e-5)
    assert 0 < store.silence(INNER).mean() < 1  # there is something to see


def test_a_dead_channel_has_no_silence_and_counts_in_none(asked: Probe) -> None:
    weight = asked.model.trunk.stages[1][0].conv2[0].weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight[:, 1] = 0
    try:
        arrays, living = layer_silence(restricted(asked, sites=[asked.site(INNER)]), 1)
    finally:
        with torch.no_grad():
            weight.copy_(kept)
    assert living == {INNER: 7}
    assert np.isnan(arrays[f"silence_of.{INNER}"]).tolist() == [False, True, *[False] * 6]
    zero = np.delete(read_by(asked, INNER) == 0, 1, axis=1)
    np.testing.assert_allclose(arrays[f"silence.{INNER}"], zero.mean((0, 1)), atol=1e-3)
    assert arrays[f"silence_here.{INNER}"].shape[0] == 1


def test_a_receptive_field_is_that_of_the_stack_of_convolutions() -> None:
    layers = [torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3, 2, padding=1)]
    net = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1)).eval()
    with torch.no_grad():
        layers[2].weight[:, 1:].zero_()  # zeros do not make it smaller
    seen = probe(net, [torch.rand(2, 3, 20, 12)], layers=["4"])
    places = {"4": np.array([[[0, 0], [4, 3], [9, 5]]])}
    windows = receptive_windows(seen, places)["4"]
    assert windows.tolist() == [[[0, 0, 3, 3], [6, 4, 11, 9], [16, 8, 20, 12]]]


def test_nothing_outside_of_the_window_moves_the_maximum(asked: Probe, made: Spatial) -> None:
    own = made.arrays[f"top_window.{INNER}"]
    assert own.shape == (2, 2, 4)
    number, (top, left, bottom, right) = made.arrays[f"top.{INNER}"][0, 0], own[0, 0]
    assert (bottom > top, right > left) == (True, True)
    image = torch.cat([batch.images for batch in asked.batches()])[[number]]
    other = torch.rand_like(image)
    other[..., top:bottom, left:right] = image[..., top:bottom, left:right]
    kept, site = [], asked.site(INNER)
    with torch.no_grad(), site.changing(lambda x: kept.append(x) or x):
        asked.model(image)
        asked.model(other)
    place = np.unravel_index(int(kept[0][0, CELLS[INNER][0]].argmax()), kept[0].shape[-2:])
    one, two = (tensor[0, CELLS[INNER][0]][place] for tensor in kept)
    torch.testing.assert_close(one, two)


def test_a_model_that_refuses_nan_has_no_windows_and_keeps_its_buffers() -> None:
    class Careful(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Conv2d(1, 2, 3), torch.nn.Conv2d(2, 2, 1)
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, images):
            self.seen += images.sum()
            found = self.first(images)
            if found.isnan().any():
                raise ValueError("no such image")
            return self.last(found)

    net = Careful().eval()
    asked = probe(net, [torch.rand(2, 1, 8, 8)], layers=["last"])
    assert not receptive_windows(asked, {"last": np.zeros((2, 1, 2), int)})["last"].any()
    assert net.seen.isfinite()


def test_what_channels_answer_is_what_the_layer_reads(asked: Probe) -> None:
    activations, targets = channel_answers(asked, CELLS)
    channels, values = activations[INNER]
    assert channels == CELLS[INNER]
    np.testing.assert_allclose(values, read_by(asked, INNER)[:, list(channels)].swapaxes(0, 1), rtol=1e-4, atol=1e-6)
    assert set(targets) == set(TASKS)
    assert targets["seg"].shape[0] == values.shape[1] == 9
