"""What an explanation looks at: a run's network as its newest whole checkpoint left it, and images of its data."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import torch
from safetensors.torch import load as tensors_of

from data.catalog import load
from data.sample import Dataset, Field, Sample
from data.stacking import stack
from engine.batches import Batches
from engine.checkpoint import Checkpoint
from engine.explain_spec import ExplainSpec
from engine.manifests import manifests, verified
from engine.networks.multitask import MultiTaskNet, build_network
from engine.runs import Run
from engine.spec import DigitsData, NetworkSpec, TrainSpec
from engine.tasks.build import build_tasks
from engine.tasks.task import Task

CHUNK = 32  # images at once


@dataclass(frozen=True)
class Source:
    """A network, its tasks, the images, and the step of the checkpoint."""

    net: MultiTaskNet
    tasks: dict[str, Task]
    batches: Batches
    step: int
    images: int


@dataclass(frozen=True)
class _First:
    """The first `length` samples of a data set."""

    whole: Dataset
    length: int

    @property
    def name(self) -> str:
        """As the whole is called."""
        return self.whole.name

    @property
    def fields(self) -> dict[str, Field]:
        """As in the whole."""
        return dict(self.whole.fields)

    def __len__(self) -> int:
        return min(self.length, len(self.whole))

    def sample(self, index: int) -> Sample:
        """Return the same sample as the whole."""
        return self.whole.sample(index)


def source(run: Run, spec: ExplainSpec, progress: Callable[[int, int], None] | None = None) -> Source:
    """Return the network of a run and the images that the explanation asks for.

    Raises:
        ValueError: the run has no checkpoint that is whole, or the device is not there.

    """
    torch.set_num_threads(spec.threads)
    torch.set_flush_denormal(True)
    device = _device(spec)
    net, tasks, step = _restored(run)
    data = _dataset(run.spec, spec)
    stacked = stack(data, run.spec.tasks, progress)
    batches = Batches(stacked, tasks, CHUNK, device)
    return Source(net.to(device), tasks, batches, step, len(data))


def _restored(run: Run) -> tuple[MultiTaskNet, dict[str, Task], int]:
    """Return network, tasks and step of the newest checkpoint whose bytes are those promised."""
    folder = run.path / "weights"
    for manifest in reversed(manifests(folder)):
        if (content := verified(manifest)) is None:
            continue
        described = json.loads((folder / "network.json").read_text())
        fields = {name: _field(values) for name, values in described["tasks"].items()}
        tasks = build_tasks(fields, tuple(fields))
        net = build_network(NetworkSpec.model_validate(described["network"]), tasks, int(described["channels"]))
        found = Checkpoint(tensors_of(content), json.loads(manifest.read_text()))
        net.load_state_dict(found.dense(net))
        return net, tasks, int(found.manifest["step"])
    raise ValueError(f"`run` should have a checkpoint that is whole. Found none in {run.id}.")


def _field(values: dict[str, object]) -> Field:
    return Field(**{**values, "classes": tuple(values["classes"])})  # type: ignore[arg-type]


def _dataset(trained: TrainSpec, spec: ExplainSpec) -> Dataset:
    data = trained.data
    if isinstance(data, DigitsData):
        return _First(load("digits", split=spec.split, seed=data.data_seed), spec.images)
    length = data.train_length if spec.split == "train" else data.val_length
    whole = load(data.dataset, split=spec.split, length=length, size=data.size, seed=data.data_seed)
    return _First(whole, spec.images)


def _device(spec: ExplainSpec) -> torch.device:
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("`device` should be one that this machine has. Found 'cuda' without a CUDA device.")
    usable = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(usable if spec.device == "auto" else spec.device)
