"""A training run from spec to last checkpoint: data, network, loop and pen composed. The worker's torch half."""

import torch

from data.catalog import load
from data.stacking import Stacked, stack
from engine.batches import Batches
from engine.ending import Ending
from engine.networks.multitask import build_network
from engine.reporting import Reporter
from engine.runs import Run
from engine.session import Session
from engine.spec import DigitsData, TrainSpec
from engine.tasks.build import build_tasks
from engine.training import begin, start_at_constants


def run_training(run: Run, reporter: Reporter, asked_to_end: Ending) -> str:
    """Train a run from where it stands; return the final state, `done` or `stopped`."""
    spec = run.spec
    device = _prepare(spec)
    tasks = build_tasks(load(spec.data.dataset, split="val", **_options(spec, "val")).fields, spec.tasks)
    batches, validation = (
        Batches(_read(spec, split, reporter), tasks, spec.batch_size, device) for split in ("train", "val")
    )
    reporter.status(phase="building the network")
    torch.manual_seed(spec.seed)
    training = begin(spec, build_network(spec.network, tasks, batches.channels), tasks, batches)
    start_at_constants(training, batches)
    session = Session(training, batches, validation, reporter, asked_to_end)
    session.enter()
    return session.go()


def _prepare(spec: TrainSpec) -> torch.device:
    """Set what decides the bits; return where to train."""
    torch.set_num_threads(spec.threads)
    torch.set_flush_denormal(True)  # the moments of dead groups decay into denormals, four times slower
    torch.use_deterministic_algorithms(True, warn_only=True)
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("`device` should be one that this machine has. Found 'cuda' without a CUDA device.")
    usable = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(usable if spec.device == "auto" else spec.device)


def _options(spec: TrainSpec, split: str) -> dict[str, int]:
    data = spec.data
    if isinstance(data, DigitsData):
        return {"seed": data.data_seed}
    length = data.train_length if split == "train" else data.val_length
    return {"length": length, "size": data.size, "seed": data.data_seed}


def _read(spec: TrainSpec, split: str, reporter: Reporter) -> Stacked:
    dataset = load(spec.data.dataset, split=split, **_options(spec, split))  # type: ignore[arg-type]
    verb = "rendering" if spec.data.dataset == "scenes" else "reading"

    def progress(done: int, total: int) -> None:
        reporter.tick(phase=f"{verb} {spec.data.dataset} ({split}): {done} of {total}")

    return stack(dataset, spec.tasks, progress)
