"""What `record` costs a loop of the user's own: ResNet-18 at 128², a step and an epoch with all that they write."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from winnow.engine import GroupLasso, Proximal, coupled_groups, record
from winnow.engine.networks.residual import residual_trunk
from winnow.engine.specs.network import ResidualSpec

pytestmark = pytest.mark.bench

CLOCK = time.process_time  # one thread, so that other work on the machine does not count
BATCH, EPOCHS, MEASURED = 8, 2, 5
IMAGES = 795  # of an epoch: the training images of NYU-v2, one of the smallest data sets that such a network learns


class Net(nn.Module):
    """ResNet-18 with two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = residual_trunk(ResidualSpec(widths=(64, 128, 256, 512), dilated=False, stem="large"), 3)
        self.classes, self.values = nn.Linear(512, 20), nn.Linear(512, 4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.trunk(images).mean((2, 3))
        return {"classes": self.classes(features), "values": self.values(features)}


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_recorded_step_and_epoch_cost_little(optimiser: str, tmp_path: Path, figure) -> None:
    """`run.epoch` with a checkpoint and tables, the dearest there is, beside all steps of an epoch."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net, images = Net(), torch.rand(BATCH, 3, 128, 128)
    inner = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[optimiser]
    proximal = Proximal(inner(net.parameters(), 1e-3), coupled_groups(net, images[:1]), GroupLasso(1e-3))
    steps, told, epochs = [], [], []
    with record("bench", net, images[:1], proximal, epochs=EPOCHS, batch_size=BATCH, runs=tmp_path) as run:
        for _ in range(EPOCHS):
            for _ in range(MEASURED):
                began = CLOCK()
                losses = {name: output.square().mean() for name, output in net(images).items()}
                proximal.zero_grad()
                sum(losses.values()).backward()
                proximal.step()
                between = CLOCK()
                run.step(losses)
                steps.append(between - began)
                told.append(CLOCK() - between)
            began = CLOCK()
            run.epoch({"classes": {"accuracy": 0.0}})
            epochs.append(CLOCK() - began)
    step = sorted(steps)[len(steps) // 2]
    whole = step * (IMAGES // BATCH)
    figure(f"run.step ÷ a step, {optimiser}, mean of {len(told)}", f"{sum(told) / sum(steps):.5f}", "≤ 0.01")
    figure(f"run.epoch ÷ an epoch of {IMAGES} images, {optimiser}, worst", f"{max(epochs) / whole:.4f}", "≤ 0.05")
    assert sum(told) <= 0.01 * sum(steps)
    assert max(epochs) <= 0.05 * whole
