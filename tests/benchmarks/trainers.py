"""The callbacks of `engine.jobs.callbacks` in real trainers: run it where lightning, transformers and accelerate are.

    pip install 'winnow-mtl[lightning,huggingface]' && python -m tests.benchmarks.trainers

Each trainer trains the same small network for two epochs, recorded; the run is then pruned. It prints a line for each.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tests.engine.commanding import winnow_here
from tests.engine.own_loop import TASKS, Images, Net, losses_of
from winnow.engine import GroupLasso, Proximal, coupled_groups
from winnow.engine.jobs.callbacks import huggingface_callback, lightning_callback
from winnow.engine.runs.run import Run, list_runs

EXAMPLE = torch.zeros(1, 1, 8, 8)
BATCHES = 8


class Rows(Dataset[dict[str, Tensor]]):
    """The images of own_loop one by one."""

    def __init__(self, seed: int) -> None:
        self.rows = list(self._rows(seed))

    def _rows(self, seed: int) -> Iterator[dict[str, Tensor]]:
        for images, targets in Images(BATCHES, seed):
            for place in range(len(images)):
                yield {"images": images[place], **{name: own[place] for name, own in targets.items()}}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.rows[index]


def started(net: nn.Module) -> Proximal:
    """Return the optimiser of a network."""
    return Proximal(torch.optim.AdamW(net.parameters(), 3e-3), coupled_groups(net, EXAMPLE), GroupLasso(0.02))


def lightning(runs: Path) -> Run:
    """Train with Lightning."""
    import lightning.pytorch as pl

    class Module(pl.LightningModule):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def training_step(self, batch: dict[str, Tensor], index: int) -> dict[str, Any]:
            losses = losses_of(self.net, batch["images"], batch)
            return {"loss": sum(losses.values()), "losses": {name: own.detach() for name, own in losses.items()}}

        def configure_optimizers(self) -> Proximal:
            return started(self.net)

    callback = lightning_callback(
        "lightning", EXAMPLE, net="net", tasks=TASKS, loader=Images(2, 2), epochs=2, runs=runs
    )
    trainer = pl.Trainer(
        max_epochs=2, callbacks=[callback], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        accelerator="cpu", default_root_dir=runs, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Module(), DataLoader(Rows(1), 24))
    return _only(runs, "lightning")


def huggingface(runs: Path) -> Run:
    """Train with the Trainer of Hugging Face."""
    from transformers import Trainer, TrainingArguments

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def forward(self, images: Tensor, side: Tensor, light: Tensor) -> dict[str, Tensor]:
            losses = losses_of(self.net, images, {"side": side, "light": light})
            return {"loss": losses["side"] + losses["light"]}

    model = Model()
    callback = huggingface_callback(
        "huggingface", EXAMPLE, net="net", tasks=TASKS, loader=Images(2, 2), epochs=2, runs=runs
    )
    arguments = TrainingArguments(
        output_dir=str(runs / "hf"), num_train_epochs=2, per_device_train_batch_size=24, logging_steps=2,
        report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    optimizer = started(model.net)
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    Trainer(model, arguments, train_dataset=Rows(1), optimizers=(optimizer, constant), callbacks=[callback]).train()
    return _only(runs, "huggingface")


def _only(runs: Path, name: str) -> Run:
    (run,) = [run for run in list_runs(runs) if run.spec.name == name]
    return run


def main() -> int:
    """Train with both, prune both runs, and say how it went."""
    failed = 0
    with TemporaryDirectory() as folder:
        os.environ["WINNOW_RUNS"] = folder
        for train in (lightning, huggingface):
            torch.manual_seed(0)
            run = train(Path(folder))
            events = run.events()
            accuracy = events[(events["quantity"] == "accuracy") & (events["split"] == "val")]["value"].tolist()
            done = winnow_here("prune", run.id, "--rounds", "3", "--batches", "1", "--relevance-images", "8")
            right = (run.status.state, run.status.epoch, run.status.step) == ("done", 2, 2 * BATCHES)
            failed += not right or done.returncode != 0
            sys.stdout.write(
                f"{train.__name__}: {run.status.state}, epoch {run.status.epoch}, step {run.status.step}, "
            )
            sys.stdout.write(f"accuracy {accuracy}, pruned {done.returncode == 0} {done.stderr[-300:]}\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
