"""Widths in blocks: channels that cost nothing stay, exactly idle, and the table of them is kept per machine."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from winnow.engine.pruning import blocks as blocking
from winnow.engine.pruning import compact
from winnow.engine.pruning.blocks import FREE, Blocks, blocks_from, blocks_of, measured_blocks
from winnow.engine.pruning.budget import Budget, choose
from winnow.engine.pruning.masking import silence
from winnow.engine.pruning.scores import norm_scores
from winnow.engine.pruning.units import units
from winnow.engine.specs.prune import PruneSpec

CPU, X = torch.device("cpu"), torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def net(width: int = 20, dead: tuple[int, ...] = tuple(range(9))) -> nn.Module:
    torch.manual_seed(0)
    found = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 4, 3))
    with torch.no_grad():
        found[0].weight *= torch.arange(1.0, width + 1).reshape(-1, 1, 1, 1)
        found[3].weight[:, list(dead)] = 0
    return found.eval()


@pytest.mark.parametrize(("round_to", "width"), [(None, 11), (1, 11), (4, 12), (8, 16), (16, 16), (64, 20)])
def test_compact_keeps_the_width_in_blocks_and_never_removes_more(round_to: int | None, width: int):
    model = net()
    small = compact(model, X, round_to=round_to)
    assert small.model[0].out_channels == width
    assert small.certificate.relative_error_float64 < 1e-10
    assert bool(small.certificate.kept_for) == (width > 11)


def test_the_channels_that_stay_are_those_of_the_largest_weights():
    model = net()
    kept = compact(model, X, round_to=4).model[0].weight
    torch.testing.assert_close(kept, model[0].weight[8:])  # 9 … 19 are in use, and of 0 … 8 the last is the largest


def test_a_channel_that_stays_can_be_trained():
    small = compact(net(), X, round_to=4).model
    small(X).square().sum().backward()
    gradient = small[3].weight.grad
    assert gradient is not None
    assert gradient[:, 0].abs().max() > 0
    assert (small[3].weight[:, 0] == 0).all()


def test_a_dead_branch_is_not_filled_up():
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.inner, self.back = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
            self.out = nn.Conv2d(8, 2, 1)
            nn.init.zeros_(self.back.weight)
            nn.init.zeros_(self.back.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            return self.out(x + self.back(torch.relu(self.inner(x))))

    small = compact(Branch().eval(), X, round_to=8, keep_modules=True).model
    assert small.inner.out_channels == 1


def test_readers_gather_in_blocks():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.one, self.other = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 4, 1), nn.Conv2d(16, 4, 1)
            with torch.no_grad():
                self.one.weight[:, 5:] = 0
                self.other.weight[:, :3] = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.stem(x))
            return self.one(x) + self.other(x)

    small = compact(Two().eval(), X, gather="always", round_to=4)
    assert (small.model.one.in_channels, small.model.other.in_channels) == (8, 16)
    assert small.certificate.relative_error_float64 < 1e-10


@settings(max_examples=10, deadline=None)
@given(widths=st.lists(st.integers(2, 9), min_size=2, max_size=3), block=st.integers(1, 9), seed=st.integers(0, 99))
def test_blocks_are_exact_and_full(widths: list[int], block: int, seed: int):
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in zip([3, *widths], [*widths, 2], strict=True):
        layers += [nn.Conv2d(before, after, 1), nn.ReLU()]
    model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        for layer in model[2::2]:
            layer.weight[:, torch.rand(layer.weight.shape[1]) < 0.5] = 0
    small = compact(model, X, round_to=block, gather="never")
    plain = compact(model, X, gather="never")
    for one, other, width in zip(small.model[0:-2:2], plain.model[0:-2:2], widths, strict=False):
        if isinstance(one, nn.Conv2d) and isinstance(other, nn.Conv2d) and other.out_channels > 1:
            assert one.out_channels >= other.out_channels
            assert one.out_channels % block == 0 or one.out_channels == width
    assert small.certificate.relative_error_float64 < 1e-10


def test_blocks_from_times():
    seconds = [float(-(-width // 8)) for width in range(1, 33)]  # vectors of eight
    found = blocks_from(seconds)
    assert [found.free(width) for width in (1, 7, 8, 9, 17, 32)] == [8, 8, 8, 16, 24, 32]
    assert found.step == 8
    assert [found.free(width) for width in (33, 40, 41)] == [40, 40, 48]
    rising = blocks_from([float(width) for width in range(1, 33)])
    assert [rising.free(width) for width in range(1, 40)] == list(range(1, 40))


@settings(max_examples=20, deadline=None)
@given(seconds=st.lists(st.floats(1e-6, 1e-3), min_size=1, max_size=64))
def test_a_free_width_is_never_slower(seconds: list[float]):
    found = blocks_from(seconds)
    for width in range(1, len(seconds) + 1):
        free = found.free(width)
        assert width <= free <= len(seconds)
        assert seconds[free - 1] <= FREE * seconds[width - 1]


def test_the_table_is_measured_once_per_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    taken = []

    def times(*given: object) -> list[float]:
        taken.append(given)
        return [1.0] * 32

    monkeypatch.setattr(blocking, "_times", times)
    found = []
    for _ in range(2):
        measured_blocks.cache_clear()
        found.append(blocks_of("auto", CPU, torch.contiguous_format))
    assert found[0] == found[1]
    assert found[0].free(3) == 16
    assert len(taken) == 1
    file = tmp_path / "winnow" / "blocks.json"
    assert len(json.loads(file.read_text())) == 1
    file.write_text("{damaged")
    measured_blocks.cache_clear()
    assert measured_blocks(CPU) == found[0]
    assert len(taken) == 2
    measured_blocks.cache_clear()


def test_measured_blocks_without_a_place_to_keep_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(blocking, "MEASURED", 4)
    measured_blocks.cache_clear()
    assert len(measured_blocks(CPU).widths) == 4
    measured_blocks.cache_clear()


@pytest.mark.parametrize("of", ["group", "parameter", "mac"])
def test_a_budget_in_blocks_is_met_with_full_blocks_of_the_best(of: str):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 24, 1), nn.ReLU(), nn.Conv2d(24, 20, 1), nn.ReLU(), nn.Conv2d(20, 2, 1)).eval()
    found = units(model, X)
    scores = norm_scores(found)
    choice = choose(found, scores, Budget(40, of, blocks=Blocks((), 4)))
    assert choice.shares.of(of) >= 40
    for kind in range(len(found.names)):
        own = found.classes == kind
        assert (own & ~choice.gone).sum() % 4 == 0
        assert scores[own & choice.gone].max(initial=-1) < scores[own & ~choice.gone].min()
    assert choice.threshold == scores[choice.gone].max()
    small = compact(silence(model, found.chosen(choice.gone)), X, round_to=4).model
    assert [layer.out_channels % 4 for layer in small[:-1:2]] == [0, 0]


def test_pruning_in_blocks_is_asked_for_by_its_spec():
    assert [PruneSpec(blocks=given).round_to for given in ("none", "auto", "16")] == [None, "auto", 16]


@pytest.mark.parametrize("round_to", [0, -8, 2000, True, 8.0, "fast"])
def test_round_to_is_refused_by_name(round_to: object):
    with pytest.raises(ValueError, match="`round_to` must be auto or a whole number"):
        compact(net(), X, round_to=round_to)


def test_blocks_refuse_a_width_below_itself():
    with pytest.raises(ValueError, match="no width below itself"):
        Blocks((1, 1), 8)
    assert np.array([Blocks((), 8).free(0)]).item() == 0
